//! Frames between agent and child: `u32` header length, JSON header, `u64` payload length,
//! payload; little-endian. Both lengths are bounded before anything is allocated.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::config;
use crate::page::{ImageWish, LayoutPage};

/// Largest header, bytes (the boxes of a layout page stand in headers).
pub const MAX_HEADER: u32 = 16 << 20;
/// Largest payload, bytes (a page image).
pub const MAX_PAYLOAD: u64 = 1 << 30;

/// Largest payload of a `Chunk`, bytes: what the agent holds of a document that is saved.
pub const CHUNK: usize = 1 << 18;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// The payload is the path.
    Open {
        passwords: Vec<String>,
        max_pages: u32,
        max_page_inches: f32,
        epub: config::Epub,
    },
    Render {
        page: u32,
        wish: ImageWish,
    },
    Chars {
        page: u32,
    },
    /// The ready reading of a book's page.
    Reading {
        page: u32,
    },
    /// The Markdown of a part of a book; `read` is what the engine made of pictures in it, by their
    /// numbers.
    Markdown {
        part: Part,
        read: Vec<(u32, String)>,
    },
    /// A picture of a book as it is in the container.
    Picture {
        picture: u32,
    },
    /// A picture of a book as an image for the engine.
    RenderPicture {
        picture: u32,
        wish: ImageWish,
    },
    /// Draws the boxes of one page onto it.
    Draw(LayoutPage),
    /// The document with what was drawn, as `Chunk`s and an `End`.
    Save,
}

/// A part of a book, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    Chapter(u32),
    Page(u32),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The payload of a book is JSON of [`crate::page::Book`], of a PDF nothing.
    Opened {
        pages: u32,
        sandbox: String,
    },
    Image {
        width: u32,
        height: u32,
        dpi: f32,
    },
    /// The payload is JSON of [`crate::page::PageChars`].
    Chars,
    /// The payload is JSON of [`crate::page::Reading`].
    Reading,
    /// The payload is text.
    Markdown,
    /// The payload is the picture's bytes.
    Picture,
    Drawn,
    Chunk,
    End,
    /// The document cannot be read; a sentence for the user.
    Refused(String),
    /// No document could be found in the file: it may still be on its way.
    Damaged(String),
    /// This page cannot be read; others can.
    PageRefused(String),
    /// The machine is at fault: nothing is known about the document.
    Machine(String),
}

/// Writes a frame and flushes.
pub fn write_frame<T: Serialize>(
    out: &mut impl Write,
    header: &T,
    payload: &[u8],
) -> io::Result<()> {
    out.write_all(&encode(header, payload)?)?;
    out.write_all(payload)?;
    out.flush()
}

/// A frame's bytes before its payload.
pub fn encode<T: Serialize>(header: &T, payload: &[u8]) -> io::Result<Vec<u8>> {
    let header = serde_json::to_vec(header)?;
    let mut head = Vec::with_capacity(header.len() + 12);
    head.extend_from_slice(
        &u32::try_from(header.len())
            .map_err(io::Error::other)?
            .to_le_bytes(),
    );
    head.extend_from_slice(&header);
    head.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    Ok(head)
}

/// A document that is saved, as `Chunk`s of at most [`CHUNK`] bytes.
pub struct Chunks<W: Write>(pub W);

impl<W: Write> Write for Chunks<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // pdfium writes a picture in one piece, however large.
        let piece = &bytes[..bytes.len().min(CHUNK)];
        write_frame(&mut self.0, &Reply::Chunk, piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Reads a frame; `UnexpectedEof` at the end of the stream, `InvalidData` for anything else amiss.
pub fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<(T, Vec<u8>)> {
    let bad = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut four = [0; 4];
    from.read_exact(&mut four)?;
    let length = u32::from_le_bytes(four);
    if length > MAX_HEADER {
        return Err(bad(format!("a header of {length} bytes")));
    }
    let mut header = vec![0; length as usize];
    from.read_exact(&mut header)?;
    let mut eight = [0; 8];
    from.read_exact(&mut eight)?;
    let length = u64::from_le_bytes(eight);
    if length > MAX_PAYLOAD {
        return Err(bad(format!("a payload of {length} bytes")));
    }
    let mut payload = vec![0; length as usize];
    from.read_exact(&mut payload)?;
    Ok((
        serde_json::from_slice(&header).map_err(|e| bad(e.to_string()))?,
        payload,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_come_back() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &Request::Chars { page: 3 }, b"xyz").unwrap();
        let (request, payload): (Request, _) = read_frame(&mut bytes.as_slice()).unwrap();
        assert_eq!(
            (request, payload.as_slice()),
            (Request::Chars { page: 3 }, &b"xyz"[..])
        );
    }

    #[test]
    fn a_large_piece_goes_out_in_bounded_chunks() {
        let bytes: Vec<u8> = (0..2 * CHUNK + 7).map(|i| (i % 251) as u8).collect();
        let mut chunks = Chunks(Vec::new());
        chunks.write_all(&bytes).unwrap();
        let mut from = chunks.0.as_slice();
        let mut sizes = Vec::new();
        let mut whole = Vec::new();
        while let Ok((reply, payload)) = read_frame::<Reply>(&mut from) {
            assert_eq!(reply, Reply::Chunk);
            sizes.push(payload.len());
            whole.extend(payload);
        }
        assert_eq!(sizes, [CHUNK, CHUNK, 7]);
        assert!(whole == bytes);
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(read_frame::<Request>(&mut bytes.as_slice()).is_err());
        }
    }
}
