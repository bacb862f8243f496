//! The direction of the architecture: which room may name which.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

/// The rooms that a file's code names: `crate::room` in paths, `crate::{room, room::{..}}` in
/// imports; `*` for a glob over all rooms. Comments do not count.
fn named(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| {
            // Not the slashes of a URL in a string.
            let end = line
                .match_indices("//")
                .map(|(at, _)| at)
                .find(|&at| !line[..at].ends_with(':'));
            format!("{}\n", &line[..end.unwrap_or(line.len())])
        })
        .collect();
    let word = |text: &str| -> String {
        let text = text.trim_start();
        if text.starts_with('*') {
            return "*".into();
        }
        text.chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let mut out = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        let rest = code[at + found.len()..].trim_start();
        let Some(group) = rest.strip_prefix('{') else {
            out.push(word(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (i, c) in group.char_indices() {
            if depth == 0 && matches!(c, ',' | '}') {
                out.push(word(&group[start..i]));
                start = i + 1;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    // After a trailing comma stands nothing.
    out.retain(|name| !name.is_empty());
    out
}

#[test]
fn every_form_of_naming_a_room_is_seen() {
    for (code, rooms) in [
        ("use crate::config::Pdf;", vec!["config"]),
        ("fn f(x: &crate::page::Leaf) {} // crate::job", vec!["page"]),
        ("use crate::{a, b};", vec!["a", "b"]),
        (
            "use crate::{\n    a::{self, x::{y, z}},\n    b::c, // why\n    d as e,\n};\nuse f::{g, h};",
            vec!["a", "b", "d"],
        ),
        (
            "pub(in crate::a) use crate::{self as c};",
            vec!["a", "self"],
        ),
        ("use crate::*; use crate::{*, a};", vec!["*", "*", "a"]),
        ("//! [`crate::job`]\n/// crate::job\nlet a = 1;", vec![]),
        ("f(\"http://x\", crate::job::g())", vec!["job"]),
    ] {
        assert_eq!(named(code), rooms, "{code}");
    }
}

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
            for named in named(&text) {
                assert!(
                    named == room || allowed.contains(&&*named),
                    "{}: crate::{named} from the room {room}",
                    below.display()
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "only {seen} uses were found");
}
