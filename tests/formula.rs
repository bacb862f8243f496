//! A formula model of the user's own through the whole program, on the CPU: a pair of graphs made
//! here, in the form of Optimum's exports, described by the README's example.
#![allow(clippy::unwrap_used)]

#[path = "support/drawn/typeset.rs"]
#[allow(dead_code)]
mod typeset;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dropleaf::config::Config;
use dropleaf::import::graph::{DType, Dim, Graph};
use sha2::{Digest, Sha256};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dropleaf");

/// What the model can say; the first is never said, the next two begin and end a text.
const TOKENS: [&str; 9] = ["<pad>", "<s>", "</s>", "\\[", "x", "y", "^{2}", "z", "\\]"];
/// What follows each token; `x` becomes `y` where the encoder sees more black than white.
const AFTER: [usize; 9] = [2, 3, 2, 4, 6, 6, 8, 7, 2];

/// The mean of each picture as its hidden state, `[n, 1, 1]`.
fn encoder() -> Graph {
    let mut g = Graph::new("encoder", DType::F32, "none");
    let shape = ["batch", "channels", "height", "width"].map(Dim::Free);
    let pixels = g.input("pixel_values", DType::F32, &shape);
    let axes = g.ints(&[1, 2, 3]);
    let mean = g.node("ReduceMean", &[pixels, axes]).one();
    let mean = g.reshape(mean, &[-1, 1, 1]);
    let shape = [Dim::Free("batch"), Dim::Fixed(1), Dim::Fixed(1)];
    g.output("last_hidden_state", mean, DType::F32, &shape);
    g
}

/// Scores by the last token and the hidden state. `more`: an input that it has beside.
fn decoder(after: [usize; 9], more: Option<&str>) -> Graph {
    let mut g = Graph::new("decoder", DType::F32, "none");
    let text = [Dim::Free("batch"), Dim::Free("length")];
    let ids = g.input("input_ids", DType::I64, &text);
    let states = [Dim::Free("batch"), Dim::Free("tokens"), Dim::Fixed(1)];
    let states = g.input("encoder_hidden_states", DType::F32, &states);
    let size = TOKENS.len();
    let mut table = vec![0.0; size * size];
    for (token, next) in after.into_iter().enumerate() {
        table[token * size + next] = 2.0;
    }
    // As likely as x, after what goes before x.
    table[3 * size + 5] = 2.0;
    let table = g.floats(&[size as i64, size as i64], &table);
    let mut light = vec![0.0; size];
    (light[4], light[5]) = (0.5, -0.5);
    let light = g.floats(&[1, 1, size as i64], &light);
    let seen = g.mul(states, light);
    let scores = g.gather(table, ids, 0);
    let mut scores = g.add(scores, seen);
    if let Some(name) = more {
        let more = g.input(name, DType::F32, &[Dim::Fixed(1)]);
        scores = g.add(scores, more);
    }
    let shape = [text[0], text[1], Dim::Fixed(size as u64)];
    g.output("logits", scores, DType::F32, &shape);
    g
}

fn tokenizer(tokens: &[&str]) -> String {
    let added: Vec<serde_json::Value> = (tokens.iter().enumerate().take(3))
        .map(|(id, token)| {
            serde_json::json!({"id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let vocabulary: serde_json::Map<_, _> = (tokens.iter().enumerate())
        .map(|(id, token)| ((*token).to_owned(), id.into()))
        .collect();
    serde_json::json!({"version": "1.0", "added_tokens": added,
        "model": {"type": "WordLevel", "unk_token": "<pad>", "vocab": vocabulary}})
    .to_string()
}

/// A data folder with this machine's libraries and default models, and a formula model, and a
/// document with two formulas.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let mut config = Config::default();
        config.folders.fill().unwrap();
        std::fs::create_dir_all(place.at("data/models/own")).unwrap();
        for part in ["lib", "models/paddle"] {
            let from = config.folders.data.join(part);
            std::os::unix::fs::symlink(from, place.at("data").join(part)).unwrap();
        }
        let root = place.dir.path().display();
        let text = format!(
            "[folders]\ninbox = \"{root}/inbox\"\noutput = \"{root}/output\"\ndone = \"{root}/done\"\n\
             failed = \"{root}/failed\"\nstate = \"{root}/state\"\nlog = \"{root}/log\"\n\
             [engine]\ndevice = \"cpu\"\n[paddle]\nformula = \"own\"\ntext_layer = \"never\"\n[log]\nlevel = \"debug\"\n"
        );
        std::fs::write(place.at("dropleaf.toml"), text).unwrap();
        let words =
            "Here stands a paragraph of plain words, so that the page looks like one of a book. ";
        let markup = format!(
            "#set page(paper: \"a5\", margin: 15mm)\n#set math.equation(numbering: \"(1)\")\n{0}\n\
             $ integral_0^1 (x^2 + y^2) / (1 + x) dif x = sum_(k=0)^oo a_k / k $\n{0}\n\
             $ f(x) = sqrt(1 + x^2) + pi / 4 $\n{0}\n",
            words.repeat(4)
        );
        let (pdf, _) = typeset::pdf(&markup, None).unwrap();
        std::fs::write(place.at("page.pdf"), pdf).unwrap();
        place.model(encoder(), decoder(AFTER, None), &tokenizer(&TOKENS));
        place.pack(|text| text);
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn model(&self, encoder: Graph, decoder: Graph, tokenizer: &str) {
        let put = |name: &str, bytes: &[u8]| {
            std::fs::write(self.at("data/models/own").join(name), bytes).unwrap();
        };
        put("encoder_model.onnx", &encoder.encode());
        put("decoder_model.onnx", &decoder.encode());
        put("tokenizer.json", tokenizer.as_bytes());
    }

    /// Writes the README's `pack.toml` with the files' own digests, changed.
    fn pack(&self, change: impl Fn(String) -> String) {
        let readme = include_str!("../README.md");
        let (_, text) = readme.split_once("```toml\n").unwrap();
        let (text, _) = text.split_once("```").unwrap();
        let mut pack = String::new();
        for line in text.lines() {
            if line.contains("sha256 = ") {
                let file = line.split('"').nth(1).unwrap();
                let bytes = std::fs::read(self.at("data/models/own").join(file)).unwrap();
                let digest = Sha256::digest(bytes);
                let digest: String = digest.iter().map(|b| format!("{b:02x}")).collect();
                pack.push_str(&line.replace("...", &digest));
            } else {
                pack.push_str(line);
            }
            pack.push('\n');
        }
        std::fs::write(self.at("data/models/own/pack.toml"), change(pack)).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(PROGRAM)
            .env("DROPLEAF_DATA", self.at("data"))
            .arg("--config")
            .arg(self.at("dropleaf.toml"))
            .args(args)
            .output()
            .unwrap()
    }

    /// The Markdown of the document, read anew, and what was logged meanwhile.
    fn read(&self) -> (String, String) {
        let (file, out) = (self.at("page.pdf"), self.at("out"));
        let [file, out] = [&file, &out].map(|p: &PathBuf| p.to_str().unwrap());
        let ran = self.run(&["process", file, "--out", out]);
        let words = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(0), "{words}");
        let text = std::fs::read_to_string(Path::new(out).join("page/page.mmd")).unwrap();
        (text, words)
    }

    /// What stops the program at start: exit code 78.
    fn refused(&self) -> String {
        let (file, out) = (self.at("page.pdf"), self.at("out"));
        let ran = self.run(&[
            "process",
            file.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ]);
        let words = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(78), "{words}");
        words
    }
}

#[test]
fn formulas_of_a_page_are_read_and_a_changed_pack_reads_again() {
    let place = Place::new();
    let (text, _) = place.read();
    for number in [1, 2] {
        let formula = format!("$$\nx ^{{2}} \\tag{{{number}}}\n$$");
        assert!(text.contains(&formula), "{text}");
    }
    assert!(
        !text.contains("![]"),
        "a formula that was read has a picture: {text}"
    );
    // As if the ground were black. The ledger holds the reading of before.
    place.pack(|text| text.replace("mean = [0.5, 0.5, 0.5]", "mean = [1.0, 1.0, 1.0]"));
    let (text, _) = place.read();
    assert!(text.contains("$$\ny ^{2} \\tag{1}\n$$"), "{text}");
    // A model that goes in circles: the formulas are what they are without it.
    let mut circle = AFTER;
    circle[1] = 7;
    place.model(encoder(), decoder(circle, None), &tokenizer(&TOKENS));
    place.pack(|text| text);
    let (text, log) = place.read();
    assert!(!text.contains("$$") && !text.contains("z z"), "{text}");
    assert_eq!(text.matches("![](images/").count(), 2, "{text}");
    assert!(log.contains("goes in circles"), "{log}");
}

#[test]
fn what_is_no_formula_model_is_refused_at_start_by_name() {
    let place = Place::new();
    let checked = place.run(&["check", "--quick"]);
    let words = String::from_utf8_lossy(&checked.stdout).into_owned();
    let own = place.at("data/models/own");
    let line = format!("ok         model pack {}", own.display());
    assert!(words.contains(&line), "{words}");
    let listed = place.run(&["model", "list"]);
    let words = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(words.contains("own  formula"), "{words}");

    let expect = |file: &str, why: &str| {
        let words = place.refused();
        assert!(words.contains(file) && words.contains(why), "{words}");
        assert!(words.contains("README"), "no hint: {words}");
    };
    let (good, tokens) = (|| decoder(AFTER, None), tokenizer(&TOKENS));
    place.model(
        encoder(),
        decoder(AFTER, Some("past_key_values.0.key")),
        &tokens,
    );
    expect("decoder_model.onnx", "past_key_values.0.key");
    place.model(good(), encoder(), &tokens);
    expect("encoder_model.onnx", "last_hidden_state");
    place.model(encoder(), good(), &tokenizer(&TOKENS[..2]));
    expect("tokenizer.json", "no token 2");
    place.model(encoder(), good(), "{}");
    expect("tokenizer.json", "");
    place.model(encoder(), good(), &tokens);
    std::fs::write(own.join("encoder_model.onnx"), b"no graph").unwrap();
    expect("encoder_model.onnx", "");
    let checked = place.run(&["check"]);
    assert_eq!(checked.status.code(), Some(78));
    let words = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        words.contains("sha256") && words.contains("sha256sum FILE"),
        "{words}"
    );
    place.pack(|text| text.replace("end = 2 ", "ende = 2 "));
    expect("pack.toml", "ende");
    std::fs::remove_dir_all(&own).unwrap();
    expect("pack.toml", "No such file");
}
