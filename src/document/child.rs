//! The agent's side of a document child.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Component, Path};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::protocol::{MAX_HEADER, MAX_PAYLOAD, Part, Reply, Request, encode};
use crate::config;
use crate::page::{Book, ImageWish, LayoutPage, PageChars, PageImage, Reading};

/// Why a child gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The document cannot be read.
    #[error("{0}")]
    Refused(String),
    /// There is no document in the file, or not yet.
    #[error("{0}")]
    Damaged(String),
    /// This page cannot be read.
    #[error("{0}")]
    PageRefused(String),
    /// The child ended by itself or by somebody's signal.
    #[error("the process that read it died ({0})")]
    Died(String),
    /// The child was killed at its limit.
    #[error("took longer than {0} s")]
    TimedOut(String),
    /// The child cannot be started or cannot work: the machine is at fault.
    #[error("{0}")]
    Machine(String),
}

/// A document that a child holds open.
#[derive(Clone, Debug)]
pub struct Opened {
    pub pages: u32,
    /// What the child gave up before it read the file.
    pub sandbox: String,
    /// What is known of a book; `None` of a PDF.
    pub book: Option<Book>,
}

/// A running child; dropping it kills it.
pub struct Child {
    process: tokio::process::Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    config: config::Pdf,
    epub: config::Epub,
}

impl Child {
    /// Starts `exe document-worker` with an almost empty environment.
    pub fn spawn(
        exe: &Path,
        library: &Path,
        config: &config::Pdf,
        epub: &config::Epub,
    ) -> Result<Self, DocumentError> {
        let machine = |e: std::io::Error| {
            DocumentError::Machine(format!("cannot start a document process: {e}"))
        };
        let mut process = Command::new(exe)
            .arg0("dropleaf")
            .arg("document-worker")
            .arg("--library")
            .arg(library)
            .arg("--memory-mb")
            .arg(config.memory_mb.to_string())
            .env_clear()
            // typst lays out on a pool that has a thread for each core, unless it is told.
            .env("RAYON_NUM_THREADS", "2")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C is for the agent: a child ends with its standard input.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(machine)?;
        let missing = || machine(std::io::Error::other("no pipe"));
        let stdin = process.stdin.take().ok_or_else(missing)?;
        let stdout = BufReader::with_capacity(1 << 16, process.stdout.take().ok_or_else(missing)?);
        if let Some(stderr) = process.stderr.take() {
            tokio::spawn(async move {
                let mut lines = BufReader::new(stderr).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    tracing::debug!(target: "dropleaf::document", "{line}");
                }
            });
        }
        Ok(Self {
            process,
            stdin,
            stdout,
            config: config.clone(),
            epub: epub.clone(),
        })
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    pub async fn open(&mut self, path: &Path) -> Result<Opened, DocumentError> {
        let request = Request::Open {
            passwords: self.config.passwords.clone(),
            max_pages: self.config.max_pages,
            max_page_inches: self.config.max_page_inches,
            epub: self.epub.clone(),
        };
        self.send(&request, path.as_os_str().as_bytes()).await?;
        let (pdf, epub) = (self.config.timeout_seconds, self.epub.timeout_seconds);
        let limit = match super::sniff(path) {
            Ok(super::Kind::Epub) => Limit("epub.timeout_seconds", epub),
            _ => Limit("pdf.timeout_seconds", pdf),
        };
        match self.reply_within(limit).await? {
            (Reply::Opened { pages, sandbox }, book) => Ok(Opened {
                pages,
                sandbox,
                book: match book.as_slice() {
                    [] => None,
                    json => Some(checked(parsed(json)?)?),
                },
            }),
            other => Err(unexpected(&other.0)),
        }
    }

    /// The ready reading of a book's page.
    pub async fn reading(&mut self, page: u32) -> Result<Reading, DocumentError> {
        match self.ask(&Request::Reading { page }, &[]).await? {
            (Reply::Reading, json) => parsed(&json),
            other => Err(unexpected(&other.0)),
        }
    }

    /// The Markdown of a part of a book; `read` is what the engine made of pictures in it.
    pub async fn markdown(
        &mut self,
        part: Part,
        read: &[(u32, String)],
    ) -> Result<String, DocumentError> {
        let read = read.to_vec();
        match self.ask(&Request::Markdown { part, read }, &[]).await? {
            (Reply::Markdown, text) => {
                String::from_utf8(text).map_err(|e| DocumentError::Died(e.to_string()))
            }
            other => Err(unexpected(&other.0)),
        }
    }

    /// A picture of a book as the book has it.
    pub async fn picture(&mut self, picture: u32) -> Result<Vec<u8>, DocumentError> {
        match self.ask(&Request::Picture { picture }, &[]).await? {
            (Reply::Picture, bytes) => Ok(bytes),
            other => Err(unexpected(&other.0)),
        }
    }

    /// A picture of a book as an image for the engine.
    pub async fn render_picture(
        &mut self,
        picture: u32,
        wish: ImageWish,
    ) -> Result<PageImage, DocumentError> {
        let request = Request::RenderPicture { picture, wish };
        self.image(&request).await
    }

    pub async fn render(&mut self, page: u32, wish: ImageWish) -> Result<PageImage, DocumentError> {
        self.image(&Request::Render { page, wish }).await
    }

    async fn image(&mut self, request: &Request) -> Result<PageImage, DocumentError> {
        match self.ask(request, &[]).await? {
            (Reply::Image { width, height, dpi }, rgb) => PageImage::new(width, height, rgb, dpi)
                .ok_or_else(|| DocumentError::Died("its page image was misshapen".into())),
            other => Err(unexpected(&other.0)),
        }
    }

    pub async fn chars(&mut self, page: u32) -> Result<PageChars, DocumentError> {
        match self.ask(&Request::Chars { page }, &[]).await? {
            (Reply::Chars, json) => parsed(&json),
            other => Err(unexpected(&other.0)),
        }
    }

    pub async fn draw(&mut self, page: LayoutPage) -> Result<(), DocumentError> {
        self.ask(&Request::Draw(page), &[]).await.map(drop)
    }

    /// Asks for the document with what was drawn.
    pub async fn save(&mut self) -> Result<Saving<'_>, DocumentError> {
        self.send(&Request::Save, &[]).await?;
        Ok(Saving(self))
    }

    async fn ask(
        &mut self,
        request: &Request,
        payload: &[u8],
    ) -> Result<(Reply, Vec<u8>), DocumentError> {
        self.send(request, payload).await?;
        self.reply().await
    }

    async fn send(&mut self, request: &Request, payload: &[u8]) -> Result<(), DocumentError> {
        let head = encode(request, payload).map_err(|e| DocumentError::Died(e.to_string()))?;
        let sent = async {
            self.stdin.write_all(&head).await?;
            self.stdin.write_all(payload).await?;
            self.stdin.flush().await
        }
        .await;
        if sent.is_err() {
            // A child that refused its document has gone; its reply may still be in the pipe.
            tracing::trace!("the request found a closed pipe");
        }
        Ok(())
    }

    async fn reply(&mut self) -> Result<(Reply, Vec<u8>), DocumentError> {
        let limit = Limit("pdf.timeout_seconds", self.config.timeout_seconds);
        self.reply_within(limit).await
    }

    async fn reply_within(&mut self, limit: Limit) -> Result<(Reply, Vec<u8>), DocumentError> {
        let Limit(name, seconds) = limit;
        let outcome =
            tokio::time::timeout(Duration::from_secs_f64(seconds), read(&mut self.stdout)).await;
        match outcome {
            Ok(Ok((Reply::Refused(why), _))) => Err(DocumentError::Refused(why)),
            Ok(Ok((Reply::Damaged(why), _))) => Err(DocumentError::Damaged(why)),
            Ok(Ok((Reply::PageRefused(why), _))) => Err(DocumentError::PageRefused(why)),
            Ok(Ok((Reply::Machine(why), _))) => Err(DocumentError::Machine(why)),
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(_)) => Err(DocumentError::Died(self.end().await)),
            Err(_) => {
                self.end().await;
                Err(DocumentError::TimedOut(format!("{name} = {seconds}")))
            }
        }
    }

    /// Kills and reaps the child; says how it ended.
    async fn end(&mut self) -> String {
        // Its pipe is closed or it is past its limit: give a dying child a moment to be reaped as it ended.
        let status =
            match tokio::time::timeout(Duration::from_millis(500), self.process.wait()).await {
                Ok(status) => status,
                Err(_) => {
                    if let Err(e) = self.process.start_kill() {
                        tracing::debug!("kill: {e}");
                    }
                    self.process.wait().await
                }
            };
        match status {
            Ok(s) => s
                .signal()
                .map_or_else(|| s.to_string(), |n| format!("signal {n}")),
            Err(e) => e.to_string(),
        }
    }
}

/// A document on its way from the child, whole when [`Saving::piece`] says `None`.
pub struct Saving<'a>(&'a mut Child);

impl Saving<'_> {
    /// The next bytes, in order: as many as a frame holds, never the document.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, DocumentError> {
        match self.0.reply().await? {
            (Reply::Chunk, bytes) => Ok(Some(bytes)),
            (Reply::End, _) => Ok(None),
            other => Err(unexpected(&other.0)),
        }
    }
}

/// The setting that bounds an answer, and its seconds.
struct Limit(&'static str, f64);

fn parsed<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, DocumentError> {
    serde_json::from_slice(json).map_err(|e| DocumentError::Died(e.to_string()))
}

/// A book whose pictures have plain names: the agent writes files called so.
fn checked(book: Book) -> Result<Book, DocumentError> {
    let plain = |name: &&String| {
        let mut parts = Path::new(name.as_str()).components();
        matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name.as_str())
    };
    match book.pictures.iter().find(|name| !plain(name)) {
        Some(name) => Err(DocumentError::Died(format!("it called a picture {name:?}"))),
        None => Ok(book),
    }
}

fn unexpected(reply: &Reply) -> DocumentError {
    DocumentError::Died(format!("unexpected reply {reply:?}"))
}

async fn read(from: &mut BufReader<ChildStdout>) -> std::io::Result<(Reply, Vec<u8>)> {
    let bad = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
    let length = from.read_u32_le().await?;
    if length > MAX_HEADER {
        return Err(bad(format!("a header of {length} bytes")));
    }
    let mut header = vec![0; length as usize];
    from.read_exact(&mut header).await?;
    let length = from.read_u64_le().await?;
    if length > MAX_PAYLOAD {
        return Err(bad(format!("a payload of {length} bytes")));
    }
    let mut payload = vec![0; length as usize];
    from.read_exact(&mut payload).await?;
    Ok((
        serde_json::from_slice(&header).map_err(|e| bad(e.to_string()))?,
        payload,
    ))
}
