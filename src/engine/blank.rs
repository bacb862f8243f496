//! Whether anything is on a page. Models invent text for empty pages; so these are found before.

use crate::page::PageImage;

/// Pixels along the side of a cell: the noise of single pixels goes down in its mean.
const CELL: usize = 4;
/// Levels (of 255) by which the mean of a cell differs from the page's own where something is: a
/// line of one pixel in light grey (200 on white) makes 14.
const INK: i32 = 12;
/// Cells with something in them, below which a page is blank: a few black specks have one each, a
/// single digit has more.
const CELLS: usize = 4;

/// True when nothing is on the page but its ground: paper of any colour, scanner noise, single
/// specks. The ground is the most frequent level.
pub fn is_blank(image: &PageImage) -> bool {
    let (width, height) = (image.width as usize, image.height as usize);
    let (across, down) = (width.div_ceil(CELL), height.div_ceil(CELL));
    let mut sums = vec![0u32; across * down];
    for (y, row) in image.rgb.chunks_exact(width * 3).enumerate() {
        let cells = &mut sums[y / CELL * across..][..across];
        for (x, pixel) in row.as_chunks::<3>().0.iter().enumerate() {
            cells[x / CELL] += pixel.iter().map(|&c| u32::from(c)).sum::<u32>();
        }
    }
    let side = |at: usize, count: usize, whole: usize| {
        if at + 1 == count {
            whole - at * CELL
        } else {
            CELL
        }
    };
    let mut means = Vec::with_capacity(sums.len());
    let mut frequent = [0usize; 256];
    for (i, sum) in sums.iter().enumerate() {
        let pixels = side(i % across, across, width) * side(i / across, down, height);
        let mean = (*sum as usize / (3 * pixels)).min(255);
        frequent[mean] += 1;
        means.push(mean as i32);
    }
    let ground = frequent
        .iter()
        .enumerate()
        .max_by_key(|(_, count)| **count)
        .map_or(0, |(level, _)| level as i32);
    means.iter().filter(|&&m| (m - ground).abs() >= INK).count() < CELLS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ground: u8) -> PageImage {
        PageImage::new(595, 842, vec![ground; 595 * 842 * 3], 72.0).unwrap()
    }

    fn dot(image: &mut PageImage, x: usize, y: usize, side: usize, level: u8) {
        for row in y..y + side {
            let at = (row * image.width as usize + x) * 3;
            image.rgb[at..at + side * 3].fill(level);
        }
    }

    #[test]
    fn grounds_noise_and_specks_are_blank_and_the_least_mark_is_not() {
        for ground in [0, 120, 255] {
            assert!(is_blank(&page(ground)));
        }
        let mut noisy = page(230);
        let mut seed = 1u32;
        for value in &mut noisy.rgb {
            // Numerical Recipes' generator.
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = 220 + (seed >> 28) as u8;
        }
        for i in 0..40 {
            dot(&mut noisy, 10 + 13 * i, 20 * i + 5, 1, 100);
        }
        assert!(is_blank(&noisy));
        let mut digit = noisy.clone();
        dot(&mut digit, 300, 800, 9, 90);
        assert!(!is_blank(&digit));
        let mut thin = page(255);
        for y in 400..420 {
            dot(&mut thin, 100, y, 1, 200);
        }
        assert!(!is_blank(&thin));
        let mut light = page(20);
        dot(&mut light, 300, 800, 9, 90);
        assert!(!is_blank(&light));
    }
}
