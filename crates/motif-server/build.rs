//! Makes sure that the dashboard's folder exists, so that the server builds before (or without) the dashboard.

use std::{fs, io, path::Path};

const PLACEHOLDER: &str = "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>Motif</title></head>
<body>
<h1>The dashboard is not built</h1>
<p>The server is running and its API is at <code>/api/v1</code>.</p>
<p>To build the dashboard, run <code>npm ci</code> and <code>npm run build</code> in the folder <code>web</code>
(or <code>cargo xtask demo</code>, which does everything), then build the server again.</p>
</body>
</html>
";

fn main() -> io::Result<()> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=build.rs");
    let index = dist.join("index.html");
    if !index.exists() {
        fs::create_dir_all(&dist)?;
        fs::write(&index, PLACEHOLDER)?;
    }
    Ok(())
}
