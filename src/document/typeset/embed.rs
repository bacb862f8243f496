//! A picture as a PDF of one page, so that typst passes its bytes on instead of its pixels.
//!
//! typst keeps every picture decoded until the PDF is written: a comic of 500 pages would take
//! 9 GB. A PDF that is placed as a picture is copied as it is. A JPEG goes in untouched (PDF's
//! DCTDecode); other formats are decoded once and go in as PNG's own compressed rows (FlateDecode
//! with PNG predictors, ISO 32000-1, 7.4.4.4), transparency beside them.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageReader, Limits};

/// Most pixels of a picture that is decoded: 4 bytes each, twice for a moment.
const MOST_DECODED: u64 = 48 << 20;
/// Most pixels of a JPEG, which only a viewer decodes.
const MOST_PIXELS: u64 = 100 << 20;
/// Longest sides and quality of a picture that is made smaller.
const SMALL: (u32, u32) = (1_400, 2_000);
const SMALL_QUALITY: u8 = 80;
/// Longest side of the page: its unit does not matter, PDF's limit is 14,400.
const SIDE: f64 = 1_000.0;

/// A picture as a PDF page.
pub struct Embedded {
    pub pdf: Vec<u8>,
    /// In pixels, upright.
    pub width: u32,
    pub height: u32,
}

/// Image data with its PDF dictionary entries.
struct Stream {
    entries: String,
    data: Vec<u8>,
}

/// Embeds a JPEG, PNG, GIF or WebP picture; `small` makes it a JPEG of at most [`SMALL`] pixels.
/// Errors when it is of another format, damaged or too large.
pub fn embed(data: Vec<u8>, small: bool) -> Result<Embedded, String> {
    let reader = ImageReader::new(Cursor::new(&data))
        .with_guessed_format()
        .map_err(|e| e.to_string())?;
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    if !small && let Some(components) = plain_jpeg(&data, width, height) {
        if pixels > MOST_PIXELS {
            return Err(too_many(width, height));
        }
        drop(decoder);
        let entries = format!(
            "/ColorSpace /{} /Filter /DCTDecode",
            if components == 1 {
                "DeviceGray"
            } else {
                "DeviceRGB"
            }
        );
        return Ok(page(
            Stream { entries, data },
            None,
            (width, height),
            orientation,
        ));
    }
    if pixels > MOST_DECODED {
        return Err(too_many(width, height));
    }
    decoder
        .set_limits(Limits::default())
        .map_err(|e| e.to_string())?;
    let decoded = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    drop(data);
    if small {
        return shrunk(decoded, orientation);
    }
    let size = (decoded.width(), decoded.height());
    let alpha = if decoded.color().has_alpha() {
        let rgba = decoded.to_rgba8();
        let alpha: Vec<u8> = rgba.pixels().map(|pixel| pixel.0[3]).collect();
        if alpha.iter().all(|a| *a == u8::MAX) {
            None
        } else {
            Some(rows(&alpha, size, 1)?)
        }
    } else {
        None
    };
    let stream = if decoded.color().has_color() {
        rows(decoded.into_rgb8().as_raw(), size, 3)?
    } else {
        rows(decoded.into_luma8().as_raw(), size, 1)?
    };
    Ok(page(stream, alpha, size, orientation))
}

fn too_many(width: u32, height: u32) -> String {
    format!("it has {width} x {height} pixels, which is too many")
}

fn shrunk(decoded: DynamicImage, orientation: Orientation) -> Result<Embedded, String> {
    let (width, height) = SMALL;
    let decoded = if decoded.width() > width || decoded.height() > height {
        decoded.thumbnail(width, height)
    } else {
        decoded
    };
    let size = (decoded.width(), decoded.height());
    let mut data = Vec::new();
    JpegEncoder::new_with_quality(&mut data, SMALL_QUALITY)
        .encode_image(&decoded.into_rgb8())
        .map_err(|e| e.to_string())?;
    let entries = "/ColorSpace /DeviceRGB /Filter /DCTDecode".to_owned();
    Ok(page(Stream { entries, data }, None, size, orientation))
}

/// Components (1 or 3) of a JPEG that PDF's DCTDecode takes as it is: baseline, extended or
/// progressive Huffman, 8 bits (ITU-T T.81, B.1.1.3 and B.2.2), of the size that the decoder sees.
fn plain_jpeg(data: &[u8], width: u32, height: u32) -> Option<u8> {
    let mut rest = data.strip_prefix(&[0xFF, 0xD8])?;
    loop {
        let [0xFF, marker, after @ ..] = rest else {
            return None;
        };
        match marker {
            0xFF => {
                rest = &rest[1..];
                continue;
            }
            0x01 | 0xD0..=0xD7 => {
                rest = after;
                continue;
            }
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes([*after.first()?, *after.get(1)?]));
        if (0xC0..=0xCF).contains(marker) && ![0xC4, 0xC8, 0xCC].contains(marker) {
            let [8, h1, h2, w1, w2, components @ (1 | 3), ..] = after.get(2..length)? else {
                return None;
            };
            let size = [[*w1, *w2], [*h1, *h2]].map(|v| u32::from(u16::from_be_bytes(v)));
            let taken = (0xC0..=0xC2).contains(marker) && size == [width, height];
            return taken.then_some(*components);
        }
        rest = after.get(length..)?;
    }
}

/// Rows of 8-bit samples as PNG compresses them.
fn rows(samples: &[u8], (width, height): (u32, u32), components: u8) -> Result<Stream, String> {
    let (colour, space) = if components == 1 {
        (ExtendedColorType::L8, "DeviceGray")
    } else {
        (ExtendedColorType::Rgb8, "DeviceRGB")
    };
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
        .write_image(samples, width, height, colour)
        .map_err(|e| e.to_string())?;
    let mut data = Vec::with_capacity(png.len());
    let mut rest = png.get(8..).unwrap_or_default();
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, kind @ ..] = *head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let body = after.get(..length).unwrap_or_default();
        if &kind == b"IDAT" {
            data.extend_from_slice(body);
        }
        // A checksum of four bytes ends a chunk.
        rest = after.get(length + 4..).unwrap_or_default();
    }
    let entries = format!(
        "/ColorSpace /{space} /Filter /FlateDecode /DecodeParms << /Predictor 15 \
         /Colors {components} /BitsPerComponent 8 /Columns {width} >>"
    );
    Ok(Stream { entries, data })
}

/// A PDF whose only page is filled by the picture, turned upright.
fn page(
    stream: Stream,
    alpha: Option<Stream>,
    (width, height): (u32, u32),
    orientation: Orientation,
) -> Embedded {
    use Orientation as O;
    let turned = matches!(
        orientation,
        O::Rotate90 | O::Rotate270 | O::Rotate90FlipH | O::Rotate270FlipH
    );
    let (up_width, up_height) = if turned {
        (height, width)
    } else {
        (width, height)
    };
    let scale = SIDE / f64::from(width.max(height).max(1));
    let (w, h) = (f64::from(up_width) * scale, f64::from(up_height) * scale);
    // Where the picture's unit square goes: its bottom left corner is the origin.
    let matrix = match orientation {
        O::NoTransforms => [w, 0.0, 0.0, h, 0.0, 0.0],
        O::FlipHorizontal => [-w, 0.0, 0.0, h, w, 0.0],
        O::Rotate180 => [-w, 0.0, 0.0, -h, w, h],
        O::FlipVertical => [w, 0.0, 0.0, -h, 0.0, h],
        O::Rotate90 => [0.0, -h, w, 0.0, 0.0, h],
        O::Rotate270 => [0.0, h, -w, 0.0, w, 0.0],
        O::Rotate90FlipH => [0.0, h, w, 0.0, 0.0, 0.0],
        O::Rotate270FlipH => [0.0, -h, -w, 0.0, w, h],
    };
    let [a, b, c, d, e, f] = matrix;
    let drawing = format!("{a:.4} {b:.4} {c:.4} {d:.4} {e:.4} {f:.4} cm /P Do");
    let mask = if alpha.is_some() { " /SMask 6 0 R" } else { "" };
    let image = |stream: &Stream, mask: &str| {
        format!(
            "<< /Type /XObject /Subtype /Image /Width {width} /Height {height} \
             /BitsPerComponent 8 {}{mask} /Length {} >>",
            stream.entries,
            stream.data.len()
        )
    };
    let mut pdf = Pdf::default();
    pdf.object("<< /Type /Catalog /Pages 2 0 R >>", None);
    pdf.object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>", None);
    pdf.object(
        &format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {w:.4} {h:.4}] /Contents 4 0 R \
             /Resources << /XObject << /P 5 0 R >> >> >>"
        ),
        None,
    );
    let length = drawing.len();
    pdf.object(&format!("<< /Length {length} >>"), Some(drawing.as_bytes()));
    pdf.object(&image(&stream, mask), Some(&stream.data));
    if let Some(alpha) = &alpha {
        pdf.object(&image(alpha, ""), Some(&alpha.data));
    }
    Embedded {
        pdf: pdf.finish(),
        width: up_width,
        height: up_height,
    }
}

/// Objects numbered from 1, the first is the catalog (ISO 32000-1, 7.5).
#[derive(Default)]
struct Pdf {
    out: Vec<u8>,
    offsets: Vec<usize>,
}

impl Pdf {
    fn object(&mut self, dictionary: &str, stream: Option<&[u8]>) {
        if self.out.is_empty() {
            self.out.extend_from_slice(b"%PDF-1.5\n");
        }
        self.offsets.push(self.out.len());
        let head = format!("{} 0 obj\n{dictionary}\n", self.offsets.len());
        self.out.extend_from_slice(head.as_bytes());
        if let Some(stream) = stream {
            self.out.reserve_exact(stream.len() + 512);
            self.out.extend_from_slice(b"stream\n");
            self.out.extend_from_slice(stream);
            self.out.extend_from_slice(b"\nendstream\n");
        }
        self.out.extend_from_slice(b"endobj\n");
    }

    fn finish(mut self) -> Vec<u8> {
        let table = self.out.len();
        let size = self.offsets.len() + 1;
        let mut tail = format!("xref\n0 {size}\n0000000000 65535 f \n");
        for offset in &self.offsets {
            tail.push_str(&format!("{offset:010} 00000 n \n"));
        }
        tail.push_str(&format!(
            "trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n"
        ));
        self.out.extend_from_slice(tail.as_bytes());
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

    fn bytes(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        image.write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    fn has(pdf: &[u8], what: &str) -> bool {
        pdf.windows(what.len()).any(|w| w == what.as_bytes())
    }

    #[test]
    fn a_jpeg_goes_in_untouched() {
        let image = DynamicImage::ImageRgb8(RgbImage::from_pixel(30, 20, Rgb([9, 99, 199])));
        let jpeg = bytes(&image, ImageFormat::Jpeg);
        assert_eq!(plain_jpeg(&jpeg, 30, 20), Some(3));
        assert_eq!(plain_jpeg(&jpeg, 31, 20), None);
        let embedded = embed(jpeg.clone(), false).unwrap();
        assert_eq!((embedded.width, embedded.height), (30, 20));
        assert!(embedded.pdf.windows(jpeg.len()).any(|w| w == jpeg));
        assert!(has(&embedded.pdf, "/DCTDecode"));
    }

    #[test]
    fn a_png_keeps_its_transparency() {
        let mut image = RgbaImage::from_pixel(8, 8, Rgba([1, 2, 3, 255]));
        let png = bytes(&DynamicImage::ImageRgba8(image.clone()), ImageFormat::Png);
        assert!(!has(&embed(png, false).unwrap().pdf, "/SMask"));
        image.put_pixel(0, 0, Rgba([1, 2, 3, 0]));
        let png = bytes(&DynamicImage::ImageRgba8(image), ImageFormat::Png);
        let pdf = embed(png, false).unwrap().pdf;
        assert!(has(&pdf, "/SMask 6 0 R") && has(&pdf, "6 0 obj"));
    }

    #[test]
    fn a_large_picture_can_be_made_small() {
        let image = DynamicImage::ImageRgb8(RgbImage::new(2_800, 700));
        let embedded = embed(bytes(&image, ImageFormat::Png), true).unwrap();
        assert_eq!((embedded.width, embedded.height), (1_400, 350));
    }

    #[test]
    fn damaged_pictures_are_refused() {
        let image = DynamicImage::ImageRgb8(RgbImage::new(8, 8));
        let png = bytes(&image, ImageFormat::Png);
        for data in [Vec::new(), b"text".to_vec(), png[..20].to_vec()] {
            assert!(embed(data, false).is_err());
        }
        assert_eq!(plain_jpeg(&[0xFF, 0xD8, 0xFF, 0xC0, 0, 3, 8], 1, 1), None);
    }
}
