//! `dropleaf model verify` on the CPU, with the checkpoints and values under `tests/data`: what is
//! right is said to be right, and each kind of fault is found.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{LazyLock, Mutex, PoisonError};

use dropleaf::config::{Config, Device};
use dropleaf::engine::deepseek::model::Model;
use dropleaf::engine::deepseek::verify::{
    Agreement, Row, Set, Summary, Tolerances, VerifyError, compare,
};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dropleaf");

fn data(checkpoint: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(checkpoint)
}

/// A data folder of its own, with the libraries of this machine's and both packs, made by the
/// program: of one the weights are stored in bfloat16, of the other in 32-bit floats.
static DATA: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.folders.fill().unwrap();
    let lib = config.folders.data.join("lib");
    std::os::unix::fs::symlink(lib, folder.path().join("lib")).unwrap();
    for (checkpoint, dtype) in [("tiny-deepseek-ocr", "bf16"), ("tiny-reader", "f32")] {
        let from = data(checkpoint);
        let ran = Command::new(PROGRAM)
            .env("DROPLEAF_DATA", folder.path())
            .args(["model", "import", "--dtype", dtype])
            .arg(from)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", words(&ran));
    }
    folder
});

/// One at a time: a model takes all cores.
static TURN: Mutex<()> = Mutex::new(());

fn words(ran: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    format!("{out}{err}")
}

/// Runs `dropleaf model verify`.
fn verify(model: &str, reference: &Path, more: &[&str]) -> (i32, String) {
    let ran = Command::new(PROGRAM)
        .env("DROPLEAF_DATA", DATA.path())
        .args(["model", "verify", model, "--reference"])
        .arg(reference)
        .args(more)
        .output()
        .unwrap();
    (ran.status.code().unwrap(), words(&ran))
}

#[test]
fn both_checkpoints_agree_with_what_was_recorded() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (code, told) = verify(
        "tiny-deepseek-ocr",
        &data("tiny-deepseek-ocr"),
        &["--device", "cpu"],
    );
    println!("{told}");
    assert_eq!(code, 0, "{told}");
    // Page: 7 views, 8 values; card: 1 view, 7 values.
    assert!(told.contains("25 compared, 0 out"), "{told}");
    assert_eq!(told.matches("equal up to 160 of 160").count(), 4, "{told}");
    assert!(!told.contains("absent"), "{told}");

    // A pack is found by its path as well.
    let pack = DATA.path().join("models/tiny-reader");
    let (code, told) = verify(
        pack.to_str().unwrap(),
        &data("tiny-reader"),
        &["--device", "cpu"],
    );
    println!("{told}");
    assert_eq!(code, 0, "{told}");
    // Of card00 everything but the view and the unguarded tokens, of 11 cards ids and tokens.
    assert!(told.contains("29 compared, 0 out"), "{told}");
    let absent = "absent in the set, card01 to card11 (11 cases): global.png, global.sam, global.clip, \
                  global.projected, image_embeds, first_logits, tokens_unguarded";
    assert!(told.contains(absent), "{told}");
    assert!(
        told.contains("(margin < 0.001)"),
        "card06 has a margin of 0.0003: {told}"
    );
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let set = |cases: Value, bytes: &[u8]| {
        let json = json!({"prompt": "<image>", "cases": cases});
        std::fs::write(folder.path().join("reference.json"), json.to_string()).unwrap();
        std::fs::write(folder.path().join("reference.safetensors"), bytes).unwrap();
    };
    let nothing = serialize(Vec::<(String, TensorView<'_>)>::new(), None).unwrap();
    let fails = |expected: &str| {
        let (code, told) = verify("tiny-reader", folder.path(), &[]);
        assert_eq!(code, 1, "{told}");
        assert!(told.contains(expected), "{told}");
    };
    fails("reference.json");
    set(json!({}), &nothing);
    fails("nothing that could be compared");
    set(json!({"a": {"image": "a.png"}}), &nothing);
    fails("a.png");
    set(json!({"a": {"image": "../a.png"}}), &nothing);
    fails("not in the set");
    std::fs::copy(
        data("tiny-reader").join("cards/card00.png"),
        folder.path().join("a.png"),
    )
    .unwrap();
    set(json!({"a": {"image": "a.png"}}), &nothing);
    fails("nothing that could be compared");
    set(
        json!({"a": {"image": "a.png"}}),
        b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
    );
    fails("reference.safetensors");
    let (code, told) = verify("no-such-pack", folder.path(), &[]);
    assert_eq!(code, 78, "{told}");
    assert!(
        told.contains("no-such-pack") && told.contains("model list"),
        "{told}"
    );
}

#[test]
fn a_cache_of_8_bits_that_cannot_be_is_refused_with_its_reason() {
    let reference = data("tiny-deepseek-ocr");
    let refused = |model: &str, device: &str, words: &[&str]| {
        let more = ["--device", device, "--cache", "int8"];
        let (code, told) = verify(model, &reference, &more);
        assert_eq!(code, 78, "{told}");
        assert!(told.contains("deepseek.cache = \"int8\""), "{told}");
        for word in words {
            assert!(told.contains(word), "\"{word}\": {told}");
        }
    };
    refused("tiny-deepseek-ocr", "cpu", &["only CUDA", "hint: set"]);
    refused("tiny-reader", "auto", &["32-bit floats", "--dtype bf16"]);

    // A pack of an earlier version, and one whose heads have another size.
    let changed = tempfile::tempdir().unwrap();
    let from = DATA.path().join("models/tiny-deepseek-ocr");
    for entry in std::fs::read_dir(&from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), changed.path().join(entry.file_name())).unwrap();
    }
    let manifest = changed.path().join("pack.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let with = |change: &dyn Fn(&mut toml::Table)| {
        let mut table: toml::Table = text.parse().unwrap();
        change(&mut table);
        std::fs::write(&manifest, table.to_string()).unwrap();
    };
    let pack = changed.path().to_str().unwrap();
    with(&|table| {
        let files = table["files"].as_table_mut().unwrap();
        files.remove("decoder_cuda8").unwrap();
    });
    refused(pack, "auto", &["decoder_cuda8", "model import DIR --force"]);
    with(&|table| table["deepseek"]["head_dim"] = 48.into());
    refused(pack, "auto", &["48 elements", "[32, 64, 128]"]);
}

/// The recorded values of one case, to be changed.
struct Changed {
    folder: tempfile::TempDir,
    values: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl Changed {
    fn new(checkpoint: &str, case: &str, image: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let from = data(checkpoint);
        std::fs::copy(from.join(image), folder.path().join("image.png")).unwrap();
        for entry in std::fs::read_dir(&from).unwrap() {
            let name = entry.unwrap().file_name();
            let name = name.to_str().unwrap();
            if name.starts_with(&format!("{case}.")) && name.ends_with(".png") {
                std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
            }
        }
        let text = std::fs::read(from.join("reference.json")).unwrap();
        let mut json: Value = serde_json::from_slice(&text).unwrap();
        json["cases"] = json!({case: {"image": "image.png"}});
        std::fs::write(folder.path().join("reference.json"), json.to_string()).unwrap();
        let bytes = std::fs::read(from.join("reference.safetensors")).unwrap();
        let all = SafeTensors::deserialize(&bytes).unwrap();
        let values = all
            .tensors()
            .into_iter()
            .filter(|(name, _)| name.starts_with(&format!("{case}.")))
            .map(|(name, t)| (name, (t.dtype(), t.shape().to_vec(), t.data().to_vec())))
            .collect();
        Self { folder, values }
    }

    fn f32(&mut self, name: &str, change: impl Fn(&mut [f32])) {
        let bytes = &mut self.values.get_mut(name).unwrap().2;
        let mut numbers: Vec<f32> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect();
        change(&mut numbers);
        *bytes = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
    }

    fn id(&mut self, name: &str, place: usize) {
        self.values.get_mut(name).unwrap().2[place * 8] ^= 1;
    }

    fn compare(&self, model: &mut Model) -> (Vec<Row>, Summary) {
        self.compare_within(model, Tolerances::FLOAT32)
    }

    fn compare_within(&self, model: &mut Model, within: Tolerances) -> (Vec<Row>, Summary) {
        let views = self.values.iter().map(|(name, (dtype, shape, bytes))| {
            (
                name.clone(),
                TensorView::new(*dtype, shape.clone(), bytes).unwrap(),
            )
        });
        let bytes = serialize(views, None).unwrap();
        std::fs::write(self.folder.path().join("reference.safetensors"), bytes).unwrap();
        let set = Set::open(self.folder.path()).unwrap();
        let mut rows = Vec::new();
        let summary = compare(model, &set, within, &mut |row| rows.push(row.clone())).unwrap();
        (rows, summary)
    }

    /// The stages that are out.
    fn out(&self, model: &mut Model) -> Vec<String> {
        let (rows, summary) = self.compare(model);
        let out = rows.iter().filter(|row| !row.agreement.holds());
        let out: Vec<String> = out.map(|row| row.stage.clone()).collect();
        assert_eq!((summary.compared, summary.out), (rows.len(), out.len()));
        out
    }
}

fn model(name: &str) -> Model {
    let mut config = Config::default();
    config.folders.data = DATA.path().into();
    config.engine.name = "deepseek-ocr".into();
    config.engine.model = name.into();
    config.engine.device = Device::Cpu;
    config.deepseek.cache_tokens = 2048;
    let (lib, models) = (DATA.path().join("lib"), DATA.path().join("models"));
    Model::load(&lib, &models, &config).unwrap().0
}

#[test]
fn each_fault_is_found_where_it_is() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut model = model("tiny-deepseek-ocr");
    let card = || Changed::new("tiny-deepseek-ocr", "card", "card.png");
    assert!(card().out(&mut model).is_empty());

    // A change of one part in a thousand of all numbers of a stage.
    for stage in [
        "global.sam",
        "global.clip",
        "global.projected",
        "image_embeds",
        "first_logits",
    ] {
        let mut changed = card();
        changed.f32(&format!("card.{stage}"), |v| {
            v.iter_mut().for_each(|v| *v *= 1.001)
        });
        assert_eq!(changed.out(&mut model), [stage]);
    }
    for (stage, place) in [("input_ids", 281), ("tokens", 159), ("tokens_unguarded", 0)] {
        let mut changed = card();
        changed.id(&format!("card.{stage}"), place);
        assert_eq!(changed.out(&mut model), [stage]);
    }
    // Another token behind a small margin is none; behind a small one that comes later it is.
    let mut changed = card();
    changed.id("card.tokens", 100);
    changed.f32("card.margins", |m| m[99] = 5e-4);
    assert!(changed.out(&mut model).is_empty());
    changed.f32("card.margins", |m| (m[99], m[101]) = (1.0, 5e-4));
    assert_eq!(changed.out(&mut model), ["tokens"]);
    // Where no margin is wide enough, nothing was compared.
    let mut changed = card();
    changed.f32("card.margins", |m| m.fill(0.0));
    let (_, summary) = changed.compare(&mut model);
    assert_eq!(
        summary.absent["card"],
        ["tokens (no margin of 0.001 or more)"]
    );

    // As on CUDA: the recorded tokens are fed, so that one other token is one other token.
    let mut changed = Changed::new("tiny-deepseek-ocr", "page", "page.png");
    let fed = |changed: &Changed, model: &mut Model| {
        let (rows, _) = changed.compare_within(model, Tolerances::BFLOAT16);
        let of = rows.into_iter().find(|row| row.stage == "tokens");
        match of.map(|row| row.agreement) {
            Some(Agreement::Tokens(tokens)) => (tokens.compared, tokens.equal, tokens.up_to),
            other => panic!("{other:?}"),
        }
    };
    let (compared, equal, up_to) = fed(&changed, &mut model);
    assert!(compared > 10 && compared < 160, "{compared}");
    assert_eq!((equal, up_to), (compared, 160));
    changed.f32("page.margins", |m| m[1] = 1.0);
    changed.id("page.tokens", 1);
    let (now, equal, up_to) = fed(&changed, &mut model);
    assert!(equal < now && equal > compared / 2, "{equal} of {now}");
    assert_eq!(up_to, 1);

    // A view: a few pixels by one level are no fault, more are.
    let repaint = |count: u32| {
        let changed = card();
        let path = changed.folder.path().join("card.global.png");
        let mut view = image::open(&path).unwrap().to_rgb8();
        (0..count).for_each(|i| view.get_pixel_mut(i % 1024, i / 1024).0[1] += 1);
        view.save(&path).unwrap();
        changed
    };
    assert!(repaint(1048).out(&mut model).is_empty());
    assert_eq!(repaint(1049).out(&mut model), ["global.png"]);
    // A view that should not be there.
    let changed = card();
    let tile = data("tiny-deepseek-ocr").join("page.tile0.png");
    std::fs::copy(tile, changed.folder.path().join("card.tile0.png")).unwrap();
    assert_eq!(changed.out(&mut model), ["tiles"]);

    // What is left out and what nobody knows is told.
    let mut changed = card();
    changed.values.remove("card.global.sam");
    let logits = changed.values.remove("card.first_logits").unwrap();
    changed.values.insert("card.last_logits".into(), logits);
    let (rows, summary) = changed.compare(&mut model);
    assert!(rows.iter().all(|row| row.agreement.holds()));
    assert_eq!(summary.absent["card"], ["global.sam", "first_logits"]);
    assert_eq!(summary.unknown, ["card.last_logits"]);

    // Numbers of another model.
    let reader = Changed::new("tiny-reader", "card00", "cards/card00.png");
    let (rows, _) = reader.compare(&mut model);
    assert!(
        rows.iter()
            .any(|row| matches!(row.agreement, Agreement::Size { .. }))
    );
    assert!(rows.iter().all(|row| !row.agreement.holds()), "{rows:?}");

    // A set whose rule the engine does not follow.
    let changed = card();
    let text = std::fs::read_to_string(changed.folder.path().join("reference.json")).unwrap();
    let text = text.replace("<td>", "<tr>");
    std::fs::write(changed.folder.path().join("reference.json"), text).unwrap();
    let bytes = std::fs::read(data("tiny-deepseek-ocr").join("reference.safetensors")).unwrap();
    std::fs::write(changed.folder.path().join("reference.safetensors"), bytes).unwrap();
    let set = Set::open(changed.folder.path()).unwrap();
    let refused = compare(&mut model, &set, Tolerances::FLOAT32, &mut |_| {});
    assert!(matches!(refused, Err(VerifyError::Set(e)) if e.to_string().contains("rule")));
}
