//! The process among others: signals, systemd, the lock of an inbox, memory. Imports no room.

pub mod lock;
pub mod memory;
pub mod reload;
pub mod stop;
pub mod systemd;
