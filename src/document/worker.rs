//! The child: one document, pdfium, requests from standard input, replies to standard output.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;

use pdfium_render::prelude::*;

use super::book::OpenBook;
use super::drawing::Drawing;
use super::place::Place;
use super::protocol::{CHUNK, Chunks, Reply, Request, read_frame, write_frame};
use super::sandbox;
use super::{Kind, sniff_open};
use crate::config;
use crate::page::{ImageWish, LayoutPage, PageChars};

/// The hidden subcommand's body. Returns when standard input closes: a child dies with its agent.
pub fn run(library: &Path, memory_mb: u64) -> ExitCode {
    let (sender, requests) = mpsc::sync_channel::<(Request, Vec<u8>)>(1);
    // The reader stays in `read` while pdfium works, so that the end of the agent ends the work.
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        while let Ok(frame) = read_frame(&mut stdin) {
            if sender.send(frame).is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
    match serve(library, Some(memory_mb), &requests, io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("document worker: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Serves requests until the channel closes. `memory_mb` `None`: without a sandbox (tests).
pub fn serve(
    library: &Path,
    memory_mb: Option<u64>,
    requests: &mpsc::Receiver<(Request, Vec<u8>)>,
    mut out: impl Write + 'static,
) -> io::Result<()> {
    let bindings = match Pdfium::bind_to_library(library) {
        Ok(bindings) => bindings,
        Err(e) => {
            let why = format!("cannot load {}: {e}", library.display());
            return write_frame(&mut out, &Reply::Machine(why), &[]);
        }
    };
    let pdfium = Pdfium::new(bindings);
    let Ok((
        Request::Open {
            passwords,
            max_pages,
            max_page_inches,
            epub,
        },
        path,
    )) = requests.recv()
    else {
        return Err(io::Error::other("the first request must open a document"));
    };
    let path = OsStr::from_bytes(&path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) => {
            let why = format!("cannot be opened: {e}");
            let reply = if e.kind() == io::ErrorKind::PermissionDenied {
                Reply::Refused(why)
            } else {
                // It could be looked at and read a moment ago.
                Reply::Machine(format!("{}: {why}", Path::new(path).display()))
            };
            return write_frame(&mut out, &reply, &[]);
        }
    };
    let sandbox = memory_mb.map_or_else(|| "none".to_owned(), sandbox::enter);
    let opened = match open_any(&pdfium, file, &passwords, &epub, max_pages) {
        Ok(opened) => opened,
        Err(reply) => return write_frame(&mut out, &reply, &[]),
    };
    let (mut document, mut book) = opened;
    let mut drawing = match &book {
        None => None,
        Some(_) => match Drawing::new(&pdfium, draw) {
            Ok(drawing) => Some(drawing),
            Err(e) => {
                let why = format!("cannot make a document: {e}");
                return write_frame(&mut out, &Reply::Machine(why), &[]);
            }
        },
    };
    let pages = document.pages().len() as u32;
    if pages == 0 {
        return write_frame(&mut out, &Reply::Damaged("has no pages".into()), &[]);
    }
    if pages > max_pages {
        let why = format!("has {pages} pages, more than pdf.max_pages = {max_pages}");
        return write_frame(&mut out, &Reply::Refused(why), &[]);
    }
    let head = match &book {
        Some(book) => serde_json::to_vec(book.head())?,
        None => Vec::new(),
    };
    write_frame(&mut out, &Reply::Opened { pages, sandbox }, &head)?;
    let mut buffer = Vec::new();
    while let Ok((request, _)) = requests.recv() {
        let (reply, payload) = match request {
            Request::Open { .. } => (
                Reply::Refused("a child opens one document".into()),
                Vec::new(),
            ),
            Request::Render { page, wish } => {
                match render(&document, page, wish, max_page_inches, &mut buffer) {
                    Ok((width, height, dpi)) => {
                        write_frame(
                            &mut out,
                            &Reply::Image { width, height, dpi },
                            &buffer[..(width * height * 3) as usize],
                        )?;
                        continue;
                    }
                    Err(why) => (Reply::PageRefused(why), Vec::new()),
                }
            }
            Request::Chars { page } => match chars(&document, page) {
                Ok(chars) => (Reply::Chars, serde_json::to_vec(&chars)?),
                Err(why) => (Reply::PageRefused(why), Vec::new()),
            },
            Request::Reading { page } => match book.as_mut().and_then(|b| b.reading(page)) {
                Some(reading) => (Reply::Reading, serde_json::to_vec(&reading)?),
                None => (no_book(), Vec::new()),
            },
            Request::Markdown { part, read } => {
                match book.as_mut().and_then(|b| b.markdown(part, &read)) {
                    Some(text) => (Reply::Markdown, text.into_bytes()),
                    None => (no_book(), Vec::new()),
                }
            }
            Request::Picture { picture } => match book.as_mut().map(|b| b.picture(picture)) {
                Some(Ok(bytes)) => (Reply::Picture, bytes),
                Some(Err(why)) => (why, Vec::new()),
                None => (no_book(), Vec::new()),
            },
            Request::RenderPicture { picture, wish } => {
                let image = book
                    .as_mut()
                    .map_or_else(|| Err("is no book".into()), |b| b.image(picture, wish));
                match image {
                    Ok(image) => {
                        let (width, height, dpi) = (image.width, image.height, image.dpi);
                        (Reply::Image { width, height, dpi }, image.rgb)
                    }
                    Err(why) => (Reply::PageRefused(why), Vec::new()),
                }
            }
            Request::Draw(layout) => {
                let page = layout.page + 1;
                let drawn = match &mut drawing {
                    Some(drawing) => drawing.add(&document, layout),
                    None => draw(&mut document, &layout),
                };
                let refused = |e| Reply::PageRefused(format!("page {page}: {e}"));
                (drawn.map_or_else(refused, |()| Reply::Drawn), Vec::new())
            }
            Request::Save => {
                let mut chunks = BufWriter::with_capacity(CHUNK, Chunks(out));
                let saved = match drawing.take() {
                    Some(drawing) => drawing
                        .finish(&document)
                        .and_then(|whole| whole.save_to_writer(&mut chunks)),
                    None => document.save_to_writer(&mut chunks),
                };
                out = match chunks.into_inner() {
                    Ok(Chunks(out)) => out,
                    Err(e) => return Err(e.into_error()),
                };
                match saved {
                    Ok(()) => (Reply::End, Vec::new()),
                    Err(e) => (Reply::Refused(format!("cannot be saved: {e}")), Vec::new()),
                }
            }
        };
        write_frame(&mut out, &reply, &payload)?;
    }
    Ok(())
}

/// What was asked for is of a book, or of a part that the book lacks.
fn no_book() -> Reply {
    Reply::Refused("has no such part".into())
}

/// A PDF, or the typeset pages of a book and the book.
fn open_any<'a>(
    pdfium: &'a Pdfium,
    mut file: File,
    passwords: &[String],
    epub: &config::Epub,
    max_pages: u32,
) -> Result<(PdfDocument<'a>, Option<OpenBook>), Reply> {
    let machine = |e: io::Error| Reply::Machine(format!("cannot be read: {e}"));
    let kind = sniff_open(&file).map_err(machine)?;
    file.rewind().map_err(machine)?;
    if kind != Kind::Epub {
        return Ok((open(pdfium, &file, passwords)?, None));
    }
    let (book, pages) = OpenBook::open(file, epub, max_pages)?;
    let document = pdfium
        .load_pdf_from_byte_vec(pages, None)
        .map_err(|e| Reply::Refused(format!("its typeset pages cannot be opened: {e}")))?;
    Ok((document, Some(book)))
}

fn open<'a>(
    pdfium: &'a Pdfium,
    file: &File,
    passwords: &[String],
) -> Result<PdfDocument<'a>, Reply> {
    let refused = |why: &str| Reply::Refused(why.to_owned());
    for password in std::iter::once(None).chain(passwords.iter().map(|p| Some(p.as_str()))) {
        let reader = file
            .try_clone()
            .map_err(|e| Reply::Machine(format!("cannot open it once more: {e}")))?;
        match pdfium.load_pdf_from_reader(reader, password) {
            Ok(document) => return Ok(document),
            Err(PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::PasswordError)) => {}
            Err(PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::SecurityError)) => {
                return Err(refused("is protected by a scheme that cannot be opened"));
            }
            Err(PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::FormatError)) => {
                return Err(Reply::Damaged(
                    "is damaged: no PDF structure could be read".into(),
                ));
            }
            Err(e) => return Err(Reply::Refused(format!("cannot be read: {e}"))),
        }
    }
    Err(refused(
        "needs a password: add it to [pdf] passwords, then retry",
    ))
}

fn get<'a>(document: &PdfDocument<'a>, page: u32) -> Result<PdfPage<'a>, String> {
    let index = PdfPageIndex::try_from(page).map_err(|e| e.to_string())?;
    document
        .pages()
        .get(index)
        .map_err(|e| format!("page {} cannot be opened: {e}", page + 1))
}

fn render(
    document: &PdfDocument<'_>,
    page: u32,
    wish: ImageWish,
    max_page_inches: f32,
    buffer: &mut Vec<u8>,
) -> Result<(u32, u32, f32), String> {
    let page = get(document, page)?;
    let (w, h) = (page.width().value / 72.0, page.height().value / 72.0);
    if !(w > 0.0 && h > 0.0) {
        return Err(format!("the page measures {w} by {h} inches"));
    }
    if w > max_page_inches || h > max_page_inches {
        return Err(format!(
            "the page measures {w:.0} by {h:.0} inches, more than pdf.max_page_inches = {max_page_inches}"
        ));
    }
    let bound = (wish.max_pixels as f32 / (w * h)).sqrt();
    let dpi = wish.dpi.min(bound).max(1.0);
    let size = |inches: f32| ((inches * dpi).round() as i32).clamp(1, 65_000);
    let (width, height) = (size(w), size(h));
    let stride = (3 * width as usize + 3) & !3;
    buffer.clear();
    buffer.resize(stride * height as usize, 0xff);
    {
        let mut bitmap = PdfBitmap::from_bytes(width, height, PdfBitmapFormat::BGR, buffer)
            .map_err(|e| e.to_string())?;
        let config = PdfRenderConfig::new()
            .set_target_size(width, height)
            .set_reverse_byte_order(true);
        page.render_into_bitmap_with_config(&mut bitmap, &config)
            .map_err(|e| format!("cannot be rendered: {e}"))?;
    }
    let row = 3 * width as usize;
    if stride != row {
        for y in 1..height as usize {
            buffer.copy_within(y * stride..y * stride + row, y * row);
        }
    }
    Ok((width as u32, height as u32, dpi))
}

fn place(page: &PdfPage<'_>) -> Result<Place, PdfiumError> {
    let b = page.boundaries().bounding()?.bounds;
    let rotate = match page.rotation()? {
        PdfPageRenderRotation::None => 0,
        PdfPageRenderRotation::Degrees90 => 90,
        PdfPageRenderRotation::Degrees180 => 180,
        PdfPageRenderRotation::Degrees270 => 270,
    };
    Ok(Place {
        left: b.left().value,
        bottom: b.bottom().value,
        right: b.right().value,
        top: b.top().value,
        rotate,
    })
}

fn chars(document: &PdfDocument<'_>, page: u32) -> Result<PageChars, String> {
    let page = get(document, page)?;
    let place = place(&page).map_err(|e| e.to_string())?;
    super::chars::of(&page, place).map_err(|e| e.to_string())
}

/// Fill of a box: its own colour at this opacity of 255, as the seed drew it.
const FILL_ALPHA: u8 = 20;
const LABEL_POINTS: f32 = 6.0;

fn draw(document: &mut PdfDocument<'_>, layout: &LayoutPage) -> Result<(), PdfiumError> {
    let font = document.fonts_mut().helvetica();
    let mut page = document.pages().get(layout.page as PdfPageIndex)?;
    page.set_content_regeneration_strategy(PdfPageContentRegenerationStrategy::Manual);
    let place = place(&page)?;
    for b in &layout.boxes {
        let [fx1, fy1, fx2, fy2] = b.at.fractions();
        let ((ax, ay), (bx, by)) = (place.to_page(fx1, fy1), place.to_page(fx2, fy2));
        let rect = PdfRect::new_from_values(ay.min(by), ax.min(bx), ay.max(by), ax.max(bx));
        let [r, g, blue] = b.color;
        page.objects_mut().create_path_object_rect(
            rect,
            Some(PdfColor::new(r, g, blue, 255)),
            Some(PdfPoints::new(if b.strong { 2.0 } else { 1.0 })),
            Some(PdfColor::new(r, g, blue, FILL_ALPHA)),
        )?;
        write(
            &mut page,
            font,
            place,
            (fx1, fy1),
            &format!("{} {}", b.number, b.label),
            LABEL_POINTS,
            b.color,
        )?;
    }
    if let Some(note) = &layout.note {
        write(
            &mut page,
            font,
            place,
            (0.03, 0.05),
            note,
            12.0,
            [200, 0, 0],
        )?;
    }
    page.regenerate_content()
}

/// Text upright in the displayed page, its baseline a little above `at` (fractions), inside the page.
fn write(
    page: &mut PdfPage<'_>,
    font: PdfFontToken,
    place: Place,
    at: (f32, f32),
    text: &str,
    points: f32,
    [r, g, b]: [u8; 3],
) -> Result<(), PdfiumError> {
    let ascii: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '?'
            }
        })
        .collect();
    let displayed_height = if place.rotate.is_multiple_of(180) {
        place.top - place.bottom
    } else {
        place.right - place.left
    };
    let lift = 1.5 / displayed_height.max(1.0);
    let low = points / displayed_height.max(1.0);
    let (x, y) = place.to_page(at.0, (at.1 - lift).max(low));
    let mut object = page.objects_mut().create_text_object(
        PdfPoints::ZERO,
        PdfPoints::ZERO,
        ascii,
        font,
        PdfPoints::new(points),
    )?;
    object.set_fill_color(PdfColor::new(r, g, b, 255))?;
    object.rotate_counter_clockwise_degrees(f32::from(place.rotate))?;
    object.translate(PdfPoints::new(x), PdfPoints::new(y))
}
