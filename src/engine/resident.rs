//! A reader on its own thread: loaded once, warmed, behind a bounded queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use super::{EngineError, Identity, ReadTask, Reader};
use crate::page::ImageWish;

/// Pages that wait for the reader at most, beside those that it works on.
pub const QUEUE: usize = 4;

/// A running reader. Dropping it closes the queue; the thread ends when its last page is read.
pub struct Resident {
    tasks: Option<Sender<ReadTask>>,
    thread: Option<JoinHandle<()>>,
    pub identity: Identity,
    pub wish: ImageWish,
    /// Pages that the reader works on together.
    pub capacity: usize,
    /// Whether the reader can use the characters that a PDF itself holds.
    pub wants_chars: bool,
}

impl Resident {
    /// Loads and warms a reader on a new thread and returns when it is ready. Blocks for seconds.
    pub fn start(
        load: impl FnOnce() -> Result<Box<dyn Reader>, EngineError> + Send + 'static,
    ) -> Result<Self, EngineError> {
        let machine = |why: String| EngineError::Machine {
            what: "the reader's thread".into(),
            why,
        };
        let (ready, started) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("reader".into())
            .spawn(move || {
                let loaded = load().and_then(|mut reader| {
                    reader.warm().map_err(|e| EngineError::Machine {
                        what: "the first reading of the engine".into(),
                        why: e.to_string(),
                    })?;
                    Ok(reader)
                });
                let mut reader = match loaded {
                    Ok(reader) => reader,
                    Err(e) => {
                        let _ = ready.send(Err(e));
                        return;
                    }
                };
                let capacity = reader.capacity().max(1);
                // While the reader works on one page, all others of its batch may come.
                let (tasks, queue) = bounded::<ReadTask>(QUEUE + capacity);
                let _ = ready.send(Ok((
                    tasks,
                    reader.identity().clone(),
                    reader.wish(),
                    capacity,
                    reader.wants_chars(),
                )));
                // A panic costs the pages that the reader held: their replies are dropped, which
                // their senders see. The panic hook has logged it.
                while catch_unwind(AssertUnwindSafe(|| reader.serve(&queue))).is_err() {}
            })
            .map_err(|e| machine(e.to_string()))?;
        let (tasks, identity, wish, capacity, wants_chars) = started
            .recv()
            .map_err(|_| machine("it ended while loading".into()))??;
        Ok(Self {
            tasks: Some(tasks),
            thread: Some(thread),
            identity,
            wish,
            capacity,
            wants_chars,
        })
    }

    /// Queues a page; blocks while as many wait as the reader works on together and [`QUEUE`] more.
    /// False when the reader has gone: the task is
    /// dropped, and with it its reply.
    pub fn submit(&self, task: ReadTask) -> bool {
        self.tasks
            .as_ref()
            .is_some_and(|tasks| tasks.send(task).is_ok())
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
