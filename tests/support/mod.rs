//! What the tests of the whole program share: a place with folders, PDF files made here, a
//! running agent. The libraries and models are those of the data folder (packaging/fetch-assets).
#![allow(dead_code, clippy::unwrap_used)]

pub mod epub;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_dropleaf");

/// Folders of one agent.
pub struct Place {
    pub dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for folder in ["inbox", "output", "done", "failed", "state"] {
            std::fs::create_dir(place.at(folder)).unwrap();
        }
        let root = place.dir.path().display();
        let text = format!(
            "[folders]\ninbox = \"{root}/inbox\"\noutput = \"{root}/output\"\ndone = \"{root}/done\"\n\
             failed = \"{root}/failed\"\nstate = \"{root}/state\"\nlog = \"{root}/log\"\n\
             [watch]\nsettle_seconds = 0.3\n[engine]\ndevice = \"cpu\"\n"
        );
        std::fs::write(place.at("dropleaf.toml"), text).unwrap();
        place
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .arg("--config")
            .arg(self.at("dropleaf.toml"))
            .args(args)
            .stdin(Stdio::null());
        command
    }

    pub fn agent(&self) -> Agent {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.at("agent.log"))
            .unwrap();
        Agent(self.command(&["watch"]).stderr(log).spawn().unwrap())
    }

    /// A file that has been in the inbox for long.
    pub fn old(&self, name: &str, bytes: &[u8]) {
        let path = self.at("inbox").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .unwrap();
    }

    pub fn results(&self) -> Option<serde_json::Value> {
        let bytes = std::fs::read(self.at("output/processing_results.json")).ok()?;
        Some(
            serde_json::from_slice(&bytes)
                .expect("processing_results.json must be valid at every moment"),
        )
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.at("agent.log")).unwrap_or_default()
    }

    /// Files below a folder, relative, sorted.
    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        let root = self.at(folder);
        let mut out = Vec::new();
        let mut todo = vec![root.clone()];
        while let Some(folder) = todo.pop() {
            let Ok(entries) = std::fs::read_dir(folder) else {
                continue;
            };
            for entry in entries.flatten() {
                if entry.path().is_dir() {
                    todo.push(entry.path());
                } else {
                    out.push(entry.path().strip_prefix(&root).unwrap().to_path_buf());
                }
            }
        }
        out.sort();
        out
    }

    /// Asserts that a published document is whole and holds `words`.
    pub fn assert_output(&self, output: &str, stem: &str, pages: usize, words: &str) {
        let folder = self.at("output").join(output);
        let read = |suffix: &str| {
            let path = folder.join(format!("{stem}{suffix}"));
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let markdown = String::from_utf8(read(".mmd")).unwrap();
        assert!(markdown.contains(words), "{output}: {markdown}");
        assert_eq!(
            markdown.matches("<--- Page Split --->").count(),
            pages,
            "{output}"
        );
        let grounded = String::from_utf8(read("_det.mmd")).unwrap();
        assert_eq!(
            grounded.matches("<--- Page Split --->").count(),
            pages,
            "{output}"
        );
        assert!(read("_layouts.pdf").starts_with(b"%PDF-"), "{output}");
        let report: serde_json::Value = serde_json::from_slice(&read(".json")).unwrap();
        assert_eq!(report["pages"].as_array().unwrap().len(), pages, "{output}");
        assert_eq!(report["page_status"]["failed"], 0, "{output}");
    }
}

/// A running agent; killed when dropped.
pub struct Agent(pub Child);

impl Agent {
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.0.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends it as systemd does, and returns its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.0.wait().unwrap().code()
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Its document children.
    pub fn children(&self) -> Vec<u32> {
        children_of(self.0.id())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processes whose parent is `parent`, by `/proc/PID/stat`.
pub fn children_of(parent: u32) -> Vec<u32> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let after = stat.rsplit(')').next().unwrap_or_default();
        let mut fields = after.split_whitespace();
        if fields.next() != Some("Z") && fields.next().and_then(|f| f.parse().ok()) == Some(parent)
        {
            out.push(pid);
        }
    }
    out
}

pub fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with('Z')
    })
}

/// Waits until `done` says so; panics with `what` after `limit`.
pub fn wait(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A PDF whose pages each show one line of Helvetica, on a sheet of 300 by 120 points.
pub fn pdf(pages: &[&str]) -> Vec<u8> {
    sheet(pages, "/MediaBox [0 0 300 120]")
}

/// The same with other page attributes.
pub fn sheet(pages: &[&str], attributes: &str) -> Vec<u8> {
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!(
            "<< /Type /Pages /Count {} /Kids [{}] >>",
            pages.len(),
            (0..pages.len())
                .map(|i| format!("{} 0 R", 4 + 2 * i))
                .collect::<Vec<_>>()
                .join(" ")
        ),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    for (i, text) in pages.iter().enumerate() {
        let stream = format!("BT /F1 18 Tf 20 60 Td ({text}) Tj ET");
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R {attributes} /Resources << /Font << /F1 3 0 R >> >> /Contents {} 0 R >>",
            5 + 2 * i
        ));
        objects.push(format!(
            "<< /Length {} >>\nstream\n{stream}\nendstream",
            stream.len()
        ));
    }
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut at = Vec::new();
    for (i, object) in objects.iter().enumerate() {
        at.push(out.len());
        out.extend(format!("{} 0 obj\n{object}\nendobj\n", i + 1).bytes());
    }
    let table = out.len();
    out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for offset in at {
        out.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    out.extend(
        format!(
            "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n",
            objects.len() + 1
        )
        .bytes(),
    );
    out
}

pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
