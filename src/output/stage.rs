//! A document's folder before it is published.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::figures::{self, Crop};
use super::report::{self, Counts, Head};
use super::{STAGING, layouts, markdown};
use crate::config;
use crate::durable::{self, FileError, Staged};
use crate::page::{LayoutPage, PageImage, Reading};

/// A folder that fills with a document's files.
pub struct Stage {
    folder: PathBuf,
    stem: OsString,
    settings: config::Output,
    pictures: bool,
}

/// The texts of a document, growing page by page.
pub struct Texts {
    markdown: Staged,
    grounded: Staged,
    report: Staged,
    counts: Counts,
}

/// Where the staged folder of a job stands.
pub fn folder(output: &Path, job: i64) -> PathBuf {
    output.join(STAGING).join(job.to_string())
}

impl Stage {
    /// A fresh staged folder for `job`; what an earlier attempt left there goes.
    /// `stem` names the files inside.
    pub fn create(
        output: &Path,
        job: i64,
        stem: &OsStr,
        settings: &config::Output,
    ) -> durable::Result<Self> {
        let folder = folder(output, job);
        durable::remove_dir_all(&folder)?;
        durable::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            stem: stem.to_os_string(),
            settings: settings.clone(),
            pictures: false,
        })
    }

    /// Writes the figure crops of a page.
    pub fn pictures(
        &mut self,
        reading: &Reading,
        page: u32,
        image: &PageImage,
    ) -> durable::Result<()> {
        let crops =
            figures::crops(reading, page, image, self.settings.jpeg_quality).map_err(|e| {
                FileError {
                    what: "encode a picture for",
                    path: self.folder.clone(),
                    source: io::Error::other(e),
                }
            })?;
        for Crop { name, jpeg } in crops {
            self.picture(&name, &jpeg)?;
        }
        Ok(())
    }

    /// Writes a picture under its name in `images/`.
    pub fn picture(&mut self, name: &str, bytes: &[u8]) -> durable::Result<()> {
        let images = self.folder.join("images");
        if !self.pictures {
            durable::create_dir_all(&images)?;
            self.pictures = true;
        }
        durable::write_staged(&images.join(name), bytes)
    }

    pub fn texts(&self, head: &Head) -> durable::Result<Texts> {
        let mut texts = Texts {
            markdown: Staged::create(&self.file(".mmd"))?,
            grounded: Staged::create(&self.file("_det.mmd"))?,
            report: Staged::create(&self.file(".json"))?,
            counts: Counts::default(),
        };
        let begin = report::begin(head).map_err(|e| self.json_error(e))?;
        texts.report.write(begin.as_bytes())?;
        if let Some(book) = &head.book {
            let title = markdown::title_block(&book.metadata);
            texts.markdown.write(title.as_bytes())?;
        }
        Ok(texts)
    }

    fn json_error(&self, e: serde_json::Error) -> FileError {
        FileError {
            what: "write the report in",
            path: self.folder.clone(),
            source: io::Error::other(e),
        }
    }

    /// The layout PDF, to be written piece by piece; one that does not become whole is to be
    /// discarded.
    pub fn layout_pdf(&self) -> durable::Result<Staged> {
        Staged::create(&self.file("_layouts.pdf"))
    }

    /// Makes the folder's entries durable: it can be published.
    pub fn seal(&self) -> durable::Result<()> {
        if self.pictures {
            durable::sync_dir(&self.folder.join("images"))?;
        }
        durable::sync_dir(&self.folder)
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.folder.join(named(&self.stem, suffix))
    }
}

/// What the files of a document are called after its stem.
const SUFFIXES: [&str; 4] = [".mmd", "_det.mmd", ".json", "_layouts.pdf"];

fn named(stem: &OsStr, suffix: &str) -> OsString {
    // The longest suffix must fit the file system's 255 bytes.
    const ROOM: usize = 255 - "_layouts.pdf".len();
    let mut name = durable::shortened(stem, ROOM);
    name.push(suffix);
    name
}

impl Texts {
    /// Appends a page; pages come in order. Returns what is to be drawn over it.
    /// `markdown` is what stands for it in the Markdown, with its separator.
    pub fn page(
        &mut self,
        reading: &Reading,
        page: u32,
        markdown: &str,
    ) -> durable::Result<LayoutPage> {
        self.markdown.write(markdown.as_bytes())?;
        self.grounded
            .write(markdown::grounded(reading, page).as_bytes())?;
        let line = report::page(reading, page).map_err(|e| FileError {
            what: "write the report of",
            path: PathBuf::from(format!("page {}", page + 1)),
            source: io::Error::other(e),
        })?;
        let before = if self.counts.total() == 0 {
            "\n    "
        } else {
            ",\n    "
        };
        self.report.write(format!("{before}{line}").as_bytes())?;
        self.counts.add(reading.status);
        Ok(layouts::page(reading, page))
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Closes the texts.
    pub fn finish(mut self, layout_error: Option<&str>) -> durable::Result<Counts> {
        let end = report::end(&self.counts, layout_error).map_err(|e| FileError {
            what: "write",
            path: PathBuf::from("the report"),
            source: io::Error::other(e),
        })?;
        self.report.write(end.as_bytes())?;
        self.markdown.finish()?;
        self.grounded.finish()?;
        self.report.finish()?;
        Ok(self.counts)
    }
}

/// What came of publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The output stands at its place, now or since before a crash.
    Done,
    /// Somebody else's folder or file has the name.
    Taken,
    /// Neither the staged folder nor the output is there: the document must be read again.
    Lost,
}

/// Publishes a job's staged folder as `output/path` by one rename, in exchange for an earlier
/// output of the source that `replaces` names. Runs again after a crash.
pub fn publish(
    output: &Path,
    job: i64,
    path: &Path,
    replaces: Option<&Path>,
) -> durable::Result<Published> {
    let staged = folder(output, job);
    let target = output.join(path);
    if !is_of(&staged, job) {
        if !is_of(&target, job) {
            return Ok(Published::Lost);
        }
        // What is staged now, if anything, is the earlier output.
        durable::remove_dir_all(&staged)?;
        return Ok(Published::Done);
    }
    if let Some(parent) = target.parent() {
        durable::create_dir_all(parent)?;
    }
    if durable::rename_new(&staged, &target)? {
        return Ok(Published::Done);
    }
    let Some(source) = replaces else {
        return Ok(Published::Taken);
    };
    let ours = is_only_of(&target, source).map_err(|source| FileError {
        what: "look into",
        path: target.clone(),
        source,
    })?;
    if !ours {
        return Ok(Published::Taken);
    }
    durable::exchange(&staged, &target)?;
    durable::remove_dir_all(&staged)?;
    Ok(Published::Done)
}

/// Whether a folder is an output of `source` and holds nothing that a stage does not write: what
/// is removed for a newer output must hold nobody's own files.
fn is_only_of(folder: &Path, source: &Path) -> io::Result<bool> {
    #[derive(serde::Deserialize)]
    struct SourceOnly {
        source: String,
        #[serde(default)]
        book: BookOnly,
    }
    #[derive(Default, serde::Deserialize)]
    struct BookOnly {
        pictures: Vec<String>,
    }
    if !folder.symlink_metadata()?.is_dir() {
        return Ok(false);
    }
    let stem = source.file_stem().unwrap_or(source.as_os_str());
    let names = SUFFIXES.map(|suffix| named(stem, suffix));
    let report = match std::fs::read(folder.join(named(stem, ".json"))) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        read => read?,
    };
    let Ok(report) = serde_json::from_slice::<SourceOnly>(&report) else {
        return Ok(false);
    };
    if report.source != source.to_string_lossy() {
        return Ok(false);
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let expected = if kind.is_dir() {
            entry.file_name() == "images" && holds_only(&entry.path(), &report.book.pictures)?
        } else {
            kind.is_file() && names.contains(&entry.file_name())
        };
        if !expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a folder holds nothing but pictures named `<page>_<number>.jpg`, and a book's own.
fn holds_only(images: &Path, own: &[String]) -> io::Result<bool> {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    for entry in std::fs::read_dir(images)? {
        let entry = entry?;
        let name = entry.file_name();
        let crop = name
            .to_str()
            .and_then(|name| name.strip_suffix(".jpg")?.split_once('_'))
            .is_some_and(|(page, k)| number(page) && number(k));
        let expected = crop || own.iter().any(|own| name == own.as_str());
        if !expected || !entry.file_type()?.is_file() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a folder holds the report of a job.
pub fn is_of(folder: &Path, job: i64) -> bool {
    #[derive(serde::Deserialize)]
    struct JobOnly {
        job: i64,
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension() == Some(OsStr::new("json")))
        .any(|p| {
            std::fs::read(&p)
                .ok()
                .and_then(|bytes| serde_json::from_slice::<JobOnly>(&bytes).ok())
                .is_some_and(|report| report.job == job)
        })
}

/// Removes from the staging folder what no job owns.
pub fn sweep(output: &Path, owned: &[i64]) -> durable::Result<()> {
    let Ok(entries) = std::fs::read_dir(output.join(STAGING)) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let job = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i64>().ok());
        if job.is_some_and(|job| owned.contains(&job)) {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            durable::remove_dir_all(&entry.path())?;
        } else {
            durable::remove_file(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Block, PageBox, Rotation};

    fn staged(output: &Path, job: i64) -> Counts {
        let stage =
            Stage::create(output, job, OsStr::new("a"), &config::Output::default()).unwrap();
        let head = Head {
            schema: report::SCHEMA,
            version: "0".into(),
            job,
            source: "a.pdf".into(),
            sha256: String::new(),
            engine: "test".into(),
            model_digest: String::new(),
            settings_digest: String::new(),
            device: "CPU".into(),
            page_count: 2,
            book: None,
        };
        let mut texts = stage.texts(&head).unwrap();
        let block = Block {
            label: "text".into(),
            boxes: vec![PageBox::FULL],
            content: format!("job {job}"),
            heading: None,
        };
        let first = Reading::of_blocks(vec![block], Rotation::None, 0.1);
        let settings = config::Output::default();
        texts
            .page(&first, 0, &markdown::page(&first, 0, &settings))
            .unwrap();
        texts.page(&Reading::failed("why"), 1, "").unwrap();
        let counts = texts.finish(None).unwrap();
        stage.seal().unwrap();
        counts
    }

    #[test]
    fn a_staged_document_is_published_once_and_replaced_in_one_exchange() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path();
        assert_eq!(
            staged(output, 1),
            Counts {
                ok: 1,
                failed: 1,
                ..Counts::default()
            }
        );
        assert_eq!(
            publish(output, 1, Path::new("x/a"), None).unwrap(),
            Published::Done
        );
        assert_eq!(
            publish(output, 1, Path::new("x/a"), None).unwrap(),
            Published::Done,
            "again after a crash"
        );
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(output.join("x/a/a.json")).unwrap()).unwrap();
        assert_eq!(report["page_status"]["failed"], 1);
        assert_eq!(report["pages"][1]["reason"], "why");
        staged(output, 2);
        assert_eq!(
            publish(output, 2, Path::new("x/a"), None).unwrap(),
            Published::Taken,
            "never over another's"
        );
        assert_eq!(
            publish(output, 2, Path::new("x/a"), Some(Path::new("a.pdf"))).unwrap(),
            Published::Done
        );
        assert!(
            std::fs::read_to_string(output.join("x/a/a.mmd"))
                .unwrap()
                .starts_with("job 2")
        );
        assert!(!folder(output, 2).exists());
        // A crash after the exchange leaves the earlier output staged.
        staged(output, 1);
        std::fs::rename(folder(output, 1), folder(output, 2)).unwrap();
        assert_eq!(
            publish(output, 2, Path::new("x/a"), Some(Path::new("a.pdf"))).unwrap(),
            Published::Done
        );
        assert!(
            std::fs::read_to_string(output.join("x/a/a.mmd"))
                .unwrap()
                .starts_with("job 2")
        );
        assert!(!folder(output, 2).exists());
    }

    #[test]
    fn what_is_neither_staged_nor_published_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path();
        let again = |job| publish(output, job, Path::new("a"), Some(Path::new("a.pdf"))).unwrap();
        assert_eq!(again(1), Published::Lost);
        staged(output, 1);
        assert_eq!(again(1), Published::Done);
        assert_eq!(again(1), Published::Done);
        assert_eq!(
            again(2),
            Published::Lost,
            "an earlier output is not this job's"
        );
        std::fs::create_dir(folder(output, 2)).unwrap();
        assert_eq!(again(2), Published::Lost, "nor is half a staged folder");
        assert!(is_of(&output.join("a"), 1));
    }

    #[test]
    fn only_an_output_of_the_source_is_exchanged() {
        let source = Some(Path::new("a.pdf"));
        let kept = |prepare: &dyn Fn(&Path)| {
            let dir = tempfile::tempdir().unwrap();
            let output = dir.path();
            staged(output, 1);
            assert_eq!(
                publish(output, 1, Path::new("a"), None).unwrap(),
                Published::Done
            );
            prepare(&output.join("a"));
            staged(output, 2);
            let replaced = publish(output, 2, Path::new("a"), source).unwrap() == Published::Done;
            assert_eq!(replaced, is_of(&output.join("a"), 2));
            assert_eq!(replaced, !folder(output, 2).exists());
            !replaced
        };
        let write = |path: PathBuf| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "mine").unwrap();
        };
        assert!(!kept(&|a| write(a.join("images/0_1.jpg"))));
        assert!(kept(&|a| write(a.join("notes.txt"))));
        assert!(kept(&|a| write(a.join("images/cat.jpg"))));
        let with_book = |a: &Path, pictures: &[&str]| {
            let report = a.join("a.json");
            let mut json: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
            json["book"] = serde_json::json!({ "pictures": pictures });
            std::fs::write(report, json.to_string()).unwrap();
            write(a.join("images/cat.png"));
        };
        assert!(!kept(&|a| with_book(a, &["cat.png"])), "the book's own");
        assert!(kept(&|a| with_book(a, &["dog.png"])));
        assert!(kept(&|a| write(a.join("b/b.mmd"))));
        assert!(kept(&|a| write(a.join("a.json"))), "another's report");
        assert!(kept(&|a| {
            std::fs::remove_dir_all(a).unwrap();
            write(a.to_path_buf());
        }));
    }

    #[test]
    fn every_picture_of_the_markdown_is_the_crop_of_its_box() {
        // Three stripes of a colour; the first block is cut in two boxes.
        let colors = [[250, 0, 0], [0, 250, 0], [0, 0, 250]];
        let rgb = (0..90u32 * 30)
            .flat_map(|i| colors[(i % 90 / 30) as usize])
            .collect();
        let image = PageImage::new(90, 30, rgb, 72.0).unwrap();
        let block = |label: &str, stripes: &[u16]| Block {
            label: label.into(),
            boxes: stripes
                .iter()
                .map(|&i| PageBox::new(i64::from(i) * 333 + 40, 100, i64::from(i) * 333 + 290, 900))
                .collect(),
            content: if label == "text" {
                "words".into()
            } else {
                String::new()
            },
            heading: None,
        };
        let blocks = vec![
            block("image", &[2, 0]),
            block("text", &[1]),
            block("chart", &[1]),
        ];
        let reading = Reading::of_blocks(blocks, Rotation::None, 0.0);

        let dir = tempfile::tempdir().unwrap();
        let settings = config::Output::default();
        let mut stage = Stage::create(dir.path(), 1, OsStr::new("a"), &settings).unwrap();
        stage.pictures(&reading, 4, &image).unwrap();
        let markdown = markdown::page(&reading, 4, &settings);
        let names: Vec<&str> = markdown
            .split("![](")
            .skip(1)
            .filter_map(|s| s.split(')').next())
            .collect();
        let crops = std::fs::read_dir(stage.folder.join("images"))
            .unwrap()
            .count();
        assert_eq!((names.len(), crops), (3, 3));
        assert!(markdown.find("words") < markdown.find(names[2]));
        for (name, stripe) in names.iter().zip([2usize, 0, 1]) {
            let bytes = std::fs::read(stage.folder.join(name)).unwrap();
            let crop = image::load_from_memory(&bytes).unwrap().to_rgb8();
            let brightest = crop.get_pixel(10, 10).0.iter().position(|&v| v > 200);
            assert_eq!(brightest, Some(stripe), "{name}");
        }
    }

    #[test]
    fn sweeping_keeps_what_jobs_own() {
        let dir = tempfile::tempdir().unwrap();
        staged(dir.path(), 3);
        staged(dir.path(), 4);
        std::fs::write(dir.path().join(STAGING).join("5"), "a file").unwrap();
        sweep(dir.path(), &[4]).unwrap();
        assert!(!dir.path().join(STAGING).join("5").exists());
        assert!(!folder(dir.path(), 3).exists() && folder(dir.path(), 4).exists());
    }
}
