//! Images of lines in batches of similar width, and threads that share the work.

use crate::engine::paddle::pixels::Pixels;
use crate::engine::session::RunError;

/// Narrowest input.
const MIN_WIDTH: usize = 32;
/// Widths are rounded up to this, so that few shapes occur.
const WIDTH_STEP: usize = 32;
/// Columns of a batch, all lines together: bounds the memory of a run.
const BATCH_COLUMNS: usize = 4096;

/// A line's image, or a part of one that is too wide.
pub struct Crop {
    /// Number of the line.
    pub line: usize,
    /// Where it begins and ends, fractions of the line's width.
    pub part: [f32; 2],
    pub image: Pixels<'static>,
}

/// Columns of the input for an image of `width`.
pub fn columns(width: u32) -> usize {
    (width as usize)
        .div_ceil(WIDTH_STEP)
        .max(MIN_WIDTH / WIDTH_STEP)
        * WIDTH_STEP
}

/// Groups of similar width, widest first, so that padding costs little.
pub fn batches(mut crops: Vec<Crop>) -> Vec<Vec<Crop>> {
    crops.sort_by_key(|c| std::cmp::Reverse(c.image.width));
    let mut out: Vec<Vec<Crop>> = Vec::new();
    let mut widest = 0;
    for crop in crops {
        match out.last_mut() {
            Some(batch)
                if (batch.len() + 1) * widest <= BATCH_COLUMNS
                    && columns(crop.image.width) * 10 >= widest * 9 =>
            {
                batch.push(crop);
            }
            _ => {
                widest = columns(crop.image.width);
                out.push(vec![crop]);
            }
        }
    }
    out
}

/// Runs `work` for 0..count on up to `threads` threads; results in order.
pub fn parallel<T: Send>(
    threads: usize,
    count: usize,
    work: impl Fn(usize) -> Result<T, RunError> + Sync,
) -> Result<Vec<T>, RunError> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return Ok(done);
            }
            done.push((i, work(i)?));
        }
    };
    let mut all: Vec<(usize, T)> = if threads < 2 || count < 2 {
        run()?
    } else {
        std::thread::scope(|scope| {
            let handles: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(run)).collect();
            let mut all = run();
            for handle in handles {
                let part = handle
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                all = all.and_then(|mut all| {
                    all.extend(part?);
                    Ok(all)
                });
            }
            all
        })?
    };
    all.sort_by_key(|(i, _)| *i);
    Ok(all.into_iter().map(|(_, t)| t).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_similar_widths_within_the_bound() {
        let crops = [40, 3000, 44, 2990, 900, 45, 2980]
            .iter()
            .enumerate()
            .map(|(line, &w)| Crop {
                line,
                part: [0.0, 1.0],
                image: Pixels {
                    width: w,
                    height: 48,
                    rgb: vec![0; w as usize * 144].into(),
                },
            })
            .collect();
        let batches = batches(crops);
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 7);
        for batch in &batches {
            let widest = columns(batch[0].image.width);
            assert!(batch.len() == 1 || batch.len() * widest <= BATCH_COLUMNS);
        }
        assert_eq!(batches.last().map(Vec::len), Some(3));
    }

    #[test]
    fn parallel_keeps_the_order_and_the_error() {
        assert_eq!(
            parallel(3, 50, |i| Ok(i * 2)).unwrap(),
            (0..50).map(|i| i * 2).collect::<Vec<_>>()
        );
        assert!(
            parallel(3, 50, |i| if i == 40 {
                Err(RunError("x".into()))
            } else {
                Ok(i)
            })
            .is_err()
        );
    }
}
