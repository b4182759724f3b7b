//! As much of zip as NumPy writes: members stored or deflated, found through the directory at the end.
//!
//! Must not know: what a member holds. There is no zip64: what needs it is larger than a dataset may be.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use crate::import::{ImportError, io_error, mismatch, open, read_at_most};

/// Most members of a file.
const MAX_MEMBERS: u64 = 64;
/// Longest directory.
const MAX_DIRECTORY_BYTES: u64 = 64 * 1024;
/// The end record, without its comment.
const END_BYTES: u64 = 22;
const END_MAGIC: [u8; 4] = *b"PK\x05\x06";
/// A directory entry, without its name, extra field and comment.
const ENTRY_BYTES: usize = 46;
const ENTRY_MAGIC: [u8; 4] = *b"PK\x01\x02";
/// What stands before a member's data, without name and extra field.
const LOCAL_BYTES: u64 = 30;
const STORED: u64 = 0;
const DEFLATED: u64 = 8;
const FLAG_ENCRYPTED: u64 = 1;

struct Entry {
    name: Vec<u8>,
    flags: u64,
    method: u64,
    crc: u64,
    packed_bytes: u64,
    bytes: u64,
    local_at: u64,
}

/// An open file and its directory.
pub(crate) struct Zip {
    path: PathBuf,
    reader: BufReader<File>,
    file_bytes: u64,
    entries: Vec<Entry>,
}

impl Zip {
    /// Opens a file of at most `max` bytes and reads its directory.
    pub(crate) fn open(path: &Path, max: u64) -> Result<Self, ImportError> {
        let (reader, file_bytes) = open(path, max)?;
        let mut zip =
            Self { path: path.to_owned(), reader: reader.into_inner(), file_bytes, entries: Vec::new() };
        let (count, at, bytes) = zip.find_directory()?;
        let directory = zip.read_at(at, bytes)?;
        let mut rest = directory.as_slice();
        for _ in 0..count {
            let entry = parse_entry(&mut rest);
            let broken = || mismatch(path, "its directory", "damaged", format!("{count} entries"));
            zip.entries.push(entry.ok_or_else(broken)?);
        }
        Ok(zip)
    }

    /// Number of entries, offset and length of the directory.
    fn find_directory(&mut self) -> Result<(u64, u64, u64), ImportError> {
        let tail_bytes = self.file_bytes.min(END_BYTES + u64::from(u16::MAX));
        let tail = self.read_at(self.file_bytes - tail_bytes, tail_bytes)?;
        // From the end: a comment may look like anything, but its length must be right.
        let end = tail.windows(END_BYTES as usize).enumerate().rev().find(|(at, end)| {
            end.starts_with(&END_MAGIC) && at + END_BYTES as usize + word(end, 20, 2) as usize == tail.len()
        });
        let Some((at, end)) = end else {
            return Err(mismatch(&self.path, "its end", "cut off", "the directory of a zip file"));
        };
        let end_at = self.file_bytes - tail_bytes + at as u64;
        let (count, bytes, directory_at) = (word(end, 10, 2), word(end, 12, 4), word(end, 16, 4));
        let limits = [
            ("the number of members", count, MAX_MEMBERS),
            ("the length of the directory", bytes, MAX_DIRECTORY_BYTES),
            ("the offset of the directory", directory_at, end_at.saturating_sub(bytes)),
        ];
        for (field, value, max) in limits {
            if value > max {
                return Err(ImportError::OutOfRange { path: self.path.clone(), field, value, min: 0, max });
            }
        }
        Ok((count, directory_at, bytes))
    }

    /// Exactly `bytes` from offset `at`, or an error.
    fn read_at(&mut self, at: u64, bytes: u64) -> Result<Vec<u8>, ImportError> {
        let path = &self.path;
        self.reader.seek(SeekFrom::Start(at)).map_err(|source| io_error("read", path, source))?;
        let read = read_at_most(path, &mut self.reader, bytes, 0)?;
        if (read.len() as u64) < bytes {
            let (path, found) = (path.clone(), at + read.len() as u64);
            return Err(ImportError::Truncated { path, found, expected: at + bytes });
        }
        Ok(read)
    }

    /// The member of this name, from its start.
    pub(crate) fn member(&mut self, name: &str) -> Result<Member<'_>, ImportError> {
        let named = |entry: &&Entry| entry.name == name.as_bytes();
        let Some(entry) = self.entries.iter().find(named) else {
            let beside = self.entries.iter().map(|entry| String::from_utf8_lossy(&entry.name)).take(6);
            let beside = beside.collect::<Vec<_>>().join(", ");
            let beside = if beside.is_empty() { "nothing".to_owned() } else { beside };
            return Err(ImportError::Missing { path: self.path.clone(), missing: name.to_owned(), beside });
        };
        let path = self.path.join(name);
        if entry.flags & FLAG_ENCRYPTED != 0 {
            return Err(mismatch(&path, "the member", "encrypted", "plain"));
        }
        let Entry { method, crc, packed_bytes, bytes, local_at, .. } = *entry;
        if method != STORED && method != DEFLATED {
            let (found, expected) = (method.to_string(), "0 (stored) or 8 (deflated)");
            return Err(mismatch(&path, "its compression method", found, expected));
        }
        if method == STORED && packed_bytes != bytes {
            let (found, expected) = (packed_bytes.to_string(), format!("{bytes}, being stored"));
            return Err(mismatch(&path, "its stored length", found, expected));
        }
        let local = self.read_at(local_at, LOCAL_BYTES)?;
        if !local.starts_with(&super::MAGIC) {
            let (found, expected) = (format!("{:02x?}", &local[..4]), format!("{:02x?}", super::MAGIC));
            return Err(mismatch(&path, "what stands before it", found, expected));
        }
        let at = local_at + LOCAL_BYTES + word(&local, 26, 2) + word(&local, 28, 2);
        if at + packed_bytes > self.file_bytes {
            let (found, expected) = (self.file_bytes, at + packed_bytes);
            return Err(ImportError::Truncated { path, found, expected });
        }
        self.reader.seek(SeekFrom::Start(at)).map_err(|source| io_error("read", &path, source))?;
        let packed = (&mut self.reader).take(packed_bytes);
        let reader: Box<dyn Read + '_> =
            if method == STORED { Box::new(packed) } else { Box::new(DeflateDecoder::new(packed)) };
        // One byte more than the directory promises: to see that there is more.
        Ok(Member {
            path,
            reader: reader.take(bytes + 1),
            read: 0,
            bytes,
            sum: Crc::new(),
            expected_sum: crc,
        })
    }
}

fn parse_entry(rest: &mut &[u8]) -> Option<Entry> {
    let (fixed, after) = rest.split_at_checked(ENTRY_BYTES)?;
    if !fixed.starts_with(&ENTRY_MAGIC) {
        return None;
    }
    let (name, after) = after.split_at_checked(word(fixed, 28, 2) as usize)?;
    *rest = after.get((word(fixed, 30, 2) + word(fixed, 32, 2)) as usize..)?;
    Some(Entry {
        name: name.to_vec(),
        flags: word(fixed, 8, 2),
        method: word(fixed, 10, 2),
        crc: word(fixed, 16, 4),
        packed_bytes: word(fixed, 20, 4),
        bytes: word(fixed, 24, 4),
        local_at: word(fixed, 42, 4),
    })
}

/// Little-endian, of at most eight bytes that are there.
fn word(bytes: &[u8], at: usize, width: usize) -> u64 {
    bytes[at..at + width].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// One member, read from its start to its end.
pub(crate) struct Member<'a> {
    path: PathBuf,
    reader: Take<Box<dyn Read + 'a>>,
    read: u64,
    bytes: u64,
    sum: Crc,
    expected_sum: u64,
}

impl Member<'_> {
    /// The file and the member's name, for errors.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next bytes, which must be there.
    pub(crate) fn exactly(&mut self, bytes: u64) -> Result<Vec<u8>, ImportError> {
        let expected = self.read.saturating_add(bytes);
        if expected > self.bytes {
            return Err(ImportError::Truncated { path: self.path.clone(), found: self.bytes, expected });
        }
        let read = read_at_most(&self.path, &mut self.reader, bytes, 0)?;
        self.read += read.len() as u64;
        self.sum.update(&read);
        if self.read < expected {
            return Err(ImportError::Truncated { path: self.path.clone(), found: self.read, expected });
        }
        Ok(read)
    }

    /// Checks that nothing follows and that the checksum is right.
    pub(crate) fn end(mut self) -> Result<(), ImportError> {
        if self.bytes > self.read || !read_at_most(&self.path, &mut self.reader, 0, 1)?.is_empty() {
            return Err(ImportError::Trailing { path: self.path, expected: self.read });
        }
        let (found, expected) = (u64::from(self.sum.sum()), self.expected_sum);
        if found != expected {
            let (found, expected) = (format!("{found:#010x}"), format!("{expected:#010x}"));
            return Err(mismatch(&self.path, "its checksum", found, expected));
        }
        Ok(())
    }
}
