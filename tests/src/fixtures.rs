//! Small inputs that the tests write themselves.

use std::{fs, path::Path};

use motif_data::{Dataset, Split};

/// Writes the first examples of the built-in glyphs as MNIST's four IDX files, so that the reader, the upload and the
/// fetch are those of a real dataset, and the networks have something to learn.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_idx(folder: &Path, train: usize, test: usize) -> anyhow::Result<()> {
    let glyphs: Dataset = motif_data::glyphs::generate();
    fs::create_dir_all(folder)?;
    write_split(folder, "train", glyphs.train(), train)?;
    write_split(folder, "t10k", glyphs.test(), test)
}

fn write_split(folder: &Path, name: &str, split: &Split, n: usize) -> anyhow::Result<()> {
    let count = u32::try_from(n)?.to_be_bytes();
    let side = 28u32.to_be_bytes();
    let mut images = [&[0, 0, 8, 3][..], &count, &side, &side].concat();
    images.extend_from_slice(&split.pixels[..n * 28 * 28]);
    let mut labels = [&[0, 0, 8, 1][..], &count].concat();
    labels.extend(split.labels[..n].iter().map(|&label| u8::try_from(label).expect("ten classes")));
    fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images)?;
    fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels)?;
    Ok(())
}
