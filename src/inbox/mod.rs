//! The inbox: events are hints ([`watch`]), a scan is the truth ([`scan`]), and a file is an
//! arrival when it has settled ([`settle`]).

pub mod names;
pub mod scan;
pub mod settle;
pub mod watch;
