//! Threads that make views of page images while the model works.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::preprocess::{self, Views};
use super::schedule::Key;
use crate::config::Mode;
use crate::engine::EngineError;
use crate::pack::Geometry;
use crate::page::PageImage;

/// Threads at most: one makes the views of an A4 page in some 50 ms, a GPU reads about 23 pages a
/// second.
pub const MOST: usize = 4;

/// A page whose views are made, or `None` where that failed.
pub type Prepared = (Key, Option<Views>);

struct Order {
    key: Key,
    image: Arc<PageImage>,
    mode: Mode,
}

/// The threads; they end when this is dropped. Whoever orders bounds how many pages are under way.
pub struct Preparers {
    orders: Option<Sender<Order>>,
    done: Receiver<Prepared>,
    threads: Vec<JoinHandle<()>>,
}

impl Preparers {
    pub fn start(count: usize, geometry: &Geometry) -> Result<Self, EngineError> {
        let (orders, queue) = unbounded::<Order>();
        let (finished, done) = unbounded();
        let mut threads = Vec::new();
        for _ in 0..count.clamp(1, MOST) {
            let (queue, finished, geometry) = (queue.clone(), finished.clone(), geometry.clone());
            let thread = std::thread::Builder::new()
                .name("views".into())
                .spawn(move || {
                    for Order { key, image, mode } in queue {
                        // A panic costs this page alone; the panic hook has logged it.
                        let views = catch_unwind(AssertUnwindSafe(|| {
                            preprocess::prepare(&image, mode, &geometry)
                        }));
                        if finished.send((key, views.ok())).is_err() {
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
            done,
            threads,
        })
    }

    /// Orders the views of a page; false when the threads have gone.
    pub fn order(&self, key: Key, image: Arc<PageImage>, mode: Mode) -> bool {
        self.orders
            .as_ref()
            .is_some_and(|orders| orders.send(Order { key, image, mode }).is_ok())
    }

    /// The next page that is ready; waits for one if `wait`.
    pub fn next(&self, wait: bool) -> Option<Prepared> {
        if wait {
            self.done.recv().ok()
        } else {
            self.done.try_recv().ok()
        }
    }
}

impl Drop for Preparers {
    fn drop(&mut self) {
        self.orders = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
