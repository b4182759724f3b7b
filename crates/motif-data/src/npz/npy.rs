//! One array of an NPZ file: NumPy's `.npy` form, C order.
//!
//! Must not know: what the array is for.

use std::path::{Path, PathBuf};

use super::zip::Zip;
use crate::import::{ImportError, check_size, mismatch};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header: NumPy itself reads no longer one unasked.
const MAX_HEADER_BYTES: u64 = 10_000;
/// Most dimensions of an array.
const MAX_DIMS: usize = 8;

/// An array: its numbers' type as NumPy writes it, and its bytes.
pub(crate) struct Array {
    pub(crate) number: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
}

impl Array {
    /// `10 × 28 × 28`.
    pub(crate) fn shown_shape(&self) -> String {
        self.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ")
    }
}

/// Reads the array `name` of at most `max` bytes; also the path that errors show.
pub(crate) fn read(zip: &mut Zip, name: &str, max: u64) -> Result<(PathBuf, Array), ImportError> {
    let mut member = zip.member(&format!("{name}.npy"))?;
    let path = member.path().to_owned();
    let start = member.exactly(8)?;
    let version = match start.as_slice() {
        [magic @ .., version, _] if magic == MAGIC => *version,
        _ => return Err(mismatch(&path, "its beginning", format!("{start:02x?}"), format!("{MAGIC:02x?}"))),
    };
    let length_bytes = match version {
        1 => 2,
        2 | 3 => 4,
        _ => return Err(mismatch(&path, "its version", version.to_string(), "1, 2 or 3")),
    };
    let length = member.exactly(length_bytes)?.iter().rev().fold(0, |length, &b| length << 8 | u64::from(b));
    check_size(&path.join("header"), length, MAX_HEADER_BYTES)?;
    let header = Header::parse(&path, &member.exactly(length)?)?;
    if header.fortran {
        return Err(mismatch(&path, "fortran_order", "True", "False"));
    }
    let width = header.number.bytes().last().filter(u8::is_ascii_digit).map_or(1, |digit| digit - b'0');
    let count = header.shape.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim));
    let bytes = count.and_then(|count| count.checked_mul(u64::from(width))).unwrap_or(u64::MAX);
    check_size(&path, bytes, max)?;
    let data = member.exactly(bytes)?;
    member.end()?;
    Ok((path, Array { number: header.number, shape: header.shape, bytes: data }))
}

/// What the header says: `{'descr': '|u1', 'fortran_order': False, 'shape': (60000, 28, 28), }`.
struct Header {
    number: String,
    fortran: bool,
    shape: Vec<u64>,
}

impl Header {
    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ImportError> {
        let text = String::from_utf8_lossy(bytes);
        parse_dict(&text).ok_or_else(|| {
            let found: String = text.trim_end().chars().take(120).collect();
            let expected = "{'descr': '|u1', 'fortran_order': False, 'shape': (n, …), }";
            mismatch(path, "its header", format!("{found:?}"), expected)
        })
    }
}

/// The three keys, once each and no others.
fn parse_dict(text: &str) -> Option<Header> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut number, mut fortran, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, value) = quoted(rest)?;
        let value = value.trim_start().strip_prefix(':')?.trim_start();
        let (again, after) = match key {
            "descr" => quoted(value).map(|(v, after)| (number.replace(v.to_owned()).is_some(), after))?,
            "fortran_order" => {
                let (v, after) = match value.strip_prefix("False") {
                    Some(after) => (false, after),
                    None => (true, value.strip_prefix("True")?),
                };
                (fortran.replace(v).is_some(), after)
            }
            "shape" => tuple(value).map(|(v, after)| (shape.replace(v).is_some(), after))?,
            _ => return None,
        };
        if again {
            return None;
        }
        let after = after.trim_start();
        rest = if after.is_empty() { after } else { after.strip_prefix(',')?.trim_start() };
    }
    Some(Header { number: number?, fortran: fortran?, shape: shape? })
}

/// A string in single or double quotes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// `(1, 2, 3)` or `(1,)`, and what follows it.
fn tuple(text: &str) -> Option<(Vec<u64>, &str)> {
    let (inside, rest) = text.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    let dims: Option<Vec<u64>> = inside.split(',').map(|dim| dim.trim().parse().ok()).collect();
    dims.filter(|dims| dims.len() <= MAX_DIMS).map(|dims| (dims, rest))
}
