//! The ways to read a line that is not plain.

use crate::engine::paddle::pixels::Slanted;

/// Score below which a line that is not plain is read in another way too: what is read rightly
/// scores more.
const DOUBT: f32 = 0.9;
/// A standing box that is not this many times as high as wide may be one upright character: the
/// box of a `1` or an `I` has 2.1.
const SHORT: f32 = 3.0;

/// How a line is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Along its box.
    Along,
    /// Against it: a standing line that reads upwards.
    Against,
    /// A standing box as upright text.
    Level,
    /// Dark for light.
    Inverted,
}

impl Way {
    pub fn at(self, line: &Slanted) -> Slanted {
        use std::f32::consts::{FRAC_PI_2, PI};
        match self {
            Self::Along | Self::Inverted => *line,
            Self::Against => Slanted {
                angle: line.angle - PI,
                ..*line
            },
            Self::Level => Slanted {
                width: line.height,
                height: line.width,
                angle: line.angle - FRAC_PI_2,
                ..*line
            },
        }
    }

    /// Other ways to read a line that was read with this `score`.
    pub fn others(line: &Slanted, score: f32, dark: bool) -> Vec<Self> {
        let mut ways = Vec::new();
        let standing = line.angle.abs() > std::f32::consts::FRAC_PI_4 + 1e-3;
        if standing && line.width < SHORT * line.height {
            ways.push(Self::Level);
        }
        if score < DOUBT && standing {
            ways.push(Self::Against);
        }
        if score < DOUBT && dark {
            ways.push(Self::Inverted);
        }
        ways
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_read_once_and_short_boxes_upright_too() {
        use std::f32::consts::{FRAC_PI_2, PI};
        let level = Slanted {
            cx: 100.0,
            cy: 100.0,
            width: 40.0,
            height: 20.0,
            angle: 0.0,
        };
        let standing = Slanted {
            angle: FRAC_PI_2,
            ..level
        };
        assert!(Way::others(&level, 0.3, false).is_empty());
        assert_eq!(Way::others(&level, 0.3, true), [Way::Inverted]);
        assert_eq!(Way::others(&standing, 0.95, false), [Way::Level]);
        let at = Way::Level.at(&standing);
        assert_eq!((at.width, at.height), (20.0, 40.0));
        assert!(at.angle.abs() < 1e-5);
        assert!((Way::Against.at(&level).angle + PI).abs() < 1e-5);
    }
}
