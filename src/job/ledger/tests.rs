//! Steps of jobs on a ledger of its own.

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::job::{Job, State};

fn ledger() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
    (dir, ledger)
}

fn run(ledger: &Ledger, source: &str, digest: &str) -> Job {
    ledger
        .admit(
            Path::new(source),
            Stamp {
                size: 1,
                mtime_ns: 2,
                inode: 3,
            },
        )
        .unwrap();
    let open = ledger.open_jobs().unwrap();
    let job = ledger.begin(open[0].id, digest, false, &|_| false).unwrap();
    ledger.finish(job.id, State::Done, "{}").unwrap();
    job
}

#[test]
fn names_follow_source_and_content() {
    let (_dir, ledger) = ledger();
    let out = |j: Job| (j.output.unwrap().to_str().unwrap().to_owned(), j.number);
    assert_eq!(out(run(&ledger, "x/a.pdf", "1")), ("x/a".into(), 1));
    assert_eq!(out(run(&ledger, "x/a.epub", "2")), ("x/a.epub".into(), 1));
    assert_eq!(
        out(run(&ledger, "x/a.pdf", "1")),
        ("x/a".into(), 1),
        "same content: its own place"
    );
    assert_eq!(
        out(run(&ledger, "x/a.pdf", "3")),
        ("x/a-2".into(), 2),
        "other content: numbered"
    );
    assert_eq!(out(run(&ledger, "a.pdf", "1")), ("a".into(), 1));
}

fn begin(ledger: &Ledger, source: &str, digest: &str, taken: &dyn Fn(&Path) -> bool) -> Job {
    let stamp = Stamp {
        size: 1,
        mtime_ns: 2,
        inode: 3,
    };
    ledger.admit(Path::new(source), stamp).unwrap();
    let open = ledger.open_jobs().unwrap();
    let job = open.iter().find(|j| j.source == Path::new(source)).unwrap();
    ledger.begin(job.id, digest, true, taken).unwrap()
}

#[test]
fn what_the_ledger_does_not_know_is_never_replaced() {
    let (_dir, ledger) = ledger();
    let out = |j: &Job| (j.output.clone().unwrap(), j.replaces);
    // Somebody's folder `photos` stands beside photos.pdf.
    let job = begin(&ledger, "photos.pdf", "1", &|p| p == Path::new("photos"));
    assert_eq!(out(&job), ("photos-2".into(), false));
    ledger.finish(job.id, State::Done, "{}").unwrap();
    let job = begin(&ledger, "photos.pdf", "2", &|_| true);
    assert_eq!(out(&job), ("photos-2".into(), true), "its own is replaced");
}

#[test]
fn an_output_that_holds_another_is_not_replaced() {
    let (_dir, ledger) = ledger();
    for source in ["a.pdf", "a/b.pdf"] {
        let job = begin(&ledger, source, source, &|_| false);
        ledger.finish(job.id, State::Done, "{}").unwrap();
    }
    let job = begin(&ledger, "a/b.pdf", "a/b.pdf", &|_| true);
    assert!(job.replaces);
    let on_disk = |p: &Path| p == Path::new("a") || p == Path::new("a/b");
    let job = begin(&ledger, "a.pdf", "a.pdf", &on_disk);
    assert_eq!(job.output.as_deref(), Some(Path::new("a-2")));
    assert!(!job.replaces);
}

#[test]
fn a_new_name_takes_nobodys_place() {
    let (_dir, ledger) = ledger();
    let other = begin(&ledger, "a-2.pdf", "2", &|_| false);
    let job = begin(&ledger, "a.pdf", "1", &|_| false);
    assert_eq!(other.output.as_deref(), Some(Path::new("a-2")));
    assert!(!ledger.rename_output(job.id, Path::new("a-2")).unwrap());
    assert!(ledger.rename_output(job.id, Path::new("a-3")).unwrap());
    ledger.finish(job.id, State::Done, "{}").unwrap();
    let again = begin(&ledger, "a.pdf", "1", &|_| true);
    let out = (again.output.as_deref(), again.replaces);
    assert_eq!(out, (Some(Path::new("a-3")), true));
}

#[test]
fn readings_stay_while_a_twin_is_open() {
    let (_dir, ledger) = ledger();
    let first = begin(&ledger, "a.pdf", "d", &|_| false);
    let second = begin(&ledger, "b.pdf", "d", &|_| false);
    ledger.keep_reading("d", "m", "s", 0, "{}").unwrap();
    ledger.finish(first.id, State::Done, "{}").unwrap();
    assert_eq!(ledger.pages_read("d", "m", "s").unwrap(), [0]);
    ledger.finish(second.id, State::Done, "{}").unwrap();
    assert!(ledger.pages_read("d", "m", "s").unwrap().is_empty());
}

#[test]
fn a_job_whose_output_is_lost_is_read_again() {
    let (_dir, ledger) = ledger();
    let id = begin(&ledger, "a.pdf", "d", &|_| false).id;
    ledger.keep_reading("d", "m", "s", 0, "{}").unwrap();
    ledger.decide(id, State::Publishing, None, "{}").unwrap();
    ledger.undecide(id).unwrap();
    let open = ledger.open_jobs().unwrap();
    assert_eq!((open[0].id, open[0].state), (id, State::Waiting));
    assert_eq!(ledger.pages_read("d", "m", "s").unwrap(), [0]);
}

#[test]
fn a_file_that_came_while_another_was_read_is_not_taken_for_it() {
    let (_dir, ledger) = ledger();
    let read = begin(&ledger, "a.pdf", "d", &|_| false);
    let newer = Stamp {
        size: 9,
        mtime_ns: 9,
        inode: 9,
    };
    assert!(!ledger.admit(Path::new("a.pdf"), newer).unwrap());
    ledger
        .decide(read.id, State::Publishing, None, "{}")
        .unwrap();
    let job = ledger.job(read.id).unwrap().unwrap();
    assert_eq!(job.stamp, read.stamp);
    assert_eq!(job.digest.as_deref(), Some("d"));
}

#[test]
fn numbers_of_jobs_are_never_used_again() {
    let (_dir, mut ledger) = ledger();
    let first = run(&ledger, "a.pdf", "1").id;
    ledger.begin_run(Path::new("/d"), &|_| None).unwrap();
    assert!(run(&ledger, "a.pdf", "2").id > first);
}

/// The tables as version 2 made them.
const VERSION_2: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, source BLOB NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
  inode INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  child_deaths INTEGER NOT NULL DEFAULT 0, output BLOB, replaces INTEGER NOT NULL DEFAULT 0,
  digest TEXT, reason TEXT, number INTEGER NOT NULL DEFAULT 1, summary TEXT, finish INTEGER);
CREATE INDEX IF NOT EXISTS jobs_open ON jobs(state) WHERE state NOT IN ('done','failed');
CREATE INDEX IF NOT EXISTS jobs_source ON jobs(source);
CREATE UNIQUE INDEX IF NOT EXISTS jobs_finish ON jobs(finish) WHERE finish IS NOT NULL;
CREATE TABLE IF NOT EXISTS outputs (path BLOB PRIMARY KEY, source BLOB NOT NULL, digest TEXT NOT NULL,
  number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS readings (digest TEXT, model TEXT, settings TEXT, page INTEGER, json TEXT NOT NULL,
  PRIMARY KEY (digest, model, settings, page)) WITHOUT ROWID;
PRAGMA user_version = 2;
";

/// What a full count of the table says.
fn counted(ledger: &Ledger) -> Counts {
    let count = |state: &str| {
        ledger
            .with(|c| {
                c.query_row(
                    &format!("SELECT COUNT(*) FROM jobs WHERE state {state}"),
                    [],
                    |r| r.get::<_, i64>(0),
                )
            })
            .unwrap() as u64
    };
    Counts {
        open: count("NOT IN ('done','failed')"),
        done: count("= 'done'"),
        failed: count("= 'failed'"),
    }
}

#[test]
fn ledgers_of_older_versions_are_renewed() {
    let version_1 = VERSION_2
        .replace(" AUTOINCREMENT", "")
        .replace("user_version = 2", "user_version = 1");
    for schema in [&*version_1, VERSION_2] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(schema).unwrap();
        old.execute_batch(
            "INSERT INTO jobs (id, source, size, mtime, inode, state, finish) VALUES
             (4, x'60', 1, 2, 3, 'done', 1), (5, x'60', 1, 2, 3, 'failed', 2),
             (6, x'60', 1, 2, 3, 'done', 3), (7, x'61', 1, 2, 3, 'waiting', NULL);
             INSERT INTO outputs VALUES (x'62', x'63', 'd', 1);",
        )
        .unwrap();
        drop(old);
        for _ in 0..2 {
            let ledger = Ledger::open(&path).unwrap();
            let job = ledger.job(7).unwrap().unwrap();
            assert_eq!((job.source, job.stamp.inode), ("a".into(), 3));
            let counts = Counts {
                open: 1,
                done: 2,
                failed: 1,
            };
            assert_eq!(ledger.counts().unwrap(), counts);
            assert_eq!(counted(&ledger), counts);
        }
        let ledger = Ledger::open(&path).unwrap();
        ledger.withdraw(7).unwrap();
        assert!(run(&ledger, "b.pdf", "1").id > 7);
        assert_eq!(ledger.finished(1).unwrap()[0].index, 4);
        assert_eq!(ledger.counts().unwrap(), counted(&ledger));
    }
}

proptest! {
    // Every step is a commit that is synced.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens to jobs, the counters say what a full count says.
    #[test]
    fn counters_equal_the_full_count(steps in proptest::collection::vec((0u8..9, 0usize..4), 0..40)) {
        let (dir, mut ledger) = ledger();
        let stamp = Stamp { size: 1, mtime_ns: 2, inode: 3 };
        for (step, which) in steps {
            let source = PathBuf::from(format!("{which}.pdf"));
            let open = ledger.open_jobs().unwrap();
            let id = open.get(which).map(|job| job.id);
            match (step, id) {
                (0 | 1, _) => drop(ledger.admit(&source, stamp).unwrap()),
                (2, Some(id)) => drop(ledger.begin(id, "d", false, &|_| false).unwrap()),
                (3, Some(id)) => ledger.decide(id, State::Publishing, None, "{}").unwrap(),
                (4, Some(id)) => ledger.decide(id, State::Failing, Some("why"), "{}").unwrap(),
                (5, Some(id)) => ledger.undecide(id).unwrap(),
                (6, Some(id)) => {
                    let end = [State::Done, State::Failed][which % 2];
                    ledger.finish(id, end, "{}").unwrap();
                    // Told twice after a crash.
                    ledger.finish(id, end, "{}").unwrap();
                }
                (7, Some(id)) => ledger.withdraw(id).unwrap(),
                (8, _) if which == 0 => ledger.begin_run(Path::new("/r"), &|_| Some(stamp)).unwrap(),
                (8, _) => ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap(),
                _ => {}
            }
            prop_assert_eq!(ledger.counts().unwrap(), counted(&ledger));
        }
    }
}

#[test]
fn no_step_of_a_job_looks_at_every_finished_one() {
    use super::jobs::{NEXT_FINISH, OPEN, TWIN};
    let (_dir, ledger) = ledger();
    for sql in [
        NEXT_FINISH.to_owned(),
        format!("SELECT id, source {OPEN} LIMIT 1"),
        format!("SELECT 1 FROM readings WHERE digest='d' AND NOT EXISTS ({TWIN})"),
    ] {
        let plan: Vec<String> = ledger
            .with(|c| {
                c.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?
                    .query_map([], |r| r.get(3))?
                    .collect()
            })
            .unwrap();
        let of_jobs: Vec<_> = plan.iter().filter(|step| step.contains("jobs")).collect();
        assert!(!of_jobs.is_empty(), "{plan:?}");
        for step in of_jobs {
            assert!(step.contains("INDEX jobs_"), "{sql}: {plan:?}");
        }
    }
}

#[test]
fn files_of_one_name_in_other_folders_own_other_outputs() {
    let (_dir, mut ledger) = ledger();
    let stamp = Stamp {
        size: 1,
        mtime_ns: 2,
        inode: 3,
    };
    let out = |job: Job| (job.output.unwrap(), job.replaces);
    let mut scan = |root: &str, there: &[&str]| {
        ledger.begin_run(Path::new(root), &|_| Some(stamp)).unwrap();
        let taken = |p: &Path| there.iter().any(|t| p == Path::new(t));
        let job = begin(&ledger, "scan.pdf", root, &taken);
        ledger.finish(job.id, State::Done, "{}").unwrap();
        out(job)
    };
    assert_eq!(scan("/1", &[]), ("scan".into(), false));
    assert_eq!(scan("/2", &["scan"]), ("scan.pdf".into(), false));
    assert_eq!(scan("/1", &["scan", "scan.pdf"]), ("scan".into(), true));
    // An interrupted run goes on only with the same files.
    let id = begin(&ledger, "scan.pdf", "d", &|_| true).id;
    ledger.begin_run(Path::new("/1"), &|_| Some(stamp)).unwrap();
    assert!(ledger.job(id).unwrap().is_some());
    ledger.decide(id, State::Publishing, None, "{}").unwrap();
    let newer = Stamp { size: 9, ..stamp };
    ledger.begin_run(Path::new("/1"), &|_| Some(newer)).unwrap();
    assert!(ledger.job(id).unwrap().is_none());
    let id = begin(&ledger, "scan.pdf", "d", &|_| true).id;
    ledger.begin_run(Path::new("/2"), &|_| Some(stamp)).unwrap();
    assert!(ledger.job(id).unwrap().is_none());
}

#[test]
fn a_withdrawn_job_gives_its_name_back() {
    let (_dir, ledger) = ledger();
    let stamp = Stamp {
        size: 1,
        mtime_ns: 2,
        inode: 3,
    };
    ledger.admit(Path::new("a.pdf"), stamp).unwrap();
    let id = ledger.open_jobs().unwrap()[0].id;
    ledger.begin(id, "half", false, &|_| false).unwrap();
    ledger.withdraw(id).unwrap();
    assert_eq!(
        run(&ledger, "a.pdf", "whole").output.unwrap(),
        Path::new("a")
    );
}

#[test]
fn an_arrival_is_admitted_once_and_readings_go_at_the_end() {
    let (_dir, ledger) = ledger();
    let stamp = Stamp {
        size: 1,
        mtime_ns: 2,
        inode: 3,
    };
    assert!(ledger.admit(Path::new("a.pdf"), stamp).unwrap());
    assert!(!ledger.admit(Path::new("a.pdf"), stamp).unwrap());
    let id = ledger.open_jobs().unwrap()[0].id;
    ledger.begin(id, "d", false, &|_| false).unwrap();
    ledger.keep_reading("d", "m", "s", 4, "{}").unwrap();
    assert_eq!(ledger.pages_read("d", "m", "s").unwrap(), [4]);
    assert_eq!(
        ledger.reading("d", "m", "s", 4).unwrap().as_deref(),
        Some("{}")
    );
    assert!(ledger.pages_read("d", "other", "s").unwrap().is_empty());
    ledger.finish(id, State::Done, "{}").unwrap();
    assert!(ledger.pages_read("d", "m", "s").unwrap().is_empty());
    assert_eq!(
        ledger.counts().unwrap(),
        Counts {
            open: 0,
            done: 1,
            failed: 0
        }
    );
}
