//! Pictures cut from a page image.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageError};

use crate::page::{PageImage, Reading};

/// A figure crop: the file name under `images/` and JPEG bytes.
pub struct Crop {
    pub name: String,
    pub jpeg: Vec<u8>,
}

/// The crops of a page in the order in which its Markdown numbers them.
pub fn crops(
    reading: &Reading,
    page: u32,
    image: &PageImage,
    quality: u8,
) -> Result<Vec<Crop>, ImageError> {
    let mut out = Vec::new();
    for at in reading.figures().flat_map(|b| &b.boxes) {
        let [x1, y1, x2, y2] = at.pixels(image.width, image.height);
        let row = image.width as usize * 3;
        let mut rgb = Vec::with_capacity(((x2 - x1) * (y2 - y1) * 3) as usize);
        for y in y1..y2 {
            let start = y as usize * row;
            rgb.extend_from_slice(&image.rgb[start + x1 as usize * 3..start + x2 as usize * 3]);
        }
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, quality).encode(
            &rgb,
            x2 - x1,
            y2 - y1,
            ExtendedColorType::Rgb8,
        )?;
        out.push(Crop {
            name: format!("{page}_{}.jpg", out.len()),
            jpeg,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Block, PageBox, Rotation};

    #[test]
    fn a_crop_shows_what_stands_under_its_box() {
        let (w, h) = (200u32, 100u32);
        let rgb = (0..h)
            .flat_map(|_| (0..w).flat_map(|x| if x < w / 2 { [250, 0, 0] } else { [0, 0, 250] }))
            .collect();
        let image = PageImage::new(w, h, rgb, 72.0).unwrap();
        let block = Block {
            label: "image".into(),
            boxes: vec![PageBox::from_fractions(0.6, 0.1, 0.9, 0.9), PageBox::FULL],
            content: String::new(),
            heading: None,
        };
        let reading = Reading::of_blocks(vec![block], Rotation::None, 0.0);
        let crops = crops(&reading, 2, &image, 75).unwrap();
        let names: Vec<_> = crops.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["2_0.jpg", "2_1.jpg"]);
        let first = image::load_from_memory(&crops[0].jpeg).unwrap().to_rgb8();
        assert!(first.width().abs_diff(60) <= 1 && first.height().abs_diff(80) <= 1);
        assert!(first.pixels().all(|p| p.0[2] > 200 && p.0[0] < 40));
    }
}
