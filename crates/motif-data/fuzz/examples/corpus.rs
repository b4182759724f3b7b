//! Writes the corpora: `cargo run --example corpus` in this folder.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    for (target, inputs) in motif_data_fuzz::corpus::all() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        for (index, input) in inputs.iter().enumerate() {
            fs::write(folder.join(format!("seed-{index:02}")), input)?;
        }
        println!("{}: {} files", folder.display(), inputs.len());
    }
    Ok(())
}
