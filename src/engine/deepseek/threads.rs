//! Threads that look at page images and make their views while the model works.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::schedule::Key;
use super::sight::{Look, Sight};
use crate::config::Mode;
use crate::engine::EngineError;
use crate::page::PageImage;

/// Threads at most: one makes the views of an A4 page in some 50 ms, a GPU reads about 23 pages a
/// second.
pub const MOST: usize = 4;

/// Pages whose views wait to be taken at most, beside one a thread: 10 MB each with tiles.
const READY: usize = 4;

/// A page that was looked at, or why that failed.
pub type Prepared = (Key, Result<Sight, String>);

struct Order {
    key: Key,
    image: Arc<PageImage>,
    mode: Mode,
}

/// The threads; they end when this is dropped. They wait while [`READY`] pages are not taken, so
/// that orders cost no memory beside the page images themselves.
pub struct Preparers {
    orders: Option<Sender<Order>>,
    /// `None` only while this is dropped: a thread that waits for its result to be taken goes on.
    done: Option<Receiver<Prepared>>,
    /// Pages that were ordered and not taken.
    under_way: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Preparers {
    pub fn start(count: usize, look: Look) -> Result<Self, EngineError> {
        let look = Arc::new(look);
        let (orders, queue) = unbounded::<Order>();
        let (finished, done) = bounded(READY);
        let mut threads = Vec::new();
        for _ in 0..count.clamp(1, MOST) {
            let (queue, finished, look) = (queue.clone(), finished.clone(), Arc::clone(&look));
            let thread = std::thread::Builder::new()
                .name("views".into())
                .spawn(move || {
                    for Order { key, image, mode } in queue {
                        // A panic costs this page alone; the panic hook has logged it.
                        let seen = catch_unwind(AssertUnwindSafe(|| look.at(&image, mode)));
                        let seen =
                            seen.map_err(|_| "it failed; the log has the details".to_owned());
                        if finished.send((key, seen)).is_err() {
                            return;
                        }
                    }
                })
                .map_err(|e| EngineError::Machine {
                    what: "a thread for page images".into(),
                    why: e.to_string(),
                })?;
            threads.push(thread);
        }
        Ok(Self {
            orders: Some(orders),
            done: Some(done),
            under_way: 0,
            threads,
        })
    }

    /// Orders a look at a page; false when the threads have gone.
    pub fn order(&mut self, key: Key, image: Arc<PageImage>, mode: Mode) -> bool {
        let order = Order { key, image, mode };
        let orders = self.orders.as_ref();
        let sent = orders.is_some_and(|orders| orders.send(order).is_ok());
        self.under_way += usize::from(sent);
        sent
    }

    /// Pages that were ordered and not taken.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// The next page that is ready; waits for one if `wait`.
    pub fn next(&mut self, wait: bool) -> Option<Prepared> {
        let done = self.done.as_ref()?;
        let next = if wait {
            done.recv().ok()
        } else {
            done.try_recv().ok()
        };
        self.under_way -= usize::from(next.is_some());
        next
    }
}

impl Drop for Preparers {
    fn drop(&mut self) {
        self.orders = None;
        self.done = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
