//! Prints the OpenAPI document: `cargo run -p motif-server --example openapi > web/openapi.json`.

fn main() {
    print!("{}", motif_server::openapi_json());
}
