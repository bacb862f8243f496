//! Portions of a book through typst's layout, a few at a time.
//!
//! A portion is a chapter, or a part of one that is too long: each begins a page. typst's cache
//! (comemo) would keep every line of the book until the end, so it is emptied as portions are done.
//! Nothing here asks typst where things are (no counters, references, footnotes), so one pass of
//! layout is enough. A portion on which typst fails or panics is set again as plain paragraphs,
//! with a fault that says so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use typst::World;
use typst::comemo::Track;
use typst::diag::SourceDiagnostic;
use typst::ecow::EcoVec;
use typst::engine::{Engine, Route, Sink, Traced};
use typst::foundations::{Content, NativeElement, Smart, StyleChain, Styles, Target, TargetElem};
use typst::introspection::{EmptyIntrospector, Introspector, Location, Locator};
use typst::layout::{Abs, Em, Length, Margin, PageElem, Rel, Sides};
use typst::model::{DocumentInfo, ParElem};
use typst::text::{FontFamily, FontList, Lang, Region, TextElem, TextSize};
use typst::utils::Protected;
use typst_layout::{Page, PagedDocument};

use super::pieces::Builder;
use super::world::BookWorld;
use super::{Settings, text};
use crate::document::flow::{Chapter, Metadata};

/// Characters after which a long chapter goes on in the next portion: about 80 pages.
const PORTION: usize = 160_000;
/// Characters laid out between two clearings of typst's cache.
const CLEAR_AFTER: usize = 160_000;
/// Stack of a thread that lays out: typst recurses up to 72 layouts deep.
const STACK: usize = 32 << 20;

/// What is laid out as one.
pub struct Portion {
    pub chapter: usize,
    /// Range of the chapter's pieces, for a second try as plain text.
    pieces: std::ops::Range<usize>,
    content: Content,
    weight: usize,
    /// A page of exactly this picture.
    picture: Option<(String, (f64, f64))>,
}

/// Pages of a portion.
pub struct Laid {
    pub chapter: usize,
    pub pages: Vec<Page>,
    pub picture: Option<String>,
    pub fault: Option<String>,
    /// Where the pages hold plain text: the pieces whose text that is.
    pub plain: Option<std::ops::Range<usize>>,
}

/// The style of the book.
pub fn styles(settings: &Settings, language: &str, families: &[String]) -> Styles {
    let pt = |v: f64| Smart::Custom(Length::from(Abs::pt(v)));
    let side = |v: f64| Some(Smart::Custom(Rel::from(Length::from(Abs::pt(v)))));
    let (x, y) = settings.margin;
    let mut styles = Styles::new();
    styles.set(PageElem::width, pt(settings.page.0));
    styles.set(PageElem::height, pt(settings.page.1));
    styles.set(
        PageElem::margin,
        Smart::Custom(Margin {
            sides: Sides::new(side(x), side(y), side(x), side(y)),
            two_sided: Some(false),
        }),
    );
    let list = families.iter().map(|f| FontFamily::new(f)).collect();
    styles.set(TextElem::font, FontList(list));
    styles.set(
        TextElem::size,
        TextSize(Length::from(Abs::pt(settings.text_size))),
    );
    let (lang, region) = locale(language);
    styles.set(TextElem::lang, lang);
    styles.set(TextElem::region, region);
    // A word stands in the PDF as it stands in the book.
    styles.set(TextElem::hyphenate, Smart::Custom(false));
    styles.set(ParElem::leading, Em::new(0.62).into());
    styles.set(ParElem::spacing, Em::new(1.15).into());
    styles
}

/// Language and region of a BCP 47 tag; English without one.
fn locale(tag: &str) -> (Lang, Option<Region>) {
    let mut subtags = tag.split(['-', '_']);
    let lang = subtags
        .next()
        .and_then(|s| Lang::from_str(s).ok())
        .unwrap_or(Lang::ENGLISH);
    let mut region = None;
    for subtag in subtags {
        match subtag.to_ascii_lowercase().as_str() {
            "hans" => region = Region::from_str("CN").ok(),
            "hant" => region = Region::from_str("TW").ok(),
            _ => region = Region::from_str(subtag).ok().or(region),
        }
    }
    (lang, region)
}

/// Builds the content of all chapters.
pub fn portions(builder: &mut Builder, chapters: &[Chapter]) -> Vec<Portion> {
    let mut portions = Vec::new();
    for (index, chapter) in chapters.iter().enumerate() {
        builder.chapter(index);
        let page = chapter.only_picture().and_then(|only| {
            let piece = chapter
                .pieces
                .iter()
                .position(|p| matches!(p, crate::document::flow::Piece::Picture(_)))?;
            builder.picture_page(piece, only)
        });
        if let Some((content, path, size)) = page {
            portions.push(Portion {
                chapter: index,
                pieces: 0..chapter.pieces.len(),
                content,
                weight: 1,
                picture: Some((path, size)),
            });
            continue;
        }
        let mut open: Vec<Content> = Vec::new();
        let (mut weight, mut begin) = (0, 0);
        let mut close = |open: &mut Vec<Content>, weight: &mut usize, pieces| {
            portions.push(Portion {
                chapter: index,
                pieces,
                content: Content::sequence(open.drain(..)),
                weight: std::mem::take(weight),
                picture: None,
            });
        };
        for (number, piece) in chapter.pieces.iter().enumerate() {
            for block in builder.piece(number, piece) {
                if weight > 0 && weight + block.weight > PORTION {
                    close(&mut open, &mut weight, begin..number + 1);
                    begin = number;
                }
                weight += block.weight;
                open.push(block.content);
            }
        }
        close(&mut open, &mut weight, begin..chapter.pieces.len());
    }
    portions
}

/// Lays out `portions`; the results stand in their order.
pub fn lay_out(
    world: &BookWorld,
    styles: &Styles,
    portions: Vec<Portion>,
    chapters: &[Chapter],
    settings: &Settings,
) -> Result<Vec<Laid>, String> {
    let next = AtomicUsize::new(0);
    let since_cleared = AtomicUsize::new(0);
    let slots: Vec<Mutex<Option<Portion>>> =
        portions.into_iter().map(|p| Mutex::new(Some(p))).collect();
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = slots.get(index) else {
                return done;
            };
            let portion = slot.lock().ok().and_then(|mut slot| slot.take());
            let Some(portion) = portion else { continue };
            let weight = portion.weight;
            done.push((index, lay_out_one(world, styles, portion, index, chapters)));
            if since_cleared.fetch_add(weight, Ordering::Relaxed) + weight > CLEAR_AFTER {
                since_cleared.store(0, Ordering::Relaxed);
                typst::comemo::evict(0);
            }
        }
    };
    let mut done = std::thread::scope(|scope| -> Result<Vec<_>, String> {
        let mut threads = Vec::new();
        for _ in 0..settings.threads.clamp(1, slots.len().max(1)) {
            let thread = std::thread::Builder::new()
                .name("typeset".to_owned())
                .stack_size(STACK)
                .spawn_scoped(scope, work)
                .map_err(|e| format!("no thread to lay out pages: {e}"))?;
            threads.push(thread);
        }
        let mut done = Vec::new();
        for thread in threads {
            done.extend(thread.join().map_err(|_| "the layout of pages stopped")?);
        }
        Ok(done)
    })?;
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, laid)| laid).collect()
}

fn lay_out_one(
    world: &BookWorld,
    styles: &Styles,
    portion: Portion,
    index: usize,
    chapters: &[Chapter],
) -> Result<Laid, String> {
    let mut styles = styles.clone();
    if let Some((_, (width, height))) = &portion.picture {
        styles.set(PageElem::width, Smart::Custom(Abs::pt(*width).into()));
        styles.set(PageElem::height, Smart::Custom(Abs::pt(*height).into()));
    }
    let laid = |pages, fault: Option<String>| Laid {
        chapter: portion.chapter,
        pages,
        picture: portion
            .picture
            .as_ref()
            .filter(|_| fault.is_none())
            .map(|(path, _)| path.clone()),
        fault,
        plain: None,
    };
    let why = match run(world, &styles, &portion.content, index) {
        Ok(pages) => return Ok(laid(pages, None)),
        Err(why) => why,
    };
    let pieces = chapters
        .get(portion.chapter)
        .and_then(|chapter| chapter.pieces.get(portion.pieces.clone()))
        .unwrap_or_default();
    let mut plain = Vec::new();
    text::each_text(pieces, &mut |words| {
        for portion in text::cut(&text::fit(words), super::pieces::PARAGRAPH) {
            plain.push(ParElem::new(TextElem::packed(portion)).pack());
        }
    });
    let pages = run(world, &styles, &Content::sequence(plain), index)?;
    let fault = format!("pages hold plain text only, without boxes: {why}");
    let mut laid = laid(pages, Some(fault));
    laid.plain = Some(portion.pieces.clone());
    Ok(laid)
}

fn run(
    world: &BookWorld,
    styles: &Styles,
    content: &Content,
    index: usize,
) -> Result<Vec<Page>, String> {
    catch_unwind(AssertUnwindSafe(|| {
        let world: &dyn World = world;
        let library = world.library();
        let introspector: &dyn Introspector = &EmptyIntrospector;
        let traced = Traced::default();
        let mut sink = Sink::new();
        let mut engine = Engine {
            library,
            world: world.track(),
            introspector: Protected::new(introspector.track()),
            traced: traced.track(),
            sink: sink.track_mut(),
            route: Route::default(),
        };
        let target = TargetElem::target.set(Target::Paged).wrap();
        let base = StyleChain::new(&library.styles);
        let base = base.chain(&target);
        let chain = base.chain(styles);
        // Locations must differ between portions, which become one document.
        let location = Location::new(typst::utils::hash128(&("portion", index)));
        let document = typst_layout::layout_document_for_bundle(
            &mut engine,
            content,
            Locator::synthesize(location),
            chain,
        )
        .map_err(|e| say(&e))?;
        let delayed = sink.delayed();
        if !delayed.is_empty() {
            return Err(say(&delayed));
        }
        Ok(document.pages().to_vec())
    }))
    .unwrap_or_else(|_| Err("typst panicked".to_owned()))
}

/// One document of all pages.
pub fn document(book: &Metadata, language: &str, pages: Vec<Page>) -> PagedDocument {
    let (lang, region) = locale(language);
    let info = DocumentInfo {
        title: (!book.title.is_empty()).then(|| book.title.as_str().into()),
        author: book.authors.iter().map(|a| a.as_str().into()).collect(),
        locale: Smart::Custom(typst::text::Locale::new(lang, region)),
        ..DocumentInfo::default()
    };
    PagedDocument::new(pages.into_iter().collect(), info)
}

/// typst's errors in one line.
pub fn say(errors: &EcoVec<SourceDiagnostic>) -> String {
    let messages: Vec<&str> = errors.iter().map(|e| e.message.as_str()).collect();
    messages.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_gives_language_and_region() {
        let of = |tag| {
            let (lang, region) = locale(tag);
            format!(
                "{} {}",
                lang.as_str(),
                region.as_ref().map_or("", Region::as_str)
            )
        };
        assert_eq!(of("en-GB"), "en GB");
        assert_eq!(of("zh-Hant"), "zh TW");
        assert_eq!(of("zh-Hans-SG"), "zh SG");
        assert_eq!(of("ja"), "ja ");
        assert_eq!(of(""), "en ");
    }
}
