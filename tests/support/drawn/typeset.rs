//! Markup through typst to a PDF. Fonts are those of `typst-assets`; for what these lack (Han,
//! Kana), one font of the system, where there is one.

use std::path::{Path, PathBuf};

use typst::diag::{FileError, FileResult};
use typst::foundations::{Bytes, Datetime, Duration, Smart};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook, FontInfo};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};
use typst_layout::PagedDocument;
use typst_pdf::PdfOptions;

/// Where systems keep fonts.
pub fn system_fonts() -> Vec<PathBuf> {
    ["/usr/share/fonts", "/usr/local/share/fonts"]
        .map(PathBuf::from)
        .to_vec()
}

struct OneSource {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    source: Source,
}

impl World for OneSource {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    fn main(&self) -> FileId {
        self.source.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.source.id() {
            Ok(self.source.clone())
        } else {
            Err(FileError::AccessDenied)
        }
    }

    fn file(&self, _: FileId) -> FileResult<Bytes> {
        Err(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}

/// The PDF of `markup` and its number of pages. `extra` is a font beside those of the assets.
pub fn pdf(markup: &str, extra: Option<&Other>) -> Result<(Vec<u8>, usize), String> {
    let mut fonts: Vec<Font> = typst_assets::fonts()
        .flat_map(|data| Font::iter(Bytes::new(data)))
        .collect();
    fonts.extend(extra.map(|other| other.font.clone()));
    let path = VirtualPath::new("drawn.typ").map_err(|e| e.to_string())?;
    let id = RootedPath::new(VirtualRoot::Project, path).intern();
    let world = OneSource {
        library: LazyHash::new(Library::default()),
        book: LazyHash::new(FontBook::from_fonts(&fonts)),
        fonts,
        source: Source::new(id, markup.to_owned()),
    };
    let say = |errors: typst::ecow::EcoVec<typst::diag::SourceDiagnostic>| {
        let messages: Vec<String> = errors.iter().map(|e| e.message.to_string()).collect();
        messages.join("; ")
    };
    let compiled = typst::compile::<PagedDocument>(&world);
    // A missing glyph or font would make the truth untrue.
    if let Some(warning) = compiled.warnings.first() {
        return Err(warning.message.to_string());
    }
    let document = compiled.output.map_err(say)?;
    let options = PdfOptions {
        ident: Smart::Custom("drawn".to_owned()),
        tagged: false,
        ..PdfOptions::default()
    };
    let pdf = typst_pdf::pdf(&document, &options).map_err(say)?;
    Ok((pdf, document.pages().len()))
}

/// A font that is not part of the assets.
pub struct Other {
    pub family: String,
    font: Font,
}

/// The first font under `folders` that has every character of `text`.
pub fn font_for(text: &str, folders: &[PathBuf]) -> Option<Other> {
    let mut files = Vec::new();
    for folder in folders {
        collect(folder, &mut files);
    }
    files.sort();
    for path in files {
        let Ok(data) = std::fs::read(&path) else {
            continue;
        };
        let covers =
            |info: &FontInfo, c: char| c.is_whitespace() || info.coverage.contains(u32::from(c));
        let found = FontInfo::iter(&data)
            .enumerate()
            .find(|(_, info)| text.chars().all(|c| covers(info, c)));
        if let Some((index, info)) = found {
            return Some(Other {
                family: info.family,
                font: Font::new(Bytes::new(data), index as u32)?,
            });
        }
    }
    None
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| ["ttf", "otf", "ttc"].contains(&&*e.to_ascii_lowercase()))
        {
            files.push(path);
        }
    }
}
