//! Who reads a page that the model could not, after the last rung of the ladder: the paddle engine,
//! loaded on its own thread when the first such page comes, then the PDF's own characters. When
//! both have nothing, what the model said before it went astray is kept; when that is nothing
//! either, the page is failed, and keeps its place by a visible mark.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::answer::SAID_NOTHING;
use crate::engine::paddle::Paddle;
use crate::engine::paddle::layout::union;
use crate::engine::session::Runtime;
use crate::engine::{EngineError, ReadError, ReadTask};
use crate::page::{Block, PageBox, PageChars, PageStatus, Reading, Rotation, Tried};

const PANICKED: &str = "it failed; the log has the details";

/// A page that the model gave up.
pub struct Stuck {
    pub task: ReadTask,
    /// What the model tried, and what came of it.
    pub tried: Vec<Tried>,
    /// The best that it said, if anything.
    pub best: Option<Reading>,
    /// Why the last attempt failed; one sentence.
    pub why: String,
    /// Seconds that the model spent on it.
    pub seconds: f64,
}

/// The thread; it ends when this is dropped. Whoever hands pages over bounds their number.
pub struct Fallback {
    pages: Option<Sender<Stuck>>,
    thread: Option<JoinHandle<()>>,
}

impl Fallback {
    /// Starts the thread; paddle's pack in `models` is loaded on the CPU when it is first needed,
    /// so that the memory of a GPU stays the model's.
    pub fn start(runtime: Arc<Runtime>, models: PathBuf) -> Result<Self, EngineError> {
        let (pages, queue) = unbounded();
        let thread = std::thread::Builder::new()
            .name("fallback".into())
            .spawn(move || serve(&queue, || Paddle::on_cpu(&runtime, &models)))
            .map_err(|e| EngineError::Machine {
                what: "a thread for pages that the model cannot read".into(),
                why: e.to_string(),
            })?;
        Ok(Self {
            pages: Some(pages),
            thread: Some(thread),
        })
    }

    /// Hands a page over; its reply comes from the thread.
    pub fn take(&self, page: Stuck) {
        if let Some(pages) = &self.pages
            && let Err(back) = pages.send(page)
        {
            let page = back.into_inner();
            finish(page, Err("its thread has ended".into()));
        }
    }
}

impl Drop for Fallback {
    fn drop(&mut self) {
        self.pages = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(queue: &Receiver<Stuck>, load: impl Fn() -> Result<Paddle, EngineError>) {
    let mut paddle: Option<Paddle> = None;
    // A pack that is not there stays so; a machine fault may pass.
    let mut missing: Option<String> = None;
    for page in queue {
        if page.task.cancel.is_cancelled() {
            (page.task.reply)(Err(ReadError::Cancelled));
            continue;
        }
        if paddle.is_none() && missing.is_none() {
            match catch_unwind(AssertUnwindSafe(&load)) {
                Ok(Ok(loaded)) => paddle = Some(loaded),
                Ok(Err(EngineError::Machine { what, why })) => {
                    (page.task.reply)(Err(ReadError::Machine(format!("{what}: {why}"))));
                    continue;
                }
                Ok(Err(e)) => missing = Some(e.to_string()),
                Err(_) => missing = Some(PANICKED.into()),
            }
            if let Some(why) = &missing {
                tracing::warn!("pages that the model cannot read are not read by paddle: {why}");
            }
        }
        let read = match &mut paddle {
            None => Err(missing.clone().unwrap_or_default()),
            // A panic costs this page alone; the panic hook has logged it.
            Some(paddle) => {
                match catch_unwind(AssertUnwindSafe(|| paddle.read(&page.task.image))) {
                    Ok(Err(e)) if e.is_machine() => {
                        (page.task.reply)(Err(ReadError::Machine(e.0)));
                        continue;
                    }
                    Ok(read) => read.map_err(|e| e.to_string()),
                    Err(_) => Err(PANICKED.into()),
                }
            }
        };
        finish(page, read);
    }
}

/// Answers a page with what is left of the ladder.
fn finish(page: Stuck, paddle: Result<Reading, String>) {
    let (task, reading) = settle(page, paddle);
    (task.reply)(Ok(reading));
}

fn settle(page: Stuck, paddle: Result<Reading, String>) -> (ReadTask, Reading) {
    let Stuck {
        task,
        mut tried,
        best,
        why,
        seconds,
    } = page;
    // Every attempt of the model ended well and had nothing to say.
    let silent = tried.iter().all(|t| t.outcome == SAID_NOTHING);
    let mut note = |with: &str, outcome: String| {
        tried.push(Tried {
            with: with.into(),
            outcome,
        });
    };
    let mut blank = false;
    let found = match paddle {
        Ok(reading) if reading.status == PageStatus::Ok => {
            note("the paddle engine", "read".into());
            Some((reading, "the paddle engine"))
        }
        Ok(_) => {
            note("the paddle engine", "found nothing".into());
            blank = silent;
            None
        }
        Err(why) => {
            note("the paddle engine", why);
            None
        }
    };
    let size = |reading: &Reading| {
        reading
            .blocks
            .iter()
            .map(|b| b.content.len())
            .sum::<usize>()
    };
    let found = found.or_else(|| {
        let blocks = task.chars.as_ref().map(paragraphs).unwrap_or_default();
        let reading = Reading::of_blocks(blocks, Rotation::None, 0.0);
        // A page number in a scan's text layer is no page.
        let least = best.as_ref().map_or(1, size);
        let (taken, outcome) = match size(&reading) {
            0 => (false, "there is none"),
            n if n < least => (false, "it holds less than what was read"),
            _ => (true, "taken"),
        };
        note("the text layer", outcome.into());
        taken.then_some((reading, "the PDF's own characters"))
    });
    let mut reading = match (found, best) {
        (Some((mut reading, who)), _) => {
            reading.status = PageStatus::Fallback;
            reading.reason = Some(format!("{why}; read by {who}"));
            reading
        }
        // Its seconds are among the page's.
        (None, Some(best)) => Reading {
            seconds: 0.0,
            ..best
        },
        (None, None) if blank => {
            let mut reading = Reading::of_blocks(Vec::new(), Rotation::None, 0.0);
            reading.reason = Some("no engine found anything on it".into());
            reading
        }
        (None, None) => Reading::failed(why),
    };
    reading.seconds += seconds;
    reading.tried = tried;
    (task, reading)
}

/// The characters of a page as blocks: lines in the file's order, a block where a line stands
/// further below the last than a line's height, or above it.
fn paragraphs(chars: &PageChars) -> Vec<Block> {
    struct Line {
        text: String,
        at: [f32; 4],
    }
    let mut lines: Vec<Line> = Vec::new();
    let mut open = false;
    for c in &chars.chars {
        if matches!(c.ch, '\n' | '\r') {
            open = false;
            continue;
        }
        let same = open
            && lines.last().is_some_and(|line| {
                let middle = (c.y1 + c.y2) / 2.0;
                c.ch == ' ' || (line.at[1]..=line.at[3]).contains(&middle)
            });
        match lines.last_mut().filter(|_| same) {
            Some(line) => {
                line.text.push(c.ch);
                if c.ch != ' ' {
                    line.at = union(line.at, [c.x1, c.y1, c.x2, c.y2]);
                }
            }
            None if c.ch != ' ' => lines.push(Line {
                text: c.ch.into(),
                at: [c.x1, c.y1, c.x2, c.y2],
            }),
            None => continue,
        }
        open = true;
    }
    let mut blocks: Vec<(String, [f32; 4])> = Vec::new();
    let mut last: Option<[f32; 4]> = None;
    for line in lines {
        let joins = last.is_some_and(|last| {
            let gap = line.at[1] - last[3];
            gap > last[1] - last[3] && gap < last[3] - last[1]
        });
        match blocks.last_mut().filter(|_| joins) {
            Some((text, at)) => {
                text.push(' ');
                text.push_str(line.text.trim_end());
                *at = union(*at, line.at);
            }
            None => blocks.push((line.text.trim_end().to_owned(), line.at)),
        }
        last = Some(line.at);
    }
    blocks
        .into_iter()
        .map(|(content, [x1, y1, x2, y2])| Block {
            label: "text".into(),
            boxes: vec![PageBox::from_fractions(x1, y1, x2, y2)],
            content,
            heading: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Cancel;
    use crate::page::{PageChar, PageImage};

    fn stuck(chars: Option<PageChars>, best: Option<Reading>) -> Stuck {
        Stuck {
            task: ReadTask {
                image: Arc::new(PageImage::new(1, 1, vec![0; 3], 144.0).unwrap()),
                chars,
                cancel: Cancel::default(),
                reply: Box::new(|_| {}),
            },
            tried: vec![Tried {
                with: "gundam".into(),
                outcome: "looped".into(),
            }],
            best,
            why: "the model went in circles".into(),
            seconds: 2.0,
        }
    }

    fn block(content: &str) -> Block {
        Block {
            label: "text".into(),
            boxes: vec![PageBox::FULL],
            content: content.into(),
            heading: None,
        }
    }

    fn typed(text: &str) -> PageChars {
        let mut chars = Vec::new();
        for (row, line) in text.lines().enumerate() {
            for (column, ch) in line.chars().enumerate() {
                let (x, y) = (column as f32 * 0.01, row as f32 * 0.03);
                chars.push(PageChar {
                    ch,
                    x1: x,
                    y1: y,
                    x2: x + 0.01,
                    y2: y + 0.02,
                    ..PageChar::default()
                });
            }
        }
        PageChars { chars }
    }

    #[test]
    fn each_rung_is_recorded_and_the_first_that_has_something_wins() {
        let paddle = || {
            Ok(Reading::of_blocks(
                vec![block("paddle")],
                Rotation::None,
                1.0,
            ))
        };
        let (_, reading) = settle(stuck(Some(typed("layer")), None), paddle());
        assert_eq!(reading.status, PageStatus::Fallback);
        assert_eq!(reading.blocks[0].content, "paddle");
        assert_eq!(reading.seconds, 3.0);
        assert_eq!(reading.tried.len(), 2);

        let nothing = || Err("models/paddle is not there".to_owned());
        let (_, reading) = settle(stuck(Some(typed("layer")), None), nothing());
        assert_eq!(reading.status, PageStatus::Fallback);
        assert_eq!(reading.blocks[0].content, "layer");
        assert!(reading.tried[1].outcome.contains("not there"));

        let mut looped = Reading::of_blocks(vec![block("begin")], Rotation::None, 0.0);
        looped.status = PageStatus::Looped;
        let (_, reading) = settle(stuck(None, Some(looped)), nothing());
        assert_eq!(reading.status, PageStatus::Looped);
        assert_eq!(reading.tried.len(), 3);

        let (_, reading) = settle(stuck(None, None), nothing());
        assert_eq!(reading.status, PageStatus::Failed);
        assert_eq!(reading.reason.as_deref(), Some("the model went in circles"));
    }

    #[test]
    fn characters_become_lines_and_lines_near_each_other_a_block() {
        let blocks = paragraphs(&typed("two lines \nof one\n\n\nanother"));
        let texts: Vec<_> = blocks.iter().map(|b| b.content.as_str()).collect();
        assert_eq!(texts, ["two lines of one", "another"]);
        assert!(paragraphs(&PageChars::default()).is_empty());
    }
}
