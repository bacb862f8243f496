//! The ZIP directory of an EPUB, judged before a byte of a member is unpacked.
//!
//! Crate `zip` reads directory and members. It allocates what a directory names and unpacks what
//! a stream yields, so both are bounded here: the end record is read first, the directory through
//! a [`Metered`] file, and a member never yields more than the size it declares (`zip` 9 sees to
//! that as well). A declared size may lie: then the member is damaged, not long.
//!
//! Invariant: an index into [`Directory::members`] is the member's index in the archive.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zip::ZipArchive;
use zip::result::ZipError;

use super::names::member_name;
use super::{BookError, Limits, ReadError, list};

/// A file of which only so many bytes can be read until the meter is taken off.
#[derive(Debug)]
pub(super) struct Metered {
    file: File,
    left: Arc<AtomicU64>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("the directory is too large"));
        }
        let most = usize::try_from(left).map_or(buffer.len(), |l| buffer.len().min(l));
        let n = self.file.read(&mut buffer[..most])?;
        self.left
            .store(left.saturating_sub(n as u64), Ordering::Relaxed);
        Ok(n)
    }
}

impl Seek for Metered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

pub(super) type Archive = ZipArchive<BufReader<Metered>>;

/// A member as the directory declares it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// With `/` between folders; `None` for a folder and for a name that is never read.
    pub name: Option<String>,
    /// Bytes when unpacked.
    pub size: u64,
    /// Needs a password of the ZIP itself.
    pub locked: bool,
}

#[derive(Debug)]
pub(super) struct Directory {
    pub archive: Archive,
    pub members: Vec<Member>,
    pub faults: Vec<String>,
}

/// Reads and judges the directory.
pub(super) fn directory(mut file: File, limits: &Limits) -> Result<Directory, BookError> {
    let (declared, directory_bytes) = end_record(&mut file)?;
    if declared > limits.max_members {
        return Err(too_many(declared, limits));
    }
    if directory_bytes > limits.max_directory_bytes {
        return Err(large_directory(limits));
    }
    // The end record may be one of several: the meter holds whatever `zip` makes of them. It
    // reads the last 64 KiB and the directory, each more than once.
    let left = Arc::new(AtomicU64::new(limits.max_directory_bytes * 2));
    let metered = Metered {
        file,
        left: left.clone(),
    };
    let archive = match ZipArchive::new(BufReader::new(metered)) {
        Ok(archive) => archive,
        Err(_) if left.load(Ordering::Relaxed) == 0 => return Err(large_directory(limits)),
        Err(ZipError::Io(e)) if e.raw_os_error().is_some() => return Err(BookError::Machine(e)),
        Err(e) => return Err(BookError::Damaged(format!("has a damaged directory: {e}"))),
    };
    left.store(u64::MAX, Ordering::Relaxed);
    judge(archive, limits)
}

fn too_many(count: u64, limits: &Limits) -> BookError {
    BookError::Refused(format!(
        "holds {count} files, more than {}",
        limits.max_members
    ))
}

fn large_directory(limits: &Limits) -> BookError {
    BookError::Refused(format!(
        "has a directory of more than {} MB",
        limits.max_directory_bytes >> 20
    ))
}

/// Number of members and bytes of the directory, as the end record says (APPNOTE.TXT 6.3.10,
/// sections 4.3.14 to 4.3.16).
fn end_record(file: &mut File) -> Result<(u64, u64), BookError> {
    const END: usize = 22;
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(BookError::Machine)?;
    file.by_ref()
        .take(4)
        .read_to_end(&mut head)
        .map_err(BookError::Machine)?;
    let length = file.seek(SeekFrom::End(0)).map_err(BookError::Machine)?;
    let start = length.saturating_sub((END + 0xFFFF) as u64);
    let tail = read_at(file, start, length - start)?;
    let found = (0..(tail.len() + 1).saturating_sub(END)).rev().find(|&at| {
        tail[at..].starts_with(b"PK\x05\x06")
            && at + END + usize::from(u16_at(&tail, at + 20)) <= tail.len()
    });
    let Some(at) = found else {
        return Err(if head.is_empty() || b"PK\x03\x04".starts_with(&head) {
            BookError::Damaged("ends before its directory: it is not complete".into())
        } else {
            BookError::Refused("is not a ZIP file".into())
        });
    };
    let (count, bytes) = (u16_at(&tail, at + 10), u32_at(&tail, at + 12));
    if count != u16::MAX && bytes != u32::MAX {
        return Ok((count.into(), bytes.into()));
    }
    // ZIP64: a locator of 20 bytes right before the end record names the large one.
    let locator = (start + at as u64)
        .checked_sub(20)
        .map(|at| read_at(file, at, 20));
    if let Some(locator) = locator.transpose()?
        && locator.starts_with(b"PK\x06\x07")
    {
        let large = read_at(file, u64_at(&locator, 8), 56)?;
        if large.len() == 56 && large.starts_with(b"PK\x06\x06") {
            return Ok((u64_at(&large, 32), u64_at(&large, 40)));
        }
    }
    Ok((count.into(), bytes.into()))
}

/// At most `length` bytes from `at`, fewer at the end of the file.
fn read_at(file: &mut File, at: u64, length: u64) -> Result<Vec<u8>, BookError> {
    let mut bytes = Vec::new();
    // Positions beyond what a file can have are beyond its end.
    if i64::try_from(at).is_ok() {
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.by_ref().take(length).read_to_end(&mut bytes))
            .map_err(BookError::Machine)?;
    }
    Ok(bytes)
}

fn le<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(from) = bytes.get(at..at + N) {
        out.copy_from_slice(from);
    }
    out
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(le(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(le(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(le(bytes, at))
}

fn judge(archive: Archive, limits: &Limits) -> Result<Directory, BookError> {
    let directory = archive.metadata();
    let count = directory.len();
    if count as u64 > limits.max_members {
        return Err(too_many(count as u64, limits));
    }
    let mut members = Vec::with_capacity(count);
    let mut places = Vec::with_capacity(count);
    let mut seen = HashSet::with_capacity(count);
    let (mut unsafe_names, mut twice, mut large) = (Vec::new(), Vec::new(), Vec::new());
    let mut total = 0_u64;
    for index in 0..count {
        let entry = directory
            .entry(index)
            .map_err(|e| BookError::Damaged(format!("has a damaged directory: {e}")))?;
        let (size, packed) = (entry.size(), entry.compressed_size());
        let shown = entry.name().map_or_else(
            |_| String::from_utf8_lossy(entry.name_raw()).into_owned(),
            |name| name.into_owned(),
        );
        // Many writers put UTF-8 into names without the flag that says so.
        let name = std::str::from_utf8(entry.name_raw()).map_or(shown.as_str(), |name| name);
        if size > limits.ratio_from && size / packed.max(1) > limits.max_ratio {
            return Err(BookError::Refused(format!(
                "holds {}, which unpacks {} bytes to {} MB, more than {}:1",
                super::quote(name),
                packed,
                size >> 20,
                limits.max_ratio
            )));
        }
        total = total.saturating_add(size);
        places.push((entry.header_start(), packed));
        let name = if entry.is_dir() {
            None
        } else {
            let safe = member_name(name);
            match &safe {
                None => unsafe_names.push(name.to_owned()),
                Some(safe) if !seen.insert(safe.clone()) => twice.push(safe.clone()),
                Some(safe) if size > limits.max_member_bytes => large.push(safe.clone()),
                Some(_) => {}
            }
            safe
        };
        members.push(Member {
            name,
            size,
            locked: entry.encrypted(),
        });
    }
    if total > limits.max_total_bytes {
        return Err(BookError::Refused(format!(
            "unpacks to {} MB, more than {}",
            total >> 20,
            limits.max_total_bytes >> 20
        )));
    }
    if overlap(&mut places) {
        return Err(BookError::Refused(
            "has members that lie one over the other, as zip bombs do".into(),
        ));
    }
    let mut faults = Vec::new();
    if !unsafe_names.is_empty() {
        faults.push(format!(
            "names that lead out of the container are not read: {}",
            list(&unsafe_names)
        ));
    }
    if !twice.is_empty() || directory.has_duplicate_names() {
        faults.push(format!(
            "the container has several files of one name {}",
            list(&twice)
        ));
    }
    if !large.is_empty() {
        faults.push(format!(
            "files of more than {} MB are not read: {}",
            limits.max_member_bytes >> 20,
            list(&large)
        ));
    }
    Ok(Directory {
        archive,
        members,
        faults,
    })
}

/// Whether a member begins within another: `(header, packed bytes)` each. A local header has 30
/// bytes and the name, which is left out: this errs on the side of what is honest.
fn overlap(places: &mut [(u64, u64)]) -> bool {
    places.sort_unstable();
    places
        .windows(2)
        .any(|w| w[0].0.saturating_add(30).saturating_add(w[0].1) > w[1].0)
}

/// Unpacks a member: all of it or an error, never more than `most` bytes.
pub(super) fn unpack(
    archive: &mut Archive,
    index: usize,
    member: &Member,
    most: u64,
) -> Result<Vec<u8>, ReadError> {
    if member.locked {
        return Err(ReadError::Locked);
    }
    if member.size > most {
        return Err(ReadError::TooLarge {
            size: member.size,
            most,
        });
    }
    let broken = |e: ZipError| match e {
        ZipError::Io(e) => io_fault(e),
        e => ReadError::Broken(e.to_string()),
    };
    let file = archive.by_index(index).map_err(broken)?;
    let mut bytes = Vec::new();
    let room = usize::try_from(member.size).unwrap_or(usize::MAX);
    bytes
        .try_reserve_exact(room.saturating_add(1))
        .map_err(|_| ReadError::TooLarge {
            size: member.size,
            most,
        })?;
    // One byte more than declared: the reader then reaches its end and checks the CRC.
    file.take(member.size + 1)
        .read_to_end(&mut bytes)
        .map_err(io_fault)?;
    if bytes.len() != room {
        return Err(ReadError::Broken(format!(
            "it holds other than the {} bytes declared",
            member.size
        )));
    }
    Ok(bytes)
}

/// An error of the machine has an OS code, one of the data has none.
fn io_fault(e: io::Error) -> ReadError {
    if e.raw_os_error().is_some() {
        ReadError::Machine(e)
    } else {
        ReadError::Broken(e.to_string())
    }
}
