//! The direction of the architecture: which room may name which.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn rooms_name_only_what_they_may() {
    let nouns = ["page", "pack", "durable", "config"];
    let mut may: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for room in ["document", "engine", "output"] {
        may.insert(room, nouns.to_vec());
    }
    may.insert("job", vec!["durable"]);
    may.insert("inbox", vec!["config", "job"]);
    may.insert("observe", vec!["config"]);
    may.insert("import", vec!["pack", "durable"]);
    may.insert("pack", vec!["durable"]);
    for room in ["service", "page", "durable", "config"] {
        may.insert(room, vec![]);
    }
    let rooms = [
        "document", "engine", "import", "output", "job", "inbox", "observe", "service",
    ];
    let all: Vec<&str> = rooms.into_iter().chain(nouns).collect();
    may.insert("agent", all.clone());
    may.insert("cli", all.into_iter().chain(["agent"]).collect());

    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    let mut todo = vec![source.clone()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            let below = path.strip_prefix(&source).unwrap();
            let room = below
                .iter()
                .next()
                .unwrap()
                .to_str()
                .unwrap()
                .trim_end_matches(".rs");
            if matches!(room, "main" | "lib") {
                continue;
            }
            let allowed = may
                .get(room)
                .unwrap_or_else(|| panic!("{room} is not in the table"));
            let text = std::fs::read_to_string(&path).unwrap();
            for (i, _) in text.match_indices("crate::") {
                let rest = &text[i + "crate::".len()..];
                let named: &str = rest
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .next()
                    .unwrap();
                assert!(
                    named == room || allowed.contains(&named) || named.is_empty(),
                    "{}: crate::{named} from the room {room}",
                    below.display()
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "only {seen} uses were found");
}
