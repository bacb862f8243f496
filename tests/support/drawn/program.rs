//! Drawn documents through the whole program: files in, Markdown out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dropleaf::config::{self, Config};
use dropleaf::document::Child;
use dropleaf::page::ImageWish;
use image::RgbImage;

use super::{Drawn, NotDrawn};

/// The program that is built with these tests.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_dropleaf");

/// What became of one document.
pub struct Outcome {
    /// The Markdown; pages follow each other without a mark.
    pub markdown: String,
    /// Seconds that the engine spent on all its pages.
    pub seconds: f64,
}

/// Draws a document into `folder`; its file is called by its name.
pub fn draw(drawn: &Drawn, fonts: &[PathBuf], folder: &Path) -> Result<PathBuf, NotDrawn> {
    let fault = |why: String| NotDrawn::Fault(format!("{}: {why}", drawn.name));
    let path = folder.join(format!("{}.pdf", drawn.name));
    let pdf = drawn.pdf(fonts)?;
    std::fs::write(&path, pdf).map_err(|e| fault(e.to_string()))?;
    if let Some(scan) = &drawn.scan {
        let pages = pictures(&path, scan.dpi).map_err(fault)?;
        let pages: Vec<RgbImage> = pages.into_iter().map(|page| scan.of(page)).collect();
        let pdf = scan.pdf(&pages).map_err(fault)?;
        std::fs::write(&path, pdf).map_err(|e| fault(e.to_string()))?;
    }
    Ok(path)
}

/// The pages of a PDF as pdfium shows them.
fn pictures(path: &Path, dpi: f32) -> Result<Vec<RgbImage>, String> {
    let mut config = Config::default();
    config.folders.fill()?;
    let library = config.folders.data.join("lib/libpdfium.so");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let drawing = async {
        let epub = config::Epub::default();
        let mut child = Child::spawn(Path::new(PROGRAM), &library, &config.pdf, &epub)?;
        let mut pages = Vec::new();
        for page in 0..child.open(path).await?.pages {
            let wish = ImageWish {
                dpi,
                max_pixels: 16_000_000,
            };
            pages.push(child.render(page, wish).await?);
        }
        Ok(pages)
    };
    let pages = runtime
        .block_on(drawing)
        .map_err(|e: dropleaf::document::DocumentError| e.to_string())?;
    let pages = pages.into_iter().map(|page| {
        RgbImage::from_raw(page.width, page.height, page.rgb).ok_or("a misshapen page image")
    });
    pages.collect::<Result<_, _>>().map_err(str::to_owned)
}

/// Reads the files with one run of `program`, on the CPU, with the default engine and the models
/// of the data folder; `text_layer` is passed on. The outputs stand under `out`, what the program
/// remembers under `work`, which is new: nothing read before is taken up. The outcomes stand in the
/// order of the files.
pub fn read(
    program: &Path,
    files: &[PathBuf],
    work: &Path,
    out: &Path,
    text_layer: Option<&str>,
) -> Result<Vec<Outcome>, String> {
    let settings = work.join("dropleaf.toml");
    let root = work.display();
    let text = format!(
        "[folders]\ninbox = \"{root}/inbox\"\noutput = \"{root}/output\"\ndone = \"{root}/done\"\n\
         failed = \"{root}/failed\"\nstate = \"{root}/state\"\nlog = \"{root}/log\"\n\
         [engine]\ndevice = \"cpu\"\n[output]\npage_separator = \"\"\n"
    );
    std::fs::write(&settings, text).map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(&settings)
        .arg("process")
        .args(files)
        .arg("--out")
        .arg(out)
        .stdin(Stdio::null());
    if let Some(value) = text_layer {
        command.args(["--text-layer", value]);
    }
    let ran = command.output().map_err(|e| e.to_string())?;
    if !ran.status.success() {
        return Err(format!(
            "dropleaf process: {}\n{}",
            ran.status,
            String::from_utf8_lossy(&ran.stderr)
        ));
    }
    files.iter().map(|file| outcome(file, out)).collect()
}

fn outcome(file: &Path, out: &Path) -> Result<Outcome, String> {
    let stem = file
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or_default();
    let text = |suffix: &str| {
        let path = out.join(stem).join(format!("{stem}{suffix}"));
        std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
    };
    let markdown = text(".mmd")?;
    let report: serde_json::Value =
        serde_json::from_str(&text(".json")?).map_err(|e| e.to_string())?;
    let pages = report["pages"].as_array().map_or(&[][..], Vec::as_slice);
    let seconds = pages.iter().filter_map(|page| page["seconds"].as_f64());
    Ok(Outcome {
        markdown,
        seconds: seconds.sum(),
    })
}
