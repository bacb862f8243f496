//! Document children on real processes and the real pdfium.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use dropleaf::config;
use dropleaf::document::{Child, DocumentError};
use dropleaf::page::{ImageWish, LayoutBox, LayoutPage, PageBox};
use support::{PROGRAM, pdf, sheet};

const WISH: ImageWish = ImageWish {
    dpi: 144.0,
    max_pixels: 1_000_000,
};

fn pdfium() -> PathBuf {
    let mut config = config::Config::default();
    config.folders.fill().unwrap();
    let library = config.folders.data.join("lib/libpdfium.so");
    assert!(
        library.is_file(),
        "{} is missing: run packaging/fetch-assets",
        library.display()
    );
    library
}

async fn opened(path: &Path, settings: &config::Pdf) -> Result<(Child, u32), DocumentError> {
    let mut child = Child::spawn(
        Path::new(PROGRAM),
        &pdfium(),
        settings,
        &dropleaf::config::Epub::default(),
    )?;
    let pages = child.open(path).await?.pages;
    Ok((child, pages))
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

/// The box around all dark pixels, in fractions.
fn ink(image: &dropleaf::page::PageImage) -> [f32; 4] {
    let (w, h) = (image.width as usize, image.height as usize);
    let mut b = [1.0f32, 1.0, 0.0, 0.0];
    for y in 0..h {
        for x in 0..w {
            if image.rgb[(y * w + x) * 3] < 100 {
                let (fx, fy) = (x as f32 / w as f32, y as f32 / h as f32);
                b = [b[0].min(fx), b[1].min(fy), b[2].max(fx), b[3].max(fy)];
            }
        }
    }
    b
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_is_an_object_of_its_own_divides_words() {
    // The letters stand a point apart: pdfium by itself reads one word.
    let page = "to) Tj 15 0 Td ( ) Tj 1 0 Td (be";
    let file = written(&sheet(&[page], "/MediaBox [0 0 400 300]"));
    let (mut child, _) = opened(file.path(), &config::Pdf::default()).await.unwrap();
    let chars = child.chars(0).await.unwrap().chars;
    let text: String = chars.iter().map(|c| c.ch).collect();
    assert_eq!(text.trim_end(), "to be");
}

#[tokio::test(flavor = "multi_thread")]
async fn characters_stand_where_the_page_shows_them_however_it_is_turned() {
    for rotate in [0, 90, 180, 270] {
        let attributes =
            format!("/MediaBox [0 0 400 300] /CropBox [10 20 310 140] /Rotate {rotate}");
        let file = written(&sheet(&["Turned words"], &attributes));
        let (mut child, pages) = opened(file.path(), &config::Pdf::default()).await.unwrap();
        assert_eq!(pages, 1);
        let image = child.render(0, WISH).await.unwrap();
        let expected = if rotate % 180 == 0 {
            (600, 240)
        } else {
            (240, 600)
        };
        assert_eq!((image.width, image.height), expected, "{rotate}");
        let chars = child.chars(0).await.unwrap().chars;
        let text: String = chars.iter().map(|c| c.ch).collect();
        assert_eq!(text.trim_end(), "Turned words");
        let shown = ink(&image);
        let told =
            chars
                .iter()
                .filter(|c| !c.ch.is_whitespace())
                .fold([1.0f32, 1.0, 0.0, 0.0], |b, c| {
                    [
                        b[0].min(c.x1),
                        b[1].min(c.y1),
                        b[2].max(c.x2),
                        b[3].max(c.y2),
                    ]
                });
        // Loose boxes hold the ink, with some room for ascenders.
        for (i, (shown, told)) in shown.iter().zip(told).enumerate() {
            assert!(
                (shown - told).abs() < 0.09,
                "{rotate}: side {i}, ink at {shown}, characters at {told}"
            );
        }
        // A box drawn around the characters is seen around the ink.
        let at = PageBox::from_fractions(told[0], told[1], told[2], told[3]);
        let boxes = vec![LayoutBox {
            at,
            label: "text".into(),
            color: [0, 0, 0],
            number: 1,
            strong: false,
        }];
        child
            .draw(LayoutPage {
                page: 0,
                note: None,
                boxes,
            })
            .await
            .unwrap();
        let mut bytes = Vec::new();
        let mut saving = child.save().await.unwrap();
        while let Some(piece) = saving.piece().await.unwrap() {
            bytes.extend(piece);
        }
        let saved = written(&bytes);
        let (mut again, pages) = opened(saved.path(), &config::Pdf::default()).await.unwrap();
        assert_eq!(pages, 1);
        let drawn = again.render(0, WISH).await.unwrap();
        assert_eq!((drawn.width, drawn.height), expected, "{rotate}");
        let frame = ink(&drawn);
        for (i, (frame, told)) in frame.iter().zip(told).enumerate() {
            // The label stands outside on one side.
            let room = if i < 2 { 0.12 } else { 0.03 };
            assert!(
                (frame - told).abs() < room,
                "{rotate}: side {i}, frame at {frame}, box at {told}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_bounded_before_anything_is_allocated() {
    let file = written(&sheet(&["x"], "/MediaBox [0 0 14000 14000]"));
    let (mut child, _) = opened(file.path(), &config::Pdf::default()).await.unwrap();
    let image = child.render(0, WISH).await.unwrap();
    assert!(u64::from(image.width) * u64::from(image.height) <= WISH.max_pixels + 2000);
    let file = written(&sheet(&["x"], "/MediaBox [0 0 20000 100]"));
    let (mut child, _) = opened(file.path(), &config::Pdf::default()).await.unwrap();
    let refused = child.render(0, WISH).await.unwrap_err();
    assert!(
        refused.to_string().contains("pdf.max_page_inches"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_document_is_refused_with_its_reason() {
    let settings = config::Pdf::default();
    let refused = |bytes: Vec<u8>, settings: config::Pdf| async move {
        opened(written(&bytes).path(), &settings)
            .await
            .err()
            .unwrap()
    };
    let cut = pdf(&["words"])[..60].to_vec();
    assert!(matches!(
        refused(cut, settings.clone()).await,
        DocumentError::Damaged(_)
    ));
    let none = sheet(&[], "");
    let error = refused(none, settings.clone()).await;
    assert!(matches!(error, DocumentError::Damaged(_)), "{error}");
    let many = pdf(&["a", "b", "c"]);
    let error = refused(
        many,
        config::Pdf {
            max_pages: 2,
            ..settings.clone()
        },
    )
    .await;
    assert!(error.to_string().contains("pdf.max_pages = 2"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_hangs_is_killed_at_its_limit() {
    let settings = config::Pdf {
        timeout_seconds: 3.0,
        ..config::Pdf::default()
    };
    let file = written(&pdf(&["a"]));
    let (mut child, _) = opened(file.path(), &settings).await.unwrap();
    let pid = child.pid().unwrap();
    let stop = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(stop, rustix::process::Signal::STOP).unwrap();
    let error = child.render(0, WISH).await.unwrap_err();
    assert!(matches!(error, DocumentError::TimedOut(_)), "{error}");
    assert!(!support::alive(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_stands_outside_the_process_group_that_a_terminal_interrupts() {
    let file = written(&pdf(&["a"]));
    let (child, _) = opened(file.path(), &config::Pdf::default()).await.unwrap();
    let pid = rustix::process::Pid::from_raw(child.pid().unwrap() as i32);
    let group = rustix::process::getpgid(pid).unwrap();
    assert_ne!(group, rustix::process::getpgid(None).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_machine_lacks_is_not_blamed_on_the_document() {
    let (settings, file) = (config::Pdf::default(), written(&pdf(&["a"])));
    let library = Path::new("/nowhere/libpdfium.so");
    let mut child = Child::spawn(
        Path::new(PROGRAM),
        library,
        &settings,
        &dropleaf::config::Epub::default(),
    )
    .unwrap();
    let error = child.open(file.path()).await.unwrap_err();
    assert!(matches!(error, DocumentError::Machine(_)), "{error}");
    assert!(error.to_string().contains("/nowhere"), "{error}");
    let error = opened(Path::new("/nowhere/a.pdf"), &settings).await;
    assert!(matches!(error.err(), Some(DocumentError::Machine(_))));
}
