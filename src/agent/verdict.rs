//! Whether a document is a success. Pure.

use crate::output::report::Counts;

/// A success is a document of which at least one page was read or blank.
/// `first` is the reason of the first page that could not be read.
pub fn verdict(counts: &Counts, first: Option<&str>) -> Result<(), String> {
    if counts.failed < counts.total() {
        Ok(())
    } else {
        Err(format!(
            "no page could be read: {}",
            first.unwrap_or("no reason is known")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_is_enough_and_blank_pages_count() {
        let counts = |ok, blank, failed| Counts {
            ok,
            blank,
            failed,
            ..Counts::default()
        };
        assert!(verdict(&counts(1, 0, 9), Some("x")).is_ok());
        assert!(verdict(&counts(0, 3, 0), None).is_ok());
        assert_eq!(
            verdict(&counts(0, 0, 2), Some("x")),
            Err("no page could be read: x".into())
        );
    }
}
