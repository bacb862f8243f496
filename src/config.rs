//! The settings file as plain data: one struct per room, no room is imported here.
//! `config/dropleaf.toml` documents each of them and equals the defaults.

mod renew;

pub use renew::Renewed;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub folders: Folders,
    pub watch: Watch,
    pub pdf: Pdf,
    pub epub: Epub,
    pub engine: Engine,
    pub paddle: Paddle,
    pub deepseek: DeepSeek,
    pub output: Output,
    pub log: Log,
}

/// Where things are. Empty means the default place of the user (see [`Folders::fill`]).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Folders {
    pub inbox: PathBuf,
    pub output: PathBuf,
    pub done: PathBuf,
    pub failed: PathBuf,
    /// The ledger.
    pub state: PathBuf,
    pub log: PathBuf,
    /// Libraries (`lib/`) and model packs (`models/`).
    pub data: PathBuf,
}

impl Folders {
    /// Replaces every empty path by its default under the user's own folders.
    /// `DROPLEAF_DATA` names the data folder where the settings do not.
    pub fn fill(&mut self) -> Result<(), String> {
        let dirs = directories::BaseDirs::new()
            .ok_or("the home folder is not known: set HOME, or every path under [folders]")?;
        let home = dirs.home_dir().to_path_buf();
        let state = dirs
            .state_dir()
            .unwrap_or(dirs.data_local_dir())
            .join("dropleaf");
        let data = std::env::var_os("DROPLEAF_DATA")
            .filter(|v| !v.is_empty())
            .map_or_else(|| dirs.data_dir().join("dropleaf"), PathBuf::from);
        let log = if self.state.as_os_str().is_empty() {
            state.join("log")
        } else {
            self.state.join("log")
        };
        let places = [
            (&mut self.inbox, home.join("Dropleaf/inbox")),
            (&mut self.output, home.join("Dropleaf/output")),
            (&mut self.done, home.join("Dropleaf/done")),
            (&mut self.failed, home.join("Dropleaf/failed")),
            (&mut self.state, state.clone()),
            (&mut self.log, log),
            (&mut self.data, data),
        ];
        for (path, default) in places {
            if path.as_os_str().is_empty() {
                *path = default;
            } else if let Ok(rest) = path.strip_prefix("~") {
                *path = home.join(rest);
            }
            if path.is_relative() {
                *path =
                    std::path::absolute(&*path).map_err(|e| format!("{}: {e}", path.display()))?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Watch {
    /// Seconds for which a file's size, time and inode must not change.
    pub settle_seconds: f64,
    /// Seconds between full scans.
    pub rescan_seconds: f64,
    /// More names to leave alone; `*` and `?` match as in a shell.
    pub ignore: Vec<String>,
    /// Documents in work at once.
    pub documents: usize,
    /// `auto` (polling on network file systems), `always`, `never`.
    pub polling: Polling,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            settle_seconds: 2.0,
            rescan_seconds: 60.0,
            ignore: Vec::new(),
            documents: 4,
            polling: Polling::Auto,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Polling {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pdf {
    /// Tried in turn on encrypted files.
    pub passwords: Vec<String>,
    pub max_pages: u32,
    /// Largest page side, in inches.
    pub max_page_inches: f32,
    /// Address space of a child, in MiB.
    pub memory_mb: u64,
    /// Seconds for one request to a child.
    pub timeout_seconds: f64,
}

impl Default for Pdf {
    fn default() -> Self {
        Self {
            passwords: Vec::new(),
            max_pages: 20_000,
            max_page_inches: 200.0,
            memory_mb: 2048,
            timeout_seconds: 60.0,
        }
    }
}

/// Where a book's text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EpubText {
    /// The book's own text.
    Native,
    /// The typeset pages, read by the engine.
    Ocr,
}

/// Which pictures of a book the engine reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadPictures {
    /// Those that are the whole of a chapter.
    Pages,
    /// Those within the text too.
    All,
    None,
}

/// After what the page separator stands in a book's Markdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Separate {
    Chapter,
    Page,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Epub {
    pub text: EpubText,
    pub read_pictures: ReadPictures,
    pub separator: Separate,
    /// Seconds for opening a book: unpacking, converting and typesetting it.
    pub timeout_seconds: f64,
}

impl Default for Epub {
    fn default() -> Self {
        Self {
            text: EpubText::Native,
            read_pictures: ReadPictures::Pages,
            separator: Separate::Chapter,
            timeout_seconds: 600.0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    Auto,
    Cuda,
    Cpu,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// `paddle` or `deepseek-ocr`.
    pub name: String,
    /// Folder under `models/`; empty: the engine's own name.
    pub model: String,
    pub device: Device,
    /// CPU threads; 0: as many as there are cores.
    pub threads: usize,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            name: "paddle".into(),
            model: String::new(),
            device: Device::Auto,
            threads: 0,
        }
    }
}

impl Engine {
    /// Name of the model pack's folder.
    pub fn pack(&self) -> &str {
        if self.model.is_empty() {
            &self.name
        } else {
            &self.model
        }
    }
}

/// Names that `engine.name` may have.
pub const ENGINES: [&str; 2] = ["paddle", "deepseek-ocr"];

/// Whether a PDF's own characters are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextLayer {
    /// Where they prove trustworthy against the image.
    Auto,
    Never,
}

impl TextLayer {
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Never => "never",
        }
    }
}

/// What `engine.name = "paddle"` reads with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paddle {
    pub text_layer: TextLayer,
    /// Folder under `models/` with a formula model of the user's; empty: none.
    pub formula: String,
}

impl Default for Paddle {
    fn default() -> Self {
        Self {
            text_layer: TextLayer::Auto,
            formula: String::new(),
        }
    }
}

/// How a page image becomes views for the deepseek engine: the published modes of DeepSeek-OCR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Tiles of 640 and a padded global view of 1024.
    Gundam,
    /// One padded view of 1024.
    Base,
    /// One padded view of 1280.
    Large,
    /// One view stretched to 640.
    Small,
    /// One view stretched to 512.
    Tiny,
}

impl Mode {
    pub const ALL: [Mode; 5] = [
        Self::Gundam,
        Self::Base,
        Self::Large,
        Self::Small,
        Self::Tiny,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Gundam => "gundam",
            Self::Base => "base",
            Self::Large => "large",
            Self::Small => "small",
            Self::Tiny => "tiny",
        }
    }
}

/// How the deepseek engine keeps keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// As they are computed: bfloat16 on CUDA, 32-bit floats on the CPU.
    Bfloat16,
    /// 8-bit integers with a scale for each token and head; CUDA alone.
    Int8,
}

impl Cache {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bfloat16 => "bfloat16",
            Self::Int8 => "int8",
        }
    }
}

/// What `engine.name = "deepseek-ocr"` reads with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeepSeek {
    pub mode: Mode,
    /// `markdown`, `ocr`, `figure`, `plain`, or a text of one's own.
    pub prompt: String,
    /// Tokens of a page at most, its prompt and image counted.
    pub max_tokens: usize,
    /// Share of the GPU's memory that may be in use once the cache of keys and values is there.
    pub gpu_memory_utilization: f64,
    pub cache: Cache,
    /// Tokens that this cache holds on the CPU.
    pub cache_tokens: usize,
    /// Pages decoded together at most.
    pub sequences: usize,
    /// Tokens of one step at most, though never fewer than pages; 0: 8192 on CUDA, 256 on the CPU.
    pub step_tokens: usize,
    /// Decoding steps on CUDA are recorded once and repeated (CUDA graphs).
    pub cuda_graphs: bool,
    /// For measurements, and no setting of the file: every page takes so many tokens, which are
    /// not the model's own.
    #[serde(skip)]
    pub forced_tokens: Option<usize>,
}

impl Default for DeepSeek {
    fn default() -> Self {
        Self {
            mode: Mode::Gundam,
            prompt: "markdown".into(),
            max_tokens: 8192,
            gpu_memory_utilization: 0.9,
            cache: Cache::Bfloat16,
            cache_tokens: 16_384,
            sequences: 128,
            step_tokens: 0,
            cuda_graphs: true,
            forced_tokens: None,
        }
    }
}

impl DeepSeek {
    /// The prompt as the model gets it, with `<image>` where the image goes. The named ones are
    /// those of DeepSeek-OCR's published code.
    pub fn prompt_text(&self) -> String {
        match &*self.prompt {
            "markdown" => "<image>\n<|grounding|>Convert the document to markdown.".into(),
            "ocr" => "<image>\n<|grounding|>OCR this image.".into(),
            "figure" => "<image>\nParse the figure.".into(),
            "plain" => "<image>\nFree OCR.".into(),
            own if own.contains("<image>") => own.into(),
            own => format!("<image>\n{own}"),
        }
    }

    fn validate(&self) -> Result<(), String> {
        let range = |name: &str, v: usize, low: usize, high: usize| {
            if (low..=high).contains(&v) {
                Ok(())
            } else {
                Err(format!("deepseek.{name} must be {low} to {high}, is {v}"))
            }
        };
        range("max_tokens", self.max_tokens, 256, 1 << 20)?;
        range("cache_tokens", self.cache_tokens, 512, 1 << 28)?;
        range("sequences", self.sequences, 1, 1024)?;
        range("step_tokens", self.step_tokens, 0, 1 << 20)?;
        if self.prompt.trim().is_empty() {
            return Err("deepseek.prompt must not be empty".into());
        }
        if self.prompt.matches("<image>").count() > 1 {
            return Err("deepseek.prompt must name <image> once".into());
        }
        let share = self.gpu_memory_utilization;
        if !(0.05..=0.99).contains(&share) {
            return Err(format!(
                "deepseek.gpu_memory_utilization must be 0.05 to 0.99, is {share}"
            ));
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// Follows each page in the Markdown; empty: an empty line, and paragraphs that go on on the
    /// next page are joined.
    pub page_separator: String,
    /// Running headers, footers and page numbers in the Markdown.
    pub furniture: bool,
    /// JPEG quality of figure crops, 1 to 100.
    pub jpeg_quality: u8,
    /// The newest files that `processing_results.json` lists.
    pub results_limit: usize,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            page_separator: "\n\n<--- Page Split --->\n".into(),
            furniture: false,
            jpeg_quality: 75,
            results_limit: 1000,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter of tracing's syntax.
    pub level: String,
    /// One JSON object a line in the log files.
    pub json: bool,
    /// Daily files kept.
    pub keep: usize,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
            json: false,
            keep: 14,
        }
    }
}

/// Longest time that a setting may name, in seconds: a day.
const LONGEST: f64 = 86_400.0;

/// Where a configuration was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    Defaults,
}

/// Reads `file`, else the user's file, else the machine's, else the defaults, and fills the folders.
pub fn load(file: Option<&Path>) -> Result<(Config, Source), String> {
    let mut candidates: Vec<PathBuf> = Vec::new();
    match file {
        Some(file) => candidates.push(file.to_path_buf()),
        None => {
            if let Some(dirs) = directories::BaseDirs::new() {
                candidates.push(dirs.config_dir().join("dropleaf/dropleaf.toml"));
            }
            candidates.push("/etc/dropleaf/dropleaf.toml".into());
        }
    }
    for path in candidates {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let mut config: Config =
                    toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
                config.folders.fill()?;
                config
                    .validate()
                    .map_err(|e| format!("{}: {e}", path.display()))?;
                return Ok((config, Source::File(path)));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && file.is_none() => {}
            Err(e) => return Err(format!("{}: {e}", path.display())),
        }
    }
    let mut config = Config::default();
    config.folders.fill()?;
    Ok((config, Source::Defaults))
}

impl Config {
    /// Ranges that the types do not hold.
    pub fn validate(&self) -> Result<(), String> {
        let positive = |name: &str, v: f64| {
            if v.is_finite() && v > 0.0 {
                Ok(())
            } else {
                Err(format!("{name} must be above 0, is {v}"))
            }
        };
        let seconds = |name: &str, v: f64| {
            positive(name, v)?;
            if v <= LONGEST {
                Ok(())
            } else {
                Err(format!("{name} must be at most {LONGEST}, is {v}"))
            }
        };
        seconds("watch.settle_seconds", self.watch.settle_seconds)?;
        seconds("watch.rescan_seconds", self.watch.rescan_seconds)?;
        seconds("pdf.timeout_seconds", self.pdf.timeout_seconds)?;
        seconds("epub.timeout_seconds", self.epub.timeout_seconds)?;
        positive("pdf.max_page_inches", f64::from(self.pdf.max_page_inches))?;
        if !(1..=64).contains(&self.watch.documents) {
            return Err(format!(
                "watch.documents must be 1 to 64, is {}",
                self.watch.documents
            ));
        }
        if !(1..=100).contains(&self.output.jpeg_quality) {
            return Err(format!(
                "output.jpeg_quality must be 1 to 100, is {}",
                self.output.jpeg_quality
            ));
        }
        if self.pdf.memory_mb < 256 {
            return Err(format!(
                "pdf.memory_mb must be at least 256, is {}",
                self.pdf.memory_mb
            ));
        }
        if !ENGINES.contains(&&*self.engine.name) {
            return Err(format!(
                "engine.name \"{}\" is not known: this version has \"{}\"",
                self.engine.name,
                ENGINES.join("\" and \"")
            ));
        }
        self.deepseek.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_bounded() {
        for v in [1e20, f64::INFINITY, f64::NAN, 0.0, -1.0, LONGEST + 1.0] {
            let fields: [fn(&mut Config) -> &mut f64; 4] = [
                |c| &mut c.watch.settle_seconds,
                |c| &mut c.watch.rescan_seconds,
                |c| &mut c.pdf.timeout_seconds,
                |c| &mut c.epub.timeout_seconds,
            ];
            for field in fields {
                let mut config = Config::default();
                *field(&mut config) = v;
                assert!(config.validate().unwrap_err().contains("_seconds"), "{v}");
            }
        }
        assert_eq!(Config::default().validate(), Ok(()));
    }
}
