//! The whole program with the real default models: arrivals of every kind, crashes at every durable
//! step, killed processes.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dropleaf::job::{Ledger, Stamp, State};
use support::{Place, alive, pdf, wait};

const LIMIT: Duration = Duration::from_secs(600);

/// Words that a small page shows, the same for its name.
fn words(i: usize) -> String {
    format!("Sheet number {i} of many")
}

/// Drops `count` files into the inbox in four ways; returns their names below the inbox.
fn drop_files(place: &Place, count: usize, pauses: &[f64]) -> Vec<PathBuf> {
    let outside = place.at("outside");
    std::fs::create_dir_all(outside.join("batch")).unwrap();
    let mut names = Vec::new();
    let mut slow = Vec::new();
    for i in 0..count {
        let name = format!("sheet-{i}.pdf");
        let bytes = pdf(&[&words(i)]);
        match i % 4 {
            0 => {
                std::fs::write(outside.join(&name), &bytes).unwrap();
                std::fs::copy(outside.join(&name), place.at("inbox").join(&name)).unwrap();
            }
            1 => slow.push((name.clone(), bytes)),
            2 => {
                std::fs::write(outside.join(&name), &bytes).unwrap();
                std::fs::rename(outside.join(&name), place.at("inbox").join(&name)).unwrap();
            }
            _ => {
                std::fs::write(outside.join("batch").join(&name), &bytes).unwrap();
                names.push(Path::new("batch").join(&name));
                continue;
            }
        }
        names.push(name.into());
    }
    std::fs::rename(outside.join("batch"), place.at("inbox/batch")).unwrap();
    // All slow writers at once, each in three pieces.
    let mut open: Vec<_> = slow
        .iter()
        .map(|(name, bytes)| {
            let mut file = std::fs::File::create(place.at("inbox").join(name)).unwrap();
            file.write_all(&bytes[..bytes.len() / 3]).unwrap();
            (file, bytes)
        })
        .collect();
    for (part, pause) in [(1, pauses[0]), (2, pauses[1])] {
        std::thread::sleep(Duration::from_secs_f64(pause));
        for (file, bytes) in &mut open {
            let third = bytes.len() / 3;
            let end = if part == 2 { bytes.len() } else { 2 * third };
            file.write_all(&bytes[part * third..end]).unwrap();
        }
    }
    names
}

/// Asserts that every file was read once and filed, and nothing else is left.
fn assert_all_done(place: &Place, names: &[PathBuf]) {
    let done: BTreeSet<PathBuf> = place.files("done").into_iter().collect();
    assert_eq!(
        done,
        names.iter().cloned().collect::<BTreeSet<_>>(),
        "{}",
        place.log()
    );
    assert_eq!(place.files("failed"), Vec::<PathBuf>::new());
    for name in names {
        let stem = name.file_stem().unwrap().to_str().unwrap();
        let output = name.with_extension("");
        let i: usize = stem.trim_start_matches("sheet-").parse().unwrap();
        place.assert_output(output.to_str().unwrap(), stem, 1, &words(i));
    }
    let staged = place.files("output/.dropleaf-staging");
    assert_eq!(staged, Vec::<PathBuf>::new());
}

/// Ends the polling thread when a test ends, also by a panic.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn arrivals(count: usize, pauses: &[f64]) {
    let place = Place::new();
    place.old("notes.txt", b"not a document");
    let agent = place.agent();
    let over = AtomicBool::new(false);
    let names = std::thread::scope(|scope| {
        let _end = SetAtEnd(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                place.results();
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let names = drop_files(&place, count, pauses);
        let limit = LIMIT + Duration::from_secs(5 * count as u64);
        wait("all files read", limit, || {
            place.results().is_some_and(|r| r["processed"] == count)
        });
        names
    });
    assert_eq!(agent.stop(), Some(0), "{}", place.log());
    let results = place.results().unwrap();
    for (key, value) in [
        ("total_files", count),
        ("processed", count),
        ("successful", count),
        ("failed", 0),
    ] {
        assert_eq!(results[key], value, "{key}");
    }
    assert!(results["end_time"].is_string());
    assert_all_done(&place, &names);
    let log = place.log();
    for name in &names {
        assert_eq!(
            log.matches(&format!(" {}: done", name.display())).count(),
            1,
            "{}",
            name.display()
        );
    }
    assert_eq!(place.files("inbox"), [PathBuf::from("notes.txt")]);
}

#[test]
fn every_way_of_arriving_is_read_once() {
    arrivals(24, &[3.0, 1.0]);
}

#[test]
#[ignore = "takes ten minutes: two hundred files, pauses of five seconds"]
fn two_hundred_arrivals_are_read_once() {
    arrivals(200, &[5.0, 5.0]);
}

fn kills(count: usize, kills: u32) {
    let place = Place::new();
    let mut agent = place.agent();
    let names = drop_files(&place, count, &[0.5, 0.5]);
    let mut seed = 88_172_645_463_325_252u64;
    for turn in 0..kills {
        // Xorshift (Marsaglia 2003): between the start and some documents later.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let moment = Duration::from_millis(3000 + seed % 9000);
        std::thread::sleep(moment);
        let children = agent.children();
        agent.kill();
        wait(
            "children end with their agent",
            Duration::from_secs(10),
            || !children.iter().any(|&c| alive(c)),
        );
        // Every original exists exactly once, between any two steps.
        for name in &names {
            let places = ["inbox", "done"]
                .iter()
                .filter(|f| place.at(f).join(name).exists())
                .count();
            assert_eq!(places, 1, "{} after kill {turn}", name.display());
        }
        // What is published is whole.
        for name in &names {
            let output = name.with_extension("");
            if place.at("output").join(&output).exists() {
                let stem = name.file_stem().unwrap().to_str().unwrap();
                let i: usize = stem.trim_start_matches("sheet-").parse().unwrap();
                place.assert_output(output.to_str().unwrap(), stem, 1, &words(i));
            }
        }
        place.results();
        agent = place.agent();
    }
    let limit = LIMIT + Duration::from_secs(5 * count as u64);
    wait("all files filed", limit, || {
        place.files("done").len() == count && place.files("inbox").is_empty()
    });
    wait("the last is told", LIMIT, || {
        place.results().is_some_and(|r| r["processed"] == count)
    });
    assert_eq!(agent.stop(), Some(0), "{}", place.log());
    assert_all_done(&place, &names);
}

#[test]
fn a_killed_agent_loses_and_repeats_nothing() {
    kills(12, 3);
}

#[test]
#[ignore = "takes fifteen minutes: two hundred files, twenty kills"]
fn twenty_kills_lose_and_repeat_nothing() {
    kills(200, 20);
}

#[test]
fn a_crash_between_any_two_durable_steps_is_mended() {
    if !cfg!(debug_assertions) {
        panic!("crash points exist only in builds with debug assertions");
    }
    let mut step = 1;
    loop {
        let place = Place::new();
        place.old("sub/good.pdf", &pdf(&["Good words here"]));
        place.old("bad.pdf", b"this is no PDF at all");
        let crashed = place
            .command(&["watch", "--once"])
            .env("DROPLEAF_CRASH_AT", step.to_string())
            .output()
            .unwrap();
        let ended = crashed.status.code();
        if ended.is_none() {
            let after = place.command(&["watch", "--once"]).output().unwrap();
            let code = after.status.code();
            assert!(
                code == Some(1) || code == Some(0),
                "step {step}: {}",
                String::from_utf8_lossy(&after.stderr)
            );
        } else {
            assert_eq!(
                ended,
                Some(1),
                "{}",
                String::from_utf8_lossy(&crashed.stderr)
            );
        }
        let step_text = format!("step {step}");
        assert_eq!(place.files("inbox"), Vec::<PathBuf>::new(), "{step_text}");
        assert_eq!(
            place.files("done"),
            [PathBuf::from("sub/good.pdf")],
            "{step_text}"
        );
        assert_eq!(
            place.files("failed"),
            [PathBuf::from("bad.pdf"), "bad.pdf.reason.json".into()],
            "{step_text}"
        );
        place.assert_output("sub/good", "good", 1, "Good words here");
        assert_eq!(
            place.files("output/.dropleaf-staging"),
            Vec::<PathBuf>::new(),
            "{step_text}"
        );
        let results = place.results().unwrap();
        assert_eq!(
            (&results["successful"], &results["failed"]),
            (&1.into(), &1.into()),
            "{step_text}"
        );
        if ended.is_some() {
            println!("{} durable steps", step - 1);
            assert!(step > 20, "only {step} durable steps were counted");
            return;
        }
        step += 1;
    }
}

#[test]
fn a_killed_child_costs_a_retry_and_two_cost_the_document() {
    let place = Place::new();
    let pages: Vec<String> = (0..8).map(|i| format!("Page {i} of a book")).collect();
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    let config = std::fs::read_to_string(place.at("dropleaf.toml")).unwrap();
    // Each page that was read is a line then.
    let config = format!("{config}[log]\nlevel = \"debug\"\n");
    std::fs::write(place.at("dropleaf.toml"), config).unwrap();
    let agent = place.agent();
    wait("ready", LIMIT, || place.log().contains("ready:"));
    place.old("once.pdf", &pdf(&pages));
    let kill_one = |name: &str| {
        let read = || place.log().matches(&format!("{name}: page ")).count();
        let (pages, deaths) = (read(), place.log().matches("died").count());
        // Its document is open, or has been.
        wait("a page is read", LIMIT, || read() > pages);
        wait("a child", LIMIT, || !agent.children().is_empty());
        let child = agent.children()[0];
        let pid = rustix::process::Pid::from_raw(child as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        wait("the death is seen", LIMIT, || {
            place.log().matches("died").count() > deaths
        });
    };
    kill_one("once.pdf");
    wait("the document is read all the same", LIMIT, || {
        place.at("done/once.pdf").exists()
    });
    place.assert_output("once", "once", 8, "Page 7 of a book");
    place.old("twice.pdf", &pdf(&pages));
    kill_one("twice.pdf");
    kill_one("twice.pdf");
    wait("the document failed", LIMIT, || {
        place.at("failed/twice.pdf.reason.json").exists()
    });
    let reason = std::fs::read_to_string(place.at("failed/twice.pdf.reason.json")).unwrap();
    assert!(reason.contains("died (signal 9), 2 times"), "{reason}");
    // The line is written after the file: the reason is there before it is told.
    wait("the failure is told", LIMIT, || {
        place.log().contains("twice.pdf: failed, ")
    });
    let log = place.log();
    let line = log.lines().find(|l| l.contains("twice.pdf: failed, "));
    let told = |what: &str| line.is_some_and(|l| l.contains(what));
    assert!(told(" of 8 pages read in "), "{log}");
    assert!(told(" pages/s") && told(", 2 times"), "{log}");
    place.old("after.pdf", &pdf(&["Still here"]));
    wait("the agent goes on", LIMIT, || {
        place.at("done/after.pdf").exists()
    });
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_name_that_comes_again_replaces_or_is_numbered() {
    let place = Place::new();
    let once = || {
        let out = place.command(&["watch", "--once"]).output().unwrap();
        assert_eq!(
            out.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    };
    place.old("scan.pdf", &pdf(&["The first scan"]));
    once();
    place.old("scan.pdf", &pdf(&["The first scan"]));
    once();
    assert_eq!(
        place.files("done"),
        [PathBuf::from("scan-2.pdf"), "scan.pdf".into()]
    );
    place.assert_output("scan", "scan", 1, "The first scan");
    place.old("scan.pdf", &pdf(&["Another scan"]));
    once();
    place.assert_output("scan", "scan", 1, "The first scan");
    place.assert_output("scan-2", "scan", 1, "Another scan");
    assert_eq!(place.files("done").len(), 3);
    assert!(!support::exists(&place.at("output/scan-3")));
}

#[test]
fn a_document_whose_staged_output_is_gone_is_read_again() {
    let place = Place::new();
    place.old("a.pdf", &pdf(&["Read twice"]));
    let source = Path::new("a.pdf");
    let file = place.at("inbox/a.pdf");
    // As a crash after the decision leaves it, and somebody who clears the staging folder.
    {
        let ledger = Ledger::open(&place.at("state/ledger.sqlite")).unwrap();
        ledger.admit(source, Stamp::of(&file).unwrap()).unwrap();
        let id = ledger.oldest(1).unwrap()[0].id;
        let digest = dropleaf::durable::digest(&file).unwrap();
        ledger.begin(id, &digest, false, &|_| false).unwrap();
        let summary = serde_json::json!({
            "input_path": "a.pdf", "output_directory": "a/", "processed_at": "", "success": true,
            "error": null, "pages": 1, "original_moved_to": null, "seconds": 1.0, "attempts": 1,
            "engine": "paddle", "page_status": {},
        });
        ledger
            .decide(id, State::Publishing, None, &summary.to_string())
            .unwrap();
    }
    let out = place.command(&["watch", "--once"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert_eq!(
        said.matches("its staged output is gone").count(),
        1,
        "{said}"
    );
    assert_eq!(said.matches("a.pdf: done, ").count(), 1, "{said}");
    assert!(said.contains("attempt 2"), "{said}");
    place.assert_output("a", "a", 1, "Read twice");
    assert_eq!(place.files("done"), [PathBuf::from("a.pdf")]);
    assert_eq!(place.results().unwrap()["processed"], 1);
}

#[test]
fn two_copies_of_one_file_are_both_done() {
    let place = Place::new();
    let pages = ["One", "Two", "Three", "Four"];
    for name in ["a.pdf", "b.pdf"] {
        place.old(name, &pdf(&pages));
    }
    let out = place.command(&["watch", "--once"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert_eq!(
        place.files("done"),
        [PathBuf::from("a.pdf"), "b.pdf".into()]
    );
    for stem in ["a", "b"] {
        place.assert_output(stem, stem, 4, "Four");
    }
}

#[test]
fn process_leaves_originals_and_says_what_failed() {
    let place = Place::new();
    let (input, out) = (place.at("input"), place.at("out"));
    std::fs::create_dir_all(input.join("sub")).unwrap();
    std::fs::write(input.join("sub/a.pdf"), pdf(&["Alpha", "Beta"])).unwrap();
    std::fs::write(input.join("broken.pdf"), b"%PDF-1.4 and no more").unwrap();
    let run = |inputs: &[&Path]| {
        let mut command = place.command(&["process"]);
        command
            .args(inputs)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap()
    };
    let first = run(&[&input]);
    assert_eq!(
        first.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );
    let results: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("processing_results.json")).unwrap())
            .unwrap();
    assert_eq!(results["files"]["sub/a.pdf"]["pages"], 2);
    assert_eq!(results["files"]["broken.pdf"]["success"], false);
    let failed = std::fs::read_to_string(out.join("failed.json")).unwrap();
    assert!(failed.contains("is damaged"), "{failed}");
    assert!(input.join("sub/a.pdf").exists() && input.join("broken.pdf").exists());
    let text = std::fs::read_to_string(out.join("sub/a/a.mmd")).unwrap();
    assert!(text.contains("Alpha") && text.contains("Beta"));
    // Again into the same folder: its own outputs are replaced, nothing is numbered.
    std::fs::write(input.join("sub/a.pdf"), pdf(&["Gamma"])).unwrap();
    assert_eq!(run(&[&input.join("sub/a.pdf")]).status.code(), Some(0));
    assert!(
        std::fs::read_to_string(out.join("a/a.mmd"))
            .unwrap()
            .contains("Gamma")
    );
    assert_eq!(run(&[&input]).status.code(), Some(1));
    assert!(
        std::fs::read_to_string(out.join("sub/a/a.mmd"))
            .unwrap()
            .contains("Gamma")
    );
    assert!(!out.join("sub/a-2").exists());
    assert_eq!(
        run(&[Path::new("/no/such/file.pdf")]).status.code(),
        Some(2)
    );
}

#[test]
fn process_removes_nothing_that_it_did_not_write() {
    let place = Place::new();
    let out = place.at("out");
    std::fs::create_dir_all(out.join("photos")).unwrap();
    std::fs::write(out.join("photos/cat.jpg"), "mine").unwrap();
    std::fs::create_dir_all(out.join("a")).unwrap();
    std::fs::write(out.join("photos.pdf"), pdf(&["Photos of cats"])).unwrap();
    std::fs::write(out.join("a.pdf"), pdf(&["The outer one"])).unwrap();
    std::fs::write(out.join("a/b.pdf"), pdf(&["The inner one"])).unwrap();
    let text = |path: &str| std::fs::read_to_string(out.join(path)).unwrap_or_default();
    // The second run replaces what the first wrote.
    for _ in 0..2 {
        let ran = place
            .command(&["process"])
            .args(["photos.pdf", "a.pdf", "a/b.pdf"].map(|f| out.join(f)))
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(0), "{said}");
        assert_eq!(text("photos/cat.jpg"), "mine");
        assert!(text("photos-2/photos.mmd").contains("cats"));
        assert!(text("a-2/a.mmd").contains("outer"));
        assert!(text("a/b/b.mmd").contains("inner"));
        assert!(out.join("a/b.pdf").exists() && !out.join("a-3").exists());
    }
}

#[test]
fn process_keeps_apart_files_of_one_name() {
    let place = Place::new();
    let out = place.at("out");
    for turn in 0..2 {
        for (folder, output) in [("d1", "scan"), ("d2", "scan.pdf")] {
            let source = place.at(folder).join("scan.pdf");
            let shown = format!("Turn {turn} of {folder}");
            std::fs::create_dir_all(place.at(folder)).unwrap();
            std::fs::write(&source, pdf(&[&shown])).unwrap();
            let mut command = place.command(&["process"]);
            let ran = command.arg(source).arg("--out").arg(&out).output().unwrap();
            let said = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(ran.status.code(), Some(0), "{said}");
            let text = std::fs::read_to_string(out.join(output).join("scan.mmd")).unwrap();
            assert!(text.contains(&shown), "{text}");
        }
    }
    let text = std::fs::read_to_string(out.join("scan/scan.mmd")).unwrap();
    assert!(text.contains("of d1"), "{text}");
}

#[test]
fn an_interrupted_process_tells_what_waits() {
    let place = Place::new();
    let out = place.at("out");
    let input = place.at("input");
    std::fs::create_dir_all(&input).unwrap();
    std::fs::write(input.join("short.pdf"), pdf(&["Short"])).unwrap();
    std::fs::write(input.join("long.pdf"), pdf(&["A page of many"; 200])).unwrap();
    let mut command = place.command(&["process"]);
    let mut run = command.arg(&input).arg("--out").arg(&out).spawn().unwrap();
    let results = || {
        let bytes = std::fs::read(out.join("processing_results.json")).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or(serde_json::Value::Null)
    };
    wait("the short one is read", LIMIT, || {
        results()["processed"] == 1
    });
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    run.wait().unwrap();
    let told = results();
    assert_eq!(told["total_files"], 2);
    assert!(told["end_time"].is_null());
}

#[test]
fn failed_documents_can_be_retried_and_status_tells() {
    let place = Place::new();
    place.old("x/bad.pdf", b"words");
    let out = place.command(&["watch", "--once"]).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    let status = place.command(&["status", "--json"]).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(
        (&status["failed"], &status["running"]),
        (&1.into(), &false.into())
    );
    assert_eq!(status["last_failures"][0]["name"], "x/bad.pdf");
    let reason = std::fs::read_to_string(place.at("failed/x/bad.pdf.reason.json")).unwrap();
    assert!(reason.contains("dropleaf retry x/bad.pdf"), "{reason}");
    let began = Instant::now();
    let retried = place.command(&["retry", "--all"]).output().unwrap();
    assert!(retried.status.success() && began.elapsed() < Duration::from_secs(10));
    assert_eq!(place.files("inbox"), [PathBuf::from("x/bad.pdf")]);
    assert_eq!(place.files("failed"), Vec::<PathBuf>::new());
}

#[test]
fn settings_are_read_again_while_it_runs() {
    let place = Place::new();
    let agent = place.agent();
    wait("ready", LIMIT, || place.log().contains("ready:"));
    let first = std::fs::read_to_string(place.at("dropleaf.toml")).unwrap();
    let reread = |text: &str, told: &str| {
        std::fs::write(place.at("dropleaf.toml"), text).unwrap();
        agent.signal(rustix::process::Signal::HUP);
        wait(told, Duration::from_secs(10), || place.log().contains(told));
    };
    reread(&first, "settings read again: nothing has changed");
    place.old("quiet.pdf", &pdf(&["Before"]));
    wait("read", LIMIT, || place.at("done/quiet.pdf").exists());
    assert!(!place.log().contains("quiet.pdf: arrived"));
    let changed = format!("{first}threads = 1\n[log]\nlevel = \"debug\"\n");
    reread(
        &changed,
        "settings read again; in force now: log.level; after a restart only: engine.threads",
    );
    let broken = format!("{first}[log]\nlevel = \"error\"\n[wotch]\n");
    reread(
        &broken,
        "settings cannot be read again, those in force stay",
    );
    assert!(place.log().contains("wotch"), "{}", place.log());
    let level = format!("{first}[log]\nlevel = \"a=b=c\"\n");
    reread(&level, "those in force stay: log.level \"a=b=c\"");
    place.old("told.pdf", &pdf(&["After"]));
    wait("read", LIMIT, || place.at("done/told.pdf").exists());
    assert!(place.log().contains("told.pdf: arrived"), "{}", place.log());
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_second_agent_and_nested_folders_are_refused() {
    let place = Place::new();
    let agent = place.agent();
    wait("ready", LIMIT, || place.log().contains("ready:"));
    let second = place.command(&["watch"]).output().unwrap();
    assert_eq!(second.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another dropleaf watches it"));
    assert_eq!(agent.stop(), Some(0));
    let nested = place.at("inbox/out");
    let refused = place
        .command(&["watch", "--output", nested.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("inside the inbox"));
}
