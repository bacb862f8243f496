//! Settings that are read again while the agent runs: which of them can be taken over.
//!
//! What is asked for anew for each scan, document or child can; what threads, locks and models
//! were made of cannot. Names are told, values never: passwords are among them.

use serde::Serialize;

use super::{Config, Watch};

/// Settings that differ, named `table.key`; their values are nobody's business (passwords).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// In force now.
    pub applied: Vec<String>,
    /// Not before a restart.
    pub restart: Vec<String>,
}

impl Config {
    /// Takes over what may change while the agent runs: what is asked for anew for each scan, each
    /// document or each child, and the log's level. Folders, engine and the rest stay.
    pub fn renew(&mut self, new: &Self) -> Renewed {
        let before = self.clone();
        let polling = self.watch.polling;
        self.watch = Watch {
            polling,
            ..new.watch.clone()
        };
        self.pdf.clone_from(&new.pdf);
        self.epub.clone_from(&new.epub);
        self.output.clone_from(&new.output);
        self.log.level.clone_from(&new.log.level);
        Renewed {
            applied: before.differences(self),
            restart: self.differences(new),
        }
    }

    fn differences(&self, other: &Self) -> Vec<String> {
        let mut out = Vec::new();
        differ("folders", &self.folders, &other.folders, &mut out);
        differ("watch", &self.watch, &other.watch, &mut out);
        differ("pdf", &self.pdf, &other.pdf, &mut out);
        differ("epub", &self.epub, &other.epub, &mut out);
        differ("engine", &self.engine, &other.engine, &mut out);
        differ("paddle", &self.paddle, &other.paddle, &mut out);
        differ("deepseek", &self.deepseek, &other.deepseek, &mut out);
        differ("output", &self.output, &other.output, &mut out);
        differ("log", &self.log, &other.log, &mut out);
        out
    }
}

/// Adds the keys of a table that differ; the table's own name where a path is not UTF-8.
fn differ<T: Serialize + PartialEq>(table: &str, a: &T, b: &T, out: &mut Vec<String>) {
    if a == b {
        return;
    }
    match (toml::Table::try_from(a), toml::Table::try_from(b)) {
        (Ok(a), Ok(b)) => out.extend(
            a.iter()
                .filter(|&(key, value)| b.get(key) != Some(value))
                .map(|(key, _)| format!("{table}.{key}")),
        ),
        _ => out.push(table.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Device, Engine, Polling};

    #[test]
    fn settings_are_renewed_where_that_is_safe_and_named_where_not() {
        let mut config = Config::default();
        assert_eq!(config.renew(&Config::default()), Renewed::default());
        let mut new = Config::default();
        new.log.level = "debug".into();
        new.log.json = true;
        new.watch.documents = 9;
        new.watch.polling = Polling::Never;
        new.pdf.passwords = vec!["secret".into()];
        new.engine.device = Device::Cpu;
        new.folders.inbox = "/elsewhere".into();
        let renewed = config.renew(&new);
        assert_eq!(
            renewed.applied,
            ["watch.documents", "pdf.passwords", "log.level"]
        );
        let restart = [
            "folders.inbox",
            "watch.polling",
            "engine.device",
            "log.json",
        ];
        assert_eq!(renewed.restart, restart);
        assert_eq!(config.pdf, new.pdf);
        assert_eq!(config.engine, Engine::default());
        assert_eq!(config.renew(&new).restart, restart, "told each time");
    }

    #[test]
    fn a_path_that_is_no_text_differs_all_the_same() {
        use std::os::unix::ffi::OsStringExt;
        let mut new = Config::default();
        new.folders.inbox = std::ffi::OsString::from_vec(vec![b'/', 0xff]).into();
        assert_eq!(Config::default().renew(&new).restart, ["folders"]);
    }
}
