fn main() {
    let d = motif_data::glyphs::generate();
    println!("{}", d.content_hash());
    std::fs::write("/tmp/glyphs.bin", d.to_bytes()).unwrap();
}
