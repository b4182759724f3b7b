//! A dataset of MNIST's size and shape, for who has no MNIST: ten blurred prototypes under noise, as IDX files.

use std::{fs, path::Path};

use anyhow::Context as _;

const SIDE: usize = 28;
const CLASSES: usize = 10;
const SPLITS: [(&str, usize); 2] = [("train", 60_000), ("t10k", 10_000)];
const SEED: u64 = 2412;
/// Bright spots of a prototype.
const SPOTS: usize = 6;
/// Distance at which a spot has faded, in pixels.
const SPOT_REACH: f64 = 5.0;

/// Writes the four files.
pub(crate) fn write(folder: &Path) -> anyhow::Result<()> {
    let mut random = Random(SEED);
    let prototypes: Vec<Vec<u8>> = (0..CLASSES).map(|_| prototype(&mut random)).collect();
    for (part, examples) in SPLITS {
        let mut images = header(&[examples, SIDE, SIDE]);
        let mut labels = header(&[examples]);
        for _ in 0..examples {
            let class = random.below(CLASSES);
            labels.push(u8::try_from(class)?);
            for block in prototypes[class].chunks(8) {
                let noise = random.next().to_le_bytes();
                images.extend(block.iter().zip(noise).map(|(pixel, noise)| pixel.saturating_add(noise / 2)));
            }
        }
        for (name, content) in [("images-idx3", images), ("labels-idx1", labels)] {
            let path = folder.join(format!("{part}-{name}-ubyte"));
            fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// An IDX file of bytes begins like this.
fn header(dimensions: &[usize]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|&dimension| (dimension as u32).to_be_bytes()));
    bytes
}

fn prototype(random: &mut Random) -> Vec<u8> {
    let spots: Vec<[f64; 2]> =
        (0..SPOTS).map(|_| [random.below(SIDE) as f64, random.below(SIDE) as f64]).collect();
    let bright = |row: usize, column: usize| {
        let nearest =
            spots.iter().map(|[r, c]| (row as f64 - r).hypot(column as f64 - c)).fold(f64::MAX, f64::min);
        (128.0 * (1.0 - nearest / SPOT_REACH).max(0.0)) as u8
    };
    (0..SIDE * SIDE).map(|pixel| bright(pixel / SIDE, pixel % SIDE)).collect()
}

/// A seeded sequence (splitmix64); not for secrets.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_have_mnists_size() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        for (name, size) in [
            ("train-images-idx3-ubyte", 47_040_016),
            ("train-labels-idx1-ubyte", 60_008),
            ("t10k-images-idx3-ubyte", 7_840_016),
            ("t10k-labels-idx1-ubyte", 10_008),
        ] {
            assert_eq!(fs::metadata(folder.path().join(name)).unwrap().len(), size, "{name}");
        }
    }
}
