//! CSV: one example per line, its label first, then its pixels as integers 0 to 255. `train.csv` and `test.csv`,
//! either plain or `.gz`.
//!
//! Must not know: other formats.
//!
//! A first line that begins with `label` is a header. Where its last column is called `28x28`, images have so many
//! rows and columns; else they are square where the number of pixels is one, else a single row.

use std::io::{BufRead, BufReader, Read, Take};
use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, MAX_CLASSES, MAX_DATASET_BYTES, MAX_SIDE_PIXELS, MAX_SPLIT_EXAMPLES};
use crate::dataset::{Shape, Split};
use crate::import::{
    ImportError, Part, check_dim, check_size, find_pair, io_error, join, mismatch, open_maybe_gzip, sides_of,
};

/// Longest line; 784 pixels take 3 kB.
pub const MAX_LINE_BYTES: usize = 8 << 20;
/// Most bytes of a file, after decompression: every pixel with three digits, a comma and some space for labels.
const MAX_FILE_BYTES: u64 = 5 * MAX_DATASET_BYTES as u64;
/// Digits of a number, leading zeros included.
const MAX_DIGITS: usize = 5;
/// Characters of a cell that an error shows.
const MAX_SHOWN_CHARS: usize = 20;

/// The two files of one dataset.
pub(crate) struct Files {
    train: PathBuf,
    test: PathBuf,
}

/// Looks for the two names; the plain file is taken where there is also a compressed one.
pub(crate) fn find(folder: &Path, names: &[String]) -> Result<Option<Files>, ImportError> {
    let pair = find_pair(folder, names, [&["train.csv", "train.csv.gz"], &["test.csv", "test.csv.gz"]])?;
    Ok(pair.map(|[train, test]| Files { train, test }))
}

/// Reads both files.
pub(crate) fn read(folder: &Path, files: &Files) -> Result<Dataset, ImportError> {
    let room = MAX_DATASET_BYTES as u64;
    let train = read_split(&files.train, room)?;
    let test = read_split(&files.test, room - train.split.pixels.len() as u64)?;
    join(folder, train, test)
}

/// One file of at most `room` pixels.
fn read_split(path: &Path, room: u64) -> Result<Part, ImportError> {
    let mut lines = Lines::open(path)?;
    let mut split = Split::default();
    let (mut columns, mut sides) = (None, None);
    while let Some((number, line)) = lines.next()? {
        let cells = line.split(|&byte| byte == b',').count();
        let expected = *columns.get_or_insert(cells);
        if cells < 2 || cells != expected {
            let expected = if expected < 2 { "a label and pixels".to_owned() } else { expected.to_string() };
            return Err(mismatch(
                path,
                format!("the number of columns in line {number}"),
                cells.to_string(),
                expected,
            ));
        }
        let first = line.split(|&byte| byte == b',').map(clean).next().unwrap_or_default();
        if number == 1 && parse(first).is_none() {
            sides = header_sides(path, first, line)?;
            continue;
        }
        check_dim(path, "examples", split.labels.len() as u64 + 1, MAX_SPLIT_EXAMPLES)?;
        check_size(path, split.pixels.len() as u64 + cells as u64 - 1, room)?;
        read_example(path, number, line, &mut split)?;
    }
    let pixels = columns.map_or(0, |columns| columns - 1);
    if split.labels.is_empty() {
        return Err(mismatch(path, "the number of examples", "0", "at least 1"));
    }
    let (height, width) = sides.unwrap_or_else(|| sides_of(pixels));
    let height = check_dim(path, "height", height as u64, MAX_SIDE_PIXELS)?;
    let width = check_dim(path, "width", width as u64, MAX_SIDE_PIXELS)?;
    let (shape, path) = (Shape { height, width, channels: 1 }, path.to_owned());
    Ok(Part { split, shape, images_path: path.clone(), labels_path: path })
}

/// The sides that the last column's name gives, if it is `ROWSxCOLUMNS` and there are as many pixels.
fn header_sides(path: &Path, first: &[u8], line: &[u8]) -> Result<Option<(usize, usize)>, ImportError> {
    if !first.eq_ignore_ascii_case(b"label") {
        return Err(mismatch(
            path,
            "the first column of line 1",
            shown(first),
            "a label, or the header \"label\"",
        ));
    }
    let cells: Vec<&[u8]> = line.split(|&byte| byte == b',').map(clean).collect();
    let last =
        cells.last().and_then(|last| std::str::from_utf8(last).ok()).and_then(|last| last.split_once('x'));
    let sides = last.and_then(|(h, w)| Some((parse(h.as_bytes())?, parse(w.as_bytes())?)));
    let sides = sides.map(|(height, width)| (height as usize, width as usize));
    Ok(sides.filter(|(height, width)| height * width == cells.len() - 1))
}

/// Appends the example of one line, which has at least two cells.
fn read_example(path: &Path, number: u64, line: &[u8], split: &mut Split) -> Result<(), ImportError> {
    let mut cells = line.split(|&byte| byte == b',').map(clean);
    let label = cells.next().unwrap_or_default();
    let wrong = |column: usize, cell: &[u8], max: u32| {
        let what = format!("column {column} of line {number}");
        mismatch(path, what, shown(cell), format!("a whole number, 0 to {max}"))
    };
    let max = MAX_CLASSES - 1;
    let value = parse(label).and_then(|value| u16::try_from(value).ok()).filter(|&value| value <= max);
    split.labels.push(value.ok_or_else(|| wrong(1, label, u32::from(max)))?);
    for (column, cell) in (2..).zip(cells) {
        let value = parse(cell).and_then(|value| u8::try_from(value).ok());
        split.pixels.push(value.ok_or_else(|| wrong(column, cell, u32::from(u8::MAX)))?);
    }
    Ok(())
}

/// Without the space around it, then without quotes.
fn clean(cell: &[u8]) -> &[u8] {
    let cell = cell.trim_ascii();
    match cell {
        [b'"', inside @ .., b'"'] => inside,
        _ => cell,
    }
}

fn parse(cell: &[u8]) -> Option<u32> {
    let plain = !cell.is_empty() && cell.len() <= MAX_DIGITS && cell.iter().all(u8::is_ascii_digit);
    plain.then(|| cell.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}

fn shown(cell: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(cell).chars().take(MAX_SHOWN_CHARS).collect::<String>())
}

/// The lines of a file, one at a time in one buffer.
struct Lines {
    path: PathBuf,
    reader: Take<BufReader<Box<dyn Read>>>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, ImportError> {
        // One byte more than allowed: to see that there is more.
        let reader = BufReader::new(open_maybe_gzip(path, MAX_FILE_BYTES)?).take(MAX_FILE_BYTES + 1);
        Ok(Self { path: path.to_owned(), reader, line: Vec::new(), number: 0 })
    }

    /// The next line and its number from 1, without its end; blank lines are passed over only at the end of the file.
    fn next(&mut self) -> Result<Option<(u64, &[u8])>, ImportError> {
        if !self.read_line()? {
            return Ok(None);
        }
        let number = self.number;
        if self.line.trim_ascii().is_empty() {
            while self.read_line()? {
                if !self.line.trim_ascii().is_empty() {
                    return Err(mismatch(&self.path, format!("line {number}"), "blank", "an example"));
                }
            }
            return Ok(None);
        }
        let line = if number == 1 { self.line.strip_prefix(b"\xef\xbb\xbf") } else { None };
        Ok(Some((number, line.unwrap_or(&self.line))))
    }

    /// Reads the next line into the buffer; `false` at the end.
    fn read_line(&mut self) -> Result<bool, ImportError> {
        self.line.clear();
        let mut limited = (&mut self.reader).take(MAX_LINE_BYTES as u64 + 1);
        let read = limited.read_until(b'\n', &mut self.line);
        let read = read.map_err(|source| io_error("read", &self.path, source))?;
        if self.reader.limit() == 0 {
            let (path, found) = (self.path.clone(), MAX_FILE_BYTES + 1);
            return Err(ImportError::Expands { path, found, max: MAX_FILE_BYTES });
        }
        self.number += 1;
        if read > MAX_LINE_BYTES {
            let what = format!("the length of line {}", self.number);
            return Err(mismatch(&self.path, what, format!("more than {MAX_LINE_BYTES} bytes"), "less"));
        }
        Ok(read > 0)
    }
}
