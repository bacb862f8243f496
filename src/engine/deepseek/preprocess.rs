//! A page image becomes the views that the vision towers look at: tiles cut from the stretched
//! page, and one global view. Pixels stay 8-bit RGB; the graph normalises them.
//!
//! Every rounding is that of the published code (`dynamic_preprocess` of DeepSeek-OCR, `ImageOps.pad`
//! and `Image.resize` of Pillow), so that the model sees what it was trained on.

use super::resample::{self, Rgb};
use crate::config::Mode;
use crate::pack::Geometry;
use crate::page::PageImage;

/// Grey around a padded view: the mean that the model normalises by (0.5), as an integer of 255.
const PADDING: u8 = 127;
/// Sides of the modes with one view, in pixels.
const TINY: usize = 512;
const SMALL: usize = 640;
const BASE: usize = 1024;
const LARGE: usize = 1280;

/// A square image: `side * side * 3` bytes, RGB, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub side: u32,
    pub rgb: Vec<u8>,
}

/// What a model sees of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Views {
    /// Row by row, `grid.0 * grid.1` of them; none where the global view shows enough.
    pub tiles: Vec<View>,
    /// Tiles across and down; `(1, 1)` where there are none.
    pub grid: (u32, u32),
    pub global: View,
}

/// The views of a page image. Memory beside the result: about one copy of the tiles.
pub fn prepare(image: &PageImage, mode: Mode, geometry: &Geometry) -> Views {
    let page = Rgb {
        width: image.width as usize,
        height: image.height as usize,
        data: &image.rgb,
    };
    let global = match mode {
        Mode::Gundam => padded(page, geometry.base_side),
        Mode::Base => padded(page, BASE),
        Mode::Large => padded(page, LARGE),
        Mode::Small => view(SMALL, resample::resize(page, SMALL, SMALL)),
        Mode::Tiny => view(TINY, resample::resize(page, TINY, TINY)),
    };
    let side = geometry.tile_side;
    if mode != Mode::Gundam || (page.width <= side && page.height <= side) {
        return Views {
            tiles: Vec::new(),
            grid: (1, 1),
            global,
        };
    }
    let (across, down) = grid(page.width, page.height, geometry);
    Views {
        tiles: tiles(page, across, down, side),
        grid: (across as u32, down as u32),
        global,
    }
}

fn view(side: usize, rgb: Vec<u8>) -> View {
    View {
        side: side as u32,
        rgb,
    }
}

/// Tiles across and down: of all grids with an allowed number of tiles, from the fewest on, the one
/// whose aspect ratio is closest to the page's. A later one that is as close is taken when the page
/// has more than half its pixels.
fn grid(width: usize, height: usize, geometry: &Geometry) -> (usize, usize) {
    let aspect = width as f64 / height as f64;
    let area = width as f64 * height as f64;
    let tile_area = (geometry.tile_side * geometry.tile_side) as f64;
    let mut best = (1, 1);
    let mut least = f64::INFINITY;
    for count in geometry.min_tiles..=geometry.max_tiles {
        for across in (1..=count).filter(|across| count.is_multiple_of(*across)) {
            let down = count / across;
            let distance = (aspect - across as f64 / down as f64).abs();
            if distance < least || (distance == least && area > 0.5 * tile_area * count as f64) {
                (best, least) = ((across, down), distance);
            }
        }
    }
    best
}

/// The page stretched over the whole grid, and cut.
fn tiles(page: Rgb<'_>, across: usize, down: usize, side: usize) -> Vec<View> {
    let stretched = resample::resize(page, across * side, down * side);
    let row = side * 3;
    (0..across * down)
        .map(|tile| {
            let (x, y) = (tile % across, tile / across);
            let mut rgb = Vec::with_capacity(side * row);
            for line in y * side..(y + 1) * side {
                rgb.extend_from_slice(&stretched[(line * across + x) * row..][..row]);
            }
            view(side, rgb)
        })
        .collect()
}

/// The page within a square, its aspect ratio kept, centred on grey (`ImageOps.pad`). Python's
/// `round` takes halves to the even number.
fn padded(page: Rgb<'_>, side: usize) -> View {
    let share = |part: usize, whole: usize| {
        let length = (part as f64 / whole as f64 * side as f64).round_ties_even();
        // Pillow refuses a page so narrow that nothing would be left of it.
        (length as usize).clamp(1, side)
    };
    let (width, height) = if page.width > page.height {
        (side, share(page.height, page.width))
    } else {
        (share(page.width, page.height), side)
    };
    let fitted = resample::resize(page, width, height);
    if (width, height) == (side, side) {
        return view(side, fitted);
    }
    let offset = |length: usize| ((side - length) as f64 * 0.5).round_ties_even() as usize;
    let (left, top) = (offset(width), offset(height));
    let mut rgb = vec![PADDING; side * side * 3];
    for (y, row) in fitted.chunks_exact(width * 3).enumerate() {
        let start = ((top + y) * side + left) * 3;
        rgb[start..start + row.len()].copy_from_slice(row);
    }
    view(side, rgb)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::durable;
    use crate::engine::deepseek::fixtures::{DEEPSEEK, image, published};

    /// Pixels that differ, and by how much at most.
    fn difference(found: &View, expected: &PageImage) -> (usize, u8) {
        assert_eq!((found.side, found.side), (expected.width, expected.height));
        let pixels = found
            .rgb
            .chunks_exact(3)
            .zip(expected.rgb.chunks_exact(3))
            .map(|(a, b)| (0..3).map(|i| a[i].abs_diff(b[i])).max().unwrap_or(0))
            .filter(|&d| d > 0);
        (pixels.clone().count(), pixels.max().unwrap_or(0))
    }

    #[test]
    fn the_views_of_the_reference_are_equal() {
        let page = prepare(&image(DEEPSEEK, "page.png"), Mode::Gundam, &published());
        assert_eq!((page.grid, page.tiles.len()), ((2, 3), 6));
        for (i, tile) in page.tiles.iter().enumerate() {
            let expected = image(DEEPSEEK, &format!("page.tile{i}.png"));
            assert_eq!(difference(tile, &expected), (0, 0), "tile {i}");
        }
        let expected = image(DEEPSEEK, "page.global.png");
        assert_eq!(difference(&page.global, &expected), (0, 0));

        let card = prepare(&image(DEEPSEEK, "card.png"), Mode::Gundam, &published());
        assert_eq!((card.grid, card.tiles.len()), ((1, 1), 0));
        let expected = image(DEEPSEEK, "card.global.png");
        assert_eq!(difference(&card.global, &expected), (0, 0));
    }

    /// A page image of noise.
    fn noise(width: u32, height: u32) -> PageImage {
        let rgb = (0..width * height * 3)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        PageImage::new(width, height, rgb, 144.0).unwrap()
    }

    #[test]
    fn any_size_gives_what_pillow_gives() {
        // The beginning of the SHA-256 over the views' bytes, tiles first, as Pillow 13.0 and the
        // published `dynamic_preprocess` make them. Of the two last, one side of the global view
        // would be empty: there it is 1 pixel.
        let cases = [
            (Mode::Gundam, 2550, 3300, (2, 3), "44a81651279c2a77"),
            (Mode::Gundam, 5000, 3000, (3, 2), "31441d33b01344ff"),
            (Mode::Gundam, 640, 640, (1, 1), "52cf0eef69caf9a8"),
            (Mode::Gundam, 641, 640, (2, 2), "5513c59d4a52c7a2"),
            (Mode::Gundam, 640, 641, (2, 2), "bf5e98088e31ce2d"),
            // As close to 2 x 1 tiles as to 3 x 1: the page's area decides.
            (Mode::Gundam, 1600, 640, (3, 1), "0391059ba09f083a"),
            (Mode::Gundam, 1000, 400, (2, 1), "8d0e476b6d886093"),
            (Mode::Gundam, 1000, 800, (2, 2), "b93a1e59ab58a026"),
            (Mode::Gundam, 2, 2, (1, 1), "5306c0e28071fc10"),
            (Mode::Gundam, 1, 640, (1, 1), "9134ac2122b9c18a"),
            (Mode::Gundam, 9000, 30, (6, 1), "ace55c35c9ce34a8"),
            (Mode::Base, 900, 700, (1, 1), "2fec7dff6f9c8ebe"),
            (Mode::Large, 700, 900, (1, 1), "1458d7b61063b6cc"),
            (Mode::Small, 900, 700, (1, 1), "fa127e2d9e082a70"),
            (Mode::Tiny, 3, 500, (1, 1), "c605a337c2789597"),
            (Mode::Tiny, 512, 512, (1, 1), "67e5d18421819668"),
            (Mode::Gundam, 1, 3000, (1, 6), "3a851e226109d267"),
            (Mode::Gundam, 30_000, 1, (6, 1), "b2d9d4aef50e5b97"),
        ];
        for (mode, width, height, grid, digest) in cases {
            let views = prepare(&noise(width, height), mode, &published());
            let mut hash = Sha256::new();
            for view in views.tiles.iter().chain([&views.global]) {
                assert_eq!(view.rgb.len(), (view.side * view.side * 3) as usize);
                hash.update(&view.rgb);
            }
            let found = durable::hex(&hash.finalize());
            assert_eq!(
                (views.grid, &found[..16]),
                (grid, digest),
                "{mode:?} {width} x {height}"
            );
        }
    }
}
