//! How far a stage agrees with what was recorded, and how far it must. Pure.

use std::fmt;

use crate::engine::deepseek::preprocess::View;
use crate::engine::session::Place;

/// Share of the pixels that may differ, by one grey level.
const PIXELS: f64 = 1e-3;

/// How far stages must agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// Norm of the difference over the norm of the recorded values.
    pub relative: f64,
    /// Gap between the two best logits from which on a token must be the recorded one.
    pub margin: f32,
    /// The recorded tokens are fed, and every choice is compared; else the model's own, as far as
    /// the first small margin, after which it may go its own way.
    pub fed: bool,
}

impl Tolerances {
    /// The CPU's. Another order of additions changes sums in the seventh digit.
    pub const FLOAT32: Self = Self {
        relative: 1e-4,
        margin: 1e-3,
        fed: false,
    };
    /// CUDA's. bfloat16 has 8 bits; single logits were seen to move by 0.07.
    pub const BFLOAT16: Self = Self {
        relative: 3e-2,
        margin: 0.15,
        fed: true,
    };

    pub fn of(place: Place) -> Self {
        match place {
            Place::Cpu => Self::FLOAT32,
            Place::Cuda => Self::BFLOAT16,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Agreement {
    /// `off` of `of` pixels differ, by `most` levels at most.
    Pixels {
        off: usize,
        of: usize,
        most: u8,
    },
    /// Relative error of numbers.
    Error {
        relative: f64,
        tolerance: f64,
    },
    /// As many things as were recorded, or not.
    Size {
        found: usize,
        recorded: usize,
    },
    /// Ids up to the first that differs.
    Ids {
        equal: usize,
        of: usize,
    },
    Tokens(Tokens),
}

/// Of `steps` recorded tokens those with a wide enough margin are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    pub steps: usize,
    pub compared: usize,
    /// Of the compared ones.
    pub equal: usize,
    /// The first step, from 0, at which a compared token differs; `steps` where none does.
    pub up_to: usize,
    /// Smallest margin of the compared steps before that.
    pub smallest: Option<f32>,
    pub tolerances: Tolerances,
}

impl Agreement {
    pub fn holds(&self) -> bool {
        match self {
            Self::Pixels { off, of, most } => *most <= 1 && *off as f64 <= PIXELS * *of as f64,
            // A NaN is no agreement.
            Self::Error {
                relative,
                tolerance,
            } => relative <= tolerance,
            Self::Size { found, recorded } => found == recorded,
            Self::Ids { equal, of } => equal == of,
            Self::Tokens(tokens) => tokens.equal == tokens.compared,
        }
    }

    /// What must hold, for people.
    pub fn tolerance(&self) -> String {
        match self {
            Self::Pixels { .. } => format!("{} %, by 1 level", PIXELS * 100.0),
            Self::Error { tolerance, .. } => format!("{tolerance:.0e}"),
            Self::Size { .. } | Self::Ids { .. } => "equal".into(),
            Self::Tokens(t) if t.tolerances.fed => {
                format!("where margin >= {}", t.tolerances.margin)
            }
            Self::Tokens(t) if t.compared < t.steps => {
                format!("up to {} (margin < {})", t.compared, t.tolerances.margin)
            }
            Self::Tokens(_) => "equal".into(),
        }
    }
}

/// What was found.
impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels { off: 0, .. } => f.write_str("equal"),
            Self::Pixels { off, of, most } => {
                let share = *off as f64 / (*of).max(1) as f64 * 100.0;
                write!(f, "{share:.3} % differ, by {most}")
            }
            Self::Error { relative, .. } => write!(f, "{relative:.1e}"),
            Self::Size { found, recorded } => write!(f, "{found} instead of {recorded}"),
            Self::Ids { equal, of } if equal == of => write!(f, "{of} equal"),
            Self::Ids { equal, of } => write!(f, "equal up to {equal} of {of}"),
            Self::Tokens(t) => {
                if t.tolerances.fed {
                    write!(f, "{} of {} equal", t.equal, t.compared)?;
                    if t.up_to < t.steps {
                        write!(f, ", the first other one at {}", t.up_to + 1)?;
                    }
                } else {
                    write!(f, "equal up to {} of {}", t.up_to.min(t.compared), t.steps)?;
                }
                match t.smallest {
                    Some(margin) => write!(f, ", smallest margin {margin:.2e}"),
                    None => Ok(()),
                }
            }
        }
    }
}

pub fn pixels(found: &View, recorded: &View) -> Agreement {
    if found.rgb.len() != recorded.rgb.len() {
        return Agreement::Size {
            found: found.side as usize,
            recorded: recorded.side as usize,
        };
    }
    let (mut off, mut most) = (0, 0);
    let pairs = found.rgb.chunks_exact(3).zip(recorded.rgb.chunks_exact(3));
    for (a, b) in pairs {
        let by = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max();
        let by = by.unwrap_or(0);
        off += usize::from(by > 0);
        most = most.max(by);
    }
    Agreement::Pixels {
        off,
        of: found.rgb.len() / 3,
        most,
    }
}

pub fn ids(found: &[i64], recorded: &[i64]) -> Agreement {
    let equal = found
        .iter()
        .zip(recorded)
        .take_while(|(a, b)| a == b)
        .count();
    if found.len() != recorded.len() {
        return Agreement::Size {
            found: found.len(),
            recorded: recorded.len(),
        };
    }
    Agreement::Ids {
        equal,
        of: recorded.len(),
    }
}

/// Both row-major; one number more or less is another shape.
pub fn numbers(found: &[f32], recorded: &[f32], tolerance: f64) -> Agreement {
    if found.len() != recorded.len() || recorded.is_empty() {
        return Agreement::Size {
            found: found.len(),
            recorded: recorded.len().max(1),
        };
    }
    let (mut difference, mut norm) = (0.0, 0.0);
    for (&a, &b) in found.iter().zip(recorded) {
        let (a, b) = (f64::from(a), f64::from(b));
        difference += (a - b) * (a - b);
        norm += b * b;
    }
    let relative = if difference == 0.0 {
        0.0
    } else {
        (difference / norm).sqrt()
    };
    Agreement::Error {
        relative,
        tolerance,
    }
}

/// `found`: what the model chose at each step, after the recorded tokens where those were fed,
/// else after its own. `margins`: of each recorded token.
pub fn tokens(found: &[u32], recorded: &[u32], margins: &[f32], tolerances: &Tolerances) -> Tokens {
    // Written so that a margin that is no number is small.
    let wide = |step: &usize| margins[*step] >= tolerances.margin;
    let steps = recorded.len();
    let compared: Vec<usize> = if tolerances.fed {
        (0..steps).filter(wide).collect()
    } else {
        (0..steps).take_while(wide).collect()
    };
    let same = |step: &usize| found.get(*step) == Some(&recorded[*step]);
    let differs = compared.iter().find(|step| !same(step));
    let up_to = differs.copied().unwrap_or(steps);
    let smallest = compared
        .iter()
        .filter(|&&step| step < up_to)
        .map(|&step| margins[step])
        .reduce(f32::min);
    Tokens {
        steps,
        compared: compared.len(),
        equal: if tolerances.fed {
            compared.iter().filter(|step| same(step)).count()
        } else {
            compared.iter().take_while(|step| same(step)).count()
        },
        up_to,
        smallest,
        tolerances: *tolerances,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(levels: &[u8]) -> View {
        View {
            side: 100,
            rgb: levels
                .iter()
                .copied()
                .chain(std::iter::repeat(9))
                .take(30_000)
                .collect(),
        }
    }

    #[test]
    fn a_pixel_in_a_thousand_may_differ_by_one_level() {
        let plain = view(&[]);
        let check = |levels: &[u8]| {
            let found = pixels(&view(levels), &plain);
            (found.holds(), found.to_string())
        };
        assert_eq!(check(&[]), (true, "equal".into()));
        assert_eq!(check(&[8; 30]), (true, "0.100 % differ, by 1".into()));
        assert_eq!(check(&[10; 31]), (false, "0.110 % differ, by 1".into()));
        assert_eq!(check(&[11]), (false, "0.010 % differ, by 2".into()));
        let other = View {
            side: 1,
            rgb: vec![9; 3],
        };
        assert!(!pixels(&other, &plain).holds());
    }

    #[test]
    fn numbers_agree_within_a_relative_error() {
        let check = |found: &[f32], recorded: &[f32]| {
            let found = numbers(found, recorded, 1e-2);
            (found.holds(), found.to_string())
        };
        assert_eq!(check(&[3.0, 4.0], &[3.0, 4.0]), (true, "0.0e0".into()));
        assert!(check(&[3.0, 4.04], &[3.0, 4.0]).0);
        assert_eq!(check(&[3.0, 4.1], &[3.0, 4.0]), (false, "2.0e-2".into()));
        assert!(check(&[0.0, 0.0], &[0.0, 0.0]).0);
        for bad in [[1.0, 0.0], [f32::NAN, 0.0], [f32::INFINITY, 0.0]] {
            assert!(!check(&bad, &[0.0, 0.0]).0);
        }
        assert!(!check(&[f32::NAN, 4.0], &[3.0, 4.0]).0);
        assert!(!check(&[3.0], &[3.0, 4.0]).0);
        assert!(!check(&[], &[]).0, "nothing is no agreement");
    }

    #[test]
    fn ids_agree_when_all_do() {
        assert!(ids(&[1, 2], &[1, 2]).holds());
        assert_eq!(ids(&[1, 3], &[1, 2]).to_string(), "equal up to 1 of 2");
        assert!(!ids(&[1, 3], &[1, 2]).holds());
        assert!(!ids(&[1, 2], &[1, 2, 3]).holds() && !ids(&[1, 2, 3], &[1, 2]).holds());
    }

    #[test]
    fn own_tokens_count_up_to_the_first_small_margin() {
        let margins = [1.0, 0.01, 1e-4, 1.0];
        let check = |found: &[u32], margins: &[f32]| {
            let found = tokens(found, &[5, 6, 7, 8], margins, &Tolerances::FLOAT32);
            let agreement = Agreement::Tokens(found.clone());
            (
                found.compared,
                found.equal,
                found.smallest,
                agreement.holds(),
            )
        };
        assert_eq!(check(&[5, 6, 7, 8], &margins), (2, 2, Some(0.01), true));
        assert_eq!(check(&[5, 6, 9, 9], &margins), (2, 2, Some(0.01), true));
        assert_eq!(check(&[5, 9, 7, 8], &margins), (2, 1, Some(1.0), false));
        assert_eq!(check(&[5], &margins), (2, 1, Some(1.0), false));
        assert_eq!(check(&[5, 6, 7, 9], &[1.0; 4]), (4, 3, Some(1.0), false));
        assert_eq!(check(&[9; 4], &[1.0; 4]), (4, 0, None, false));
        assert_eq!(check(&[5, 6, 7, 8], &[f32::NAN; 4]).0, 0);
    }

    #[test]
    fn fed_tokens_count_wherever_the_margin_is_wide() {
        let check = |found: &[u32]| {
            let margins = [1.0, 0.1, 0.2, 1.0];
            let found = tokens(found, &[5, 6, 7, 8], &margins, &Tolerances::BFLOAT16);
            let agreement = Agreement::Tokens(found.clone());
            (found.compared, found.equal, found.up_to, agreement.holds())
        };
        assert_eq!(check(&[5, 6, 7, 8]), (3, 3, 4, true));
        assert_eq!(check(&[5, 9, 7, 8]), (3, 3, 4, true));
        assert_eq!(check(&[5, 6, 9, 8]), (3, 2, 2, false));
    }
}
