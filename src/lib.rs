//! dropleaf watches a folder. A PDF or EPUB dropped into it becomes a folder of Markdown,
//! boxes, a layout PDF and pictures; the original moves to `done/` or `failed/`.
//!
//! # The route
//!
//! ```text
//! inbox --Arrival--> job --Job--> document --page image--> engine --Reading--> output
//!                     ^------------------ files the original ---- Published ---'
//! ```
//!
//! # The rooms
//!
//! `main -> cli -> agent -> rooms -> {page, pack, durable, config}`. Only [`agent`] sees two rooms;
//! a test reads the `use crate::` lines against this table.
//!
//! | room | what it holds |
//! |---|---|
//! | [`cli`] | one file per command; errors to message, hint and exit code |
//! | [`agent`] | wiring, one document through the rooms, page scheduler, verdict |
//! | [`inbox`] | watch (hints), scan (truth), settle (pure) |
//! | [`job`] | ledger (SQLite), originals, recovery |
//! | [`document`] | PDF and EPUB in sandboxed child processes |
//! | [`engine`] | the `Reader` seam and the resident engines |
//! | [`import`] | a checkpoint becomes a model pack: ONNX graphs over one data file |
//! | [`output`] | the files of a document, `processing_results.json` |
//! | [`service`] | systemd, stop signals |
//! | [`observe`] | log files, every line an operator reads, progress bars |
//! | [`page`] | the shared nouns |
//! | [`pack`] | model packs: the manifest, its files and their digests |
//! | [`durable`] | every creation, renaming and removal of a user's file |
//! | [`config`] | the settings as plain data |

pub mod agent;
pub mod cli;
pub mod config;
pub mod document;
pub mod durable;
pub mod engine;
pub mod import;
pub mod inbox;
pub mod job;
pub mod observe;
pub mod output;
pub mod pack;
pub mod page;
pub mod service;
