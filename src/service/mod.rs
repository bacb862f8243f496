//! The process among others: stop signals, systemd, the lock of an inbox. Imports no room.

pub mod lock;
pub mod stop;
pub mod systemd;
