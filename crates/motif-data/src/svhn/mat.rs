//! The part of MATLAB's level 5 files that SVHN needs: named full arrays of uint8 or double, compressed or not.
//!
//! Must not know: what the arrays are for.
//!
//! A file is 128 bytes of header, then elements: a tag (type, bytes) and its data. An array is an element of type
//! 14 that holds elements again: flags, dimensions, name, numbers. An element of type 15 is a zlib stream with one
//! array in it. Little-endian files only: nobody has written others for decades.

use std::fs::File;
use std::io::{self, BufReader, Read, Take};
use std::path::{Path, PathBuf};

use flate2::bufread::ZlibDecoder;

use crate::dataset::MAX_DATASET_BYTES;
use crate::import::{ImportError, check_size, io_error, mismatch, open, read_at_most};

const HEADER_BYTES: usize = 128;
/// Version and byte order: level 5, little-endian.
const LEVEL_5: [u8; 4] = [0x00, 0x01, b'I', b'M'];
/// Largest file: a dataset that does not compress.
const MAX_FILE_BYTES: u64 = MAX_DATASET_BYTES as u64 + (1 << 20);
/// Most variables of a file.
const MAX_ELEMENTS: usize = 64;
/// Most dimensions of an array.
const MAX_DIMS: u64 = 8;
/// Longest name of a variable (MATLAB's own limit).
const MAX_NAME_BYTES: u64 = 63;

const TYPE_I8: u32 = 1;
const TYPE_U8: u32 = 2;
const TYPE_I32: u32 = 5;
const TYPE_U32: u32 = 6;
const TYPE_F64: u32 = 9;
const TYPE_ARRAY: u32 = 14;
const TYPE_COMPRESSED: u32 = 15;
const CLASS_DOUBLE: u8 = 6;
const CLASS_U8: u8 = 9;
/// Flag bits: complex, global, logical.
const FLAG_COMPLEX: u8 = 8;

/// What an array's numbers were stored as. MATLAB stores doubles as bytes where they fit.
pub(crate) enum Numbers {
    Bytes(Vec<u8>),
    Doubles(Vec<f64>),
}

/// A variable: numbers in column-major order.
pub(crate) struct Array {
    pub(crate) dims: Vec<u64>,
    pub(crate) numbers: Numbers,
}

impl Array {
    /// `32 × 32 × 3`.
    pub(crate) fn shape(&self) -> String {
        self.dims.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ")
    }
}

/// A variable's name, and the most bytes that its numbers may have.
pub(crate) type Wanted<'a> = (&'a str, u64);

/// Reads the wanted variables and skips the others.
pub(crate) fn read<const N: usize>(path: &Path, wanted: [Wanted<'_>; N]) -> Result<[Array; N], ImportError> {
    let (mut reader, file_bytes) = open(path, MAX_FILE_BYTES)?;
    read_header(path, &mut reader, file_bytes)?;
    let mut found = [const { None }; N];
    for _ in 0..MAX_ELEMENTS {
        // Four bytes of nothing are a file that was cut: not the end.
        let Some(tag) = read_tag(path, &mut reader)? else { return all(path, wanted, found) };
        let (at, bytes) = (file_bytes - reader.limit(), u64::from(tag.bytes));
        if bytes > reader.limit() {
            return Err(ImportError::Truncated {
                path: path.to_owned(),
                found: file_bytes,
                expected: at + bytes,
            });
        }
        let mut element = (&mut reader).take(bytes);
        let array = match tag.kind {
            TYPE_ARRAY => Content { path: path.to_owned(), reader: &mut element }.array(&wanted)?,
            TYPE_COMPRESSED => inflate(path, &mut element, &wanted)?,
            kind => {
                return Err(mismatch(
                    path,
                    "an element's type",
                    kind.to_string(),
                    "14 (array) or 15 (compressed)",
                ));
            }
        };
        io::copy(&mut element, &mut io::sink()).map_err(|source| io_error("read", path, source))?;
        if let Some((index, array)) = array
            && found[index].replace(array).is_some()
        {
            return Err(mismatch(&path.join(wanted[index].0), "the variable", "there twice", "there once"));
        }
    }
    Err(mismatch(path, "the number of variables", format!("more than {MAX_ELEMENTS}"), "less"))
}

fn all<const N: usize>(
    path: &Path,
    wanted: [Wanted<'_>; N],
    found: [Option<Array>; N],
) -> Result<[Array; N], ImportError> {
    if let Some(index) = found.iter().position(Option::is_none) {
        let here = wanted.iter().zip(&found).filter(|(_, array)| array.is_some());
        let here: Vec<&str> = here.map(|((name, _), _)| *name).collect();
        let beside = if here.is_empty() { "other variables".to_owned() } else { here.join(", ") };
        return Err(ImportError::Missing {
            path: path.to_owned(),
            missing: wanted[index].0.to_owned(),
            beside,
        });
    }
    Ok(found.map(|array| array.expect("the missing ones were refused above")))
}

fn read_header(path: &Path, reader: &mut dyn Read, file_bytes: u64) -> Result<(), ImportError> {
    let header = read_at_most(path, reader, HEADER_BYTES as u64, 0)?;
    if !header.starts_with(b"MATLAB") {
        let found = format!("{:02x?}", &header[..header.len().min(6)]);
        return Err(mismatch(path, "its beginning", found, "MATLAB"));
    }
    if header.len() < HEADER_BYTES {
        let (path, expected) = (path.to_owned(), HEADER_BYTES as u64);
        return Err(ImportError::Truncated { path, found: file_bytes, expected });
    }
    let version = &header[HEADER_BYTES - LEVEL_5.len()..];
    if version != LEVEL_5 {
        let (found, expected) =
            (format!("{version:02x?}"), format!("{LEVEL_5:02x?} (level 5, little-endian)"));
        return Err(mismatch(path, "version and byte order", found, expected));
    }
    Ok(())
}

fn inflate(
    path: &Path,
    element: &mut Take<&mut Take<BufReader<File>>>,
    wanted: &[Wanted<'_>],
) -> Result<Option<(usize, Array)>, ImportError> {
    let mut inflated = ZlibDecoder::new(element);
    let Some(tag) = read_tag(path, &mut inflated)? else {
        return Err(mismatch(path, "a compressed element", "empty", "an array"));
    };
    if tag.kind != TYPE_ARRAY {
        return Err(mismatch(path, "the type of a compressed element", tag.kind.to_string(), "14 (array)"));
    }
    let mut content = (&mut inflated).take(u64::from(tag.bytes));
    let array = Content { path: path.to_owned(), reader: &mut content }.array(wanted)?;
    // What nobody wants is not inflated. What is wanted must end here, which also checks the stream's sum.
    if let Some((index, _)) = array
        && !read_at_most(path, &mut inflated, 0, 1)?.is_empty()
    {
        let path = path.join(wanted[index].0);
        return Err(ImportError::Trailing { path, expected: 8 + u64::from(tag.bytes) });
    }
    Ok(array)
}

#[derive(Debug, Clone, Copy)]
struct Tag {
    kind: u32,
    bytes: u32,
    /// The data of an element of at most four bytes is in its tag.
    inline: Option<[u8; 4]>,
}

/// `None` at the end.
fn read_tag(path: &Path, reader: &mut dyn Read) -> Result<Option<Tag>, ImportError> {
    let tag = read_at_most(path, reader, 8, 0)?;
    if tag.is_empty() {
        return Ok(None);
    }
    let Ok([a, b, c, d, e, f, g, h]) = <[u8; 8]>::try_from(tag.as_slice()) else {
        let (path, found) = (path.to_owned(), tag.len() as u64);
        return Err(ImportError::Truncated { path, found, expected: 8 });
    };
    let (first, second) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    Ok(Some(match first >> 16 {
        0 => Tag { kind: first, bytes: second, inline: None },
        bytes => Tag { kind: first & 0xffff, bytes, inline: Some([e, f, g, h]) },
    }))
}

/// The inside of an array element.
struct Content<'a> {
    path: PathBuf,
    reader: &'a mut dyn Read,
}

impl Content<'_> {
    /// The array and its position in `wanted`; `None`, and the numbers not read, when its name is not there.
    fn array(mut self, wanted: &[Wanted<'_>]) -> Result<Option<(usize, Array)>, ImportError> {
        let flags = self.part("array flags", &[TYPE_U32], 8, 8)?;
        let (class, bits) = (flags.1[0], flags.1[1]);
        let dims = self.part("dimensions", &[TYPE_I32], 8, 4 * MAX_DIMS)?;
        let name = self.part("name", &[TYPE_I8], 0, MAX_NAME_BYTES)?;
        let Some(index) = wanted.iter().position(|(wanted, _)| wanted.as_bytes() == name.1) else {
            return Ok(None);
        };
        self.path.push(wanted[index].0);
        if !matches!(class, CLASS_DOUBLE | CLASS_U8) || bits & FLAG_COMPLEX != 0 {
            let found = format!("{class} with flags {bits:#04x}");
            return Err(mismatch(&self.path, "its class", found, "9 (uint8) or 6 (double), not complex"));
        }
        let dims = self.dims(&dims.1)?;
        let numbers = self.numbers(&dims, wanted[index].1)?;
        if !read_at_most(&self.path, self.reader, 0, 1)?.is_empty() {
            return Err(mismatch(&self.path, "the array's length", "greater than its parts", "their sum"));
        }
        Ok(Some((index, Array { dims, numbers })))
    }

    fn dims(&self, bytes: &[u8]) -> Result<Vec<u64>, ImportError> {
        let dims = bytes.chunks_exact(4).map(|d| i32::from_le_bytes([d[0], d[1], d[2], d[3]]));
        dims.map(|dim| {
            u64::try_from(dim)
                .map_err(|_| mismatch(&self.path, "a dimension", dim.to_string(), "0 or greater"))
        })
        .collect()
    }

    fn numbers(&mut self, dims: &[u64], max: u64) -> Result<Numbers, ImportError> {
        let count = dims.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim)).unwrap_or(u64::MAX);
        check_size(&self.path, count, max)?;
        // The tag says how wide the numbers are; their count is already known.
        let (kind, bytes) = self.part("numbers", &[TYPE_U8, TYPE_F64], count, max)?;
        let width = if kind == TYPE_F64 { 8 } else { 1 };
        if bytes.len() as u64 != width * count {
            let (found, expected) = (bytes.len().to_string(), format!("{} by its dimensions", width * count));
            return Err(mismatch(&self.path, "the length of its numbers", found, expected));
        }
        Ok(if kind == TYPE_F64 {
            let double = |b: &[u8]| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
            Numbers::Doubles(bytes.chunks_exact(8).map(double).collect())
        } else {
            Numbers::Bytes(bytes)
        })
    }

    /// An element of one of the types and of `min..=max` bytes, and the padding after it.
    fn part(
        &mut self,
        what: &'static str,
        kinds: &[u32],
        min: u64,
        max: u64,
    ) -> Result<(u32, Vec<u8>), ImportError> {
        let tag = read_tag(&self.path, self.reader)?;
        let Some(tag) = tag else { return Err(mismatch(&self.path, what, "missing", "an element")) };
        if !kinds.contains(&tag.kind) {
            return Err(mismatch(
                &self.path,
                format!("the type of {what}"),
                tag.kind.to_string(),
                format!("{kinds:?}"),
            ));
        }
        let wanted = u64::from(tag.bytes);
        if !(min..=max).contains(&wanted) {
            let expected = format!("{min} to {max}");
            return Err(mismatch(&self.path, format!("the length of {what}"), wanted.to_string(), expected));
        }
        if let Some(inline) = tag.inline {
            let Some(bytes) = inline.get(..tag.bytes as usize) else {
                return Err(mismatch(
                    &self.path,
                    format!("the short form of {what}"),
                    wanted.to_string(),
                    "at most 4 bytes",
                ));
            };
            return Ok((tag.kind, bytes.to_vec()));
        }
        let bytes = read_at_most(&self.path, self.reader, wanted, 0)?;
        if (bytes.len() as u64) < wanted {
            let (path, found) = (self.path.clone(), bytes.len() as u64);
            return Err(ImportError::Truncated { path, found, expected: wanted });
        }
        // Some writers leave out the padding of the last part.
        read_at_most(&self.path, self.reader, wanted.next_multiple_of(8) - wanted, 0)?;
        Ok((tag.kind, bytes))
    }
}
