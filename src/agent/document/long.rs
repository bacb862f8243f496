//! Places for long documents: one slot is kept free of such, so that a letter does not wait
//! behind books. A claim is given back when it is dropped, however the document leaves. Nobody
//! waits here: a document without a place is put off.

use std::sync::atomic::Ordering;

use super::{Halt, LONG};
use crate::agent::Context;

/// A claim on a place for long documents.
pub(super) struct Long<'a>(Option<&'a Context>);

impl<'a> Long<'a> {
    pub(super) fn claim(ctx: &'a Context, pages: u32) -> Result<Self, Halt> {
        let places = ctx.config().watch.documents.saturating_sub(1);
        if pages <= LONG || places == 0 {
            return Ok(Self(None));
        }
        let free = |n: usize| (n < places).then_some(n + 1);
        match ctx
            .long
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
        {
            Ok(_) => Ok(Self(Some(ctx))),
            Err(_) => Err(Halt::Long),
        }
    }
}

impl Drop for Long<'_> {
    fn drop(&mut self) {
        if let Some(ctx) = self.0 {
            ctx.long.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
