//! What people see: log files ([`logs`]), every line for operators ([`event`]), progress bars
//! ([`progress`]). Imports no room.

pub mod event;
pub mod logs;
pub mod progress;
