//! How well drawn documents, whose truth is known, become Markdown.
//!
//! `cargo bench --bench markdown [-- NAME...] [--text-layer auto|never] [--fonts DIR] [--keep DIR]
//! [--program FILE]`
//!
//! NAMEs choose some documents. Each is drawn with typst (some are then made pictures, turned,
//! skewed, dirtied), read by one run of the program, and scored from 0 to 1; `-` where a document
//! has nothing of the kind. What the columns mean stands at `score` in
//! `tests/support/drawn/score/mod.rs`. `--text-layer` is passed to the program; DIR of `--fonts` is
//! looked through for Han and Kana besides the system's fonts; `--keep` leaves the files in DIR;
//! `--program` is another build of dropleaf than this one.

// Its own tests are run by tests/quality.rs; here they would be built without a harness.
#[cfg_attr(test, allow(unused_imports))]
#[path = "../support/drawn/mod.rs"]
mod drawn;

use std::path::PathBuf;

use drawn::{NotDrawn, kinds, program, score, typeset};

type Failure = Box<dyn std::error::Error>;

struct Arguments {
    names: Vec<String>,
    text_layer: Option<String>,
    fonts: Vec<PathBuf>,
    keep: Option<PathBuf>,
    program: PathBuf,
}

fn arguments() -> Result<Arguments, Failure> {
    let mut given = Arguments {
        names: Vec::new(),
        text_layer: None,
        fonts: typeset::system_fonts(),
        keep: None,
        program: program::PROGRAM.into(),
    };
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--text-layer" => given.text_layer = Some(value()?),
            "--fonts" => given.fonts.push(value()?.into()),
            "--keep" => given.keep = Some(std::path::absolute(value()?)?),
            "--program" => given.program = std::path::absolute(value()?)?,
            name if kinds::ALL.iter().any(|(known, _)| *known == name) => {
                given.names.push(arg);
            }
            other => {
                let known: Vec<&str> = kinds::ALL.iter().map(|(name, _)| *name).collect();
                return Err(format!("no document {other:?}; there are {}", known.join(" ")).into());
            }
        }
    }
    Ok(given)
}

fn main() -> Result<(), Failure> {
    let given = arguments()?;
    let temporary = tempfile::tempdir()?;
    let folder = given.keep.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder)?;
    let mut documents = Vec::new();
    let mut files = Vec::new();
    let mut left_out = Vec::new();
    for (name, make) in kinds::ALL {
        if !given.names.is_empty() && !given.names.iter().any(|n| n == name) {
            continue;
        }
        let drawn = make();
        match program::draw(&drawn, &given.fonts, folder) {
            Ok(file) => {
                files.push(file);
                documents.push(drawn);
            }
            Err(NotDrawn::NoFont(why)) => left_out.push(why),
            Err(NotDrawn::Fault(why)) => return Err(why.into()),
        }
    }
    let outcomes = program::read(
        &given.program,
        &files,
        temporary.path(),
        &folder.join("out"),
        given.text_layer.as_deref(),
    )?;
    print!("{:16} {:>5}", "document", "pages");
    for name in score::NAMES {
        print!(" {name:>9}");
    }
    println!(" {:>9} {:>6}", "mean", "s/page");
    let mut columns = vec![Vec::new(); score::NAMES.len() + 1];
    let (mut pages, mut seconds) = (0, 0.0);
    for (drawn, outcome) in documents.iter().zip(&outcomes) {
        let mut scores = score::score(drawn, &outcome.markdown).to_vec();
        scores.push(mean(&scores.iter().flatten().copied().collect::<Vec<_>>()));
        row(drawn.name, drawn.pages, &scores, outcome.seconds);
        for (column, score) in columns.iter_mut().zip(&scores) {
            column.extend(*score);
        }
        pages += drawn.pages;
        seconds += outcome.seconds;
    }
    let means: Vec<Option<f64>> = columns.iter().map(|column| mean(column)).collect();
    row("mean", pages, &means, seconds);
    for why in left_out {
        println!("left out: {why}");
    }
    Ok(())
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn row(name: &str, pages: usize, scores: &[Option<f64>], seconds: f64) {
    print!("{name:16} {pages:5}");
    for score in scores {
        match score {
            Some(score) => print!(" {score:9.3}"),
            None => print!(" {:>9}", "-"),
        }
    }
    println!(" {:6.1}", seconds / pages.max(1) as f64);
}
