//! From the displayed page to a PDF's page space and back. Pure.

/// A page's visible box in page space (points, y upwards) and its `/Rotate`, clockwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub left: f32,
    pub bottom: f32,
    pub right: f32,
    pub top: f32,
    /// 0, 90, 180 or 270.
    pub rotate: u16,
}

impl Place {
    /// The point of page space at a fraction of the displayed page (origin top left).
    pub fn to_page(&self, fx: f32, fy: f32) -> (f32, f32) {
        let (w, h) = (self.right - self.left, self.top - self.bottom);
        match self.rotate {
            90 => (self.left + fy * w, self.bottom + fx * h),
            180 => (self.right - fx * w, self.bottom + fy * h),
            270 => (self.right - fy * w, self.top - fx * h),
            _ => (self.left + fx * w, self.top - fy * h),
        }
    }

    /// The fraction of the displayed page at a point of page space.
    pub fn to_display(&self, x: f32, y: f32) -> (f32, f32) {
        let (w, h) = (
            (self.right - self.left).max(1e-6),
            (self.top - self.bottom).max(1e-6),
        );
        match self.rotate {
            90 => ((y - self.bottom) / h, (x - self.left) / w),
            180 => ((self.right - x) / w, (y - self.bottom) / h),
            270 => ((self.top - y) / h, (self.right - x) / w),
            _ => ((x - self.left) / w, (self.top - y) / h),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corner_of_the_page_is_displayed_where_viewers_show_it() {
        // Page space corner at the displayed top left, for each turn clockwise.
        for (rotate, corner) in [
            (0, (10.0, 220.0)),
            (90, (10.0, 20.0)),
            (180, (110.0, 20.0)),
            (270, (110.0, 220.0)),
        ] {
            let place = Place {
                left: 10.0,
                bottom: 20.0,
                right: 110.0,
                top: 220.0,
                rotate,
            };
            assert_eq!(place.to_page(0.0, 0.0), corner, "{rotate}");
            let (x, y) = place.to_page(0.25, 0.75);
            let (fx, fy) = place.to_display(x, y);
            assert!(
                (fx - 0.25).abs() < 1e-5 && (fy - 0.75).abs() < 1e-5,
                "{rotate}"
            );
        }
    }
}
