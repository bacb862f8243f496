//! Fonts for a book: those that come with the program, and from the system only what is missing.
//!
//! Text is set in Libertinus Serif, formulas in New Computer Modern Math, code in DejaVu Sans Mono;
//! all three are part of the program. Folders of the system are looked through only when the book
//! has characters that these lack (CJK, Arabic, ..); of what is found there, the families are taken
//! that cover most of the missing characters, until nothing more is gained. What no font has is
//! reported by the pages themselves (glyph 0), so nothing is lost in silence. No font of the book
//! is used. Fonts are mapped, not read: a CJK font is 20 MB, of which a book needs a part.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use typst::foundations::Bytes;
use typst::text::{Font, FontBook, FontFlags, FontInfo, FontStretch, FontStyle, FontWeight};

/// The family of running text.
pub const TEXT: &str = "Libertinus Serif";
/// The family of code.
pub const CODE: &str = "DejaVu Sans Mono";
/// Families of the program that have symbols which [`TEXT`] lacks.
const SYMBOLS: [&str; 2] = ["New Computer Modern", "New Computer Modern Math"];

/// Most font files that are looked at, largest file, deepest folder: what a machine of a designer
/// has, with room.
const MAX_FILES: usize = 20_000;
const MAX_BYTES: u64 = 512 << 20;
const MAX_DEPTH: usize = 8;

/// Where fonts of the system lie.
pub fn system_folders() -> Vec<PathBuf> {
    ["/usr/share/fonts", "/usr/local/share/fonts"]
        .map(PathBuf::from)
        .to_vec()
}

/// The fonts of one book.
pub struct Fonts {
    pub fonts: Vec<Font>,
    /// Families in the order in which they are asked for a character of running text.
    pub families: Vec<String>,
}

/// Fonts for a text that has `characters` and is in `language` (a BCP 47 tag, or empty).
pub fn choose(characters: &BTreeSet<char>, language: &str, folders: &[PathBuf]) -> Fonts {
    let mut fonts: Vec<Font> = typst_assets::fonts()
        .flat_map(|data| Font::iter(Bytes::new(data)))
        .collect();
    let book = FontBook::from_fonts(&fonts);
    let missing: BTreeSet<u32> = characters
        .iter()
        .filter(|c| !covered(&book, **c))
        .map(|c| u32::from(*c))
        .collect();
    let mut families = vec![TEXT.to_owned()];
    if !missing.is_empty() {
        let mut found = scan(folders, &missing);
        for family in pick(&mut found, missing, language) {
            let faces = found.iter().filter(|face| face.info.family == family);
            fonts.extend(faces.filter_map(Face::load));
            families.push(family);
        }
    }
    families.extend(SYMBOLS.map(str::to_owned));
    families.push(CODE.to_owned());
    Fonts { fonts, families }
}

/// Whether the program's own fonts show `c` well: letters of the monospaced font do not count.
fn covered(book: &FontBook, c: char) -> bool {
    if c.is_whitespace() || c.is_control() || ignorable(c) {
        return true;
    }
    let has = |family: &str| {
        let mut faces = book.select_family(family);
        faces.any(|id| {
            let info = book.info(id);
            info.is_some_and(|info| info.coverage.contains(u32::from(c)))
        })
    };
    has(&TEXT.to_lowercase())
        || SYMBOLS.iter().any(|family| has(&family.to_lowercase()))
        || (!c.is_alphabetic() && has(&CODE.to_lowercase()))
}

/// Characters that shape a line and are not drawn: joiners, marks of direction, variation selectors
/// (Unicode's Default_Ignorable_Code_Point, the ones that books hold).
pub fn ignorable(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
        | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F
        | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFF8 | 0xE0000..=0xE0FFF)
}

/// One face of a font file of the system.
struct Face {
    path: PathBuf,
    index: u32,
    info: FontInfo,
    /// Which of the missing characters it has.
    has: Vec<u32>,
}

impl Face {
    /// Normal width; regular or bold, upright or italic.
    fn usual(info: &FontInfo) -> bool {
        info.variant.stretch == FontStretch::NORMAL
            && [FontWeight::REGULAR, FontWeight::BOLD].contains(&info.variant.weight)
    }

    fn load(&self) -> Option<Font> {
        Font::new(Bytes::new(Mapped(map(&self.path)?)), self.index)
    }
}

struct Mapped(Mmap);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn map(path: &Path) -> Option<Mmap> {
    let file = std::fs::File::open(path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() == 0 || meta.len() > MAX_BYTES {
        return None;
    }
    // SAFETY: the map is read only and private. Fonts of the system are replaced by renaming, not
    // written in place; were one cut short all the same, this child process would die of SIGBUS
    // and with it one document, which the agent reports.
    unsafe { Mmap::map(&file) }.ok()
}

/// Every usual face under `folders` that has one of the `missing` characters, in a fixed order.
fn scan(folders: &[PathBuf], missing: &BTreeSet<u32>) -> Vec<Face> {
    let mut files = Vec::new();
    let mut open: Vec<(PathBuf, usize)> = folders.iter().map(|f| (f.clone(), 0)).collect();
    while let Some((folder, depth)) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|e| e.path()) {
            let known = path
                .extension()
                .and_then(|e| e.to_str())
                .is_some_and(|e| ["ttf", "otf", "ttc", "otc"].contains(&&*e.to_ascii_lowercase()));
            if known && files.len() < MAX_FILES {
                files.push(path);
            } else if depth < MAX_DEPTH && path.is_dir() {
                open.push((path, depth + 1));
            }
        }
    }
    files.sort();
    let mut faces = Vec::new();
    for path in files {
        let Some(data) = map(&path) else { continue };
        for (index, info) in FontInfo::iter(&data).enumerate() {
            let has: Vec<u32> = info
                .coverage
                .iter()
                .filter(|c| missing.contains(c))
                .collect();
            if has.is_empty() || !Face::usual(&info) || info.is_last_resort() {
                continue;
            }
            faces.push(Face {
                path: path.clone(),
                index: index as u32,
                info,
                has,
            });
        }
    }
    faces
}

/// Families that together cover most of `missing`, the best first. The language decides between
/// regional forms of Han characters, then a face with serifs is liked better, then a short name.
fn pick(faces: &mut [Face], mut missing: BTreeSet<u32>, language: &str) -> Vec<String> {
    let mut families: Vec<String> = Vec::new();
    loop {
        for face in faces.iter_mut() {
            face.has.retain(|c| missing.contains(c));
        }
        let best = faces
            .iter()
            .filter(|face| !face.has.is_empty())
            .max_by_key(|face| {
                let count = face.has.len();
                let regional = if for_language(&face.info.family, language) {
                    count / 5
                } else {
                    0
                };
                (
                    count + regional,
                    face.info.variant.style == FontStyle::Normal,
                    face.info.variant.weight == FontWeight::REGULAR,
                    face.info.flags.contains(FontFlags::SERIF),
                    !face.info.flags.contains(FontFlags::MONOSPACE),
                    std::cmp::Reverse(face.info.family.len()),
                )
            });
        let Some(best) = best else { return families };
        for c in &best.has {
            missing.remove(c);
        }
        let family = best.info.family.clone();
        if !families.contains(&family) {
            families.push(family);
        }
    }
}

/// Whether a family names itself as the one for a language with Han characters (Noto CJK, Source
/// Han and others end in `JP`, `SC`, ..).
fn for_language(family: &str, language: &str) -> bool {
    let language = language.to_ascii_lowercase();
    let ends: &[&str] = if language.starts_with("ja") {
        &["JP", "J"]
    } else if language.starts_with("ko") {
        &["KR", "K"]
    } else if ["zh-tw", "zh-hk", "zh-mo", "zh-hant"]
        .iter()
        .any(|l| language.starts_with(l))
    {
        &["TC", "TW", "HK"]
    } else if language.starts_with("zh") {
        &["SC", "CN"]
    } else {
        return false;
    };
    family.split([' ', '-']).any(|word| ends.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn european_text_needs_no_font_of_the_system() {
        let text = "Façade, Ελλάδα, Русский, שלום — “quotes” → ∑ ≤ ½";
        let fonts = choose(&text.chars().collect(), "en", &[PathBuf::from("/nowhere")]);
        assert_eq!(fonts.fonts.len(), 17);
        assert_eq!(fonts.families[0], TEXT);
        let book = FontBook::from_fonts(&fonts.fonts);
        for c in text.chars() {
            assert!(covered(&book, c), "{c}");
        }
    }

    #[test]
    fn letters_of_the_monospaced_font_do_not_count() {
        let book = FontBook::from_fonts(&choose(&BTreeSet::new(), "", &[]).fonts);
        assert!(!covered(&book, 'ب'));
        assert!(!covered(&book, '漢'));
        assert!(covered(&book, '\u{200d}'));
    }

    #[test]
    fn the_language_decides_between_han_fonts() {
        assert!(for_language("Noto Serif CJK JP", "ja"));
        assert!(!for_language("Noto Serif CJK JP", "zh-Hans"));
        assert!(for_language("Source Han Serif TC", "zh-TW"));
        assert!(for_language("Noto Sans SC", "zh"));
        assert!(!for_language("Noto Sans SC", "en"));
    }
}
