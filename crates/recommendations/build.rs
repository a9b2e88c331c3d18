//! A new migration alone changes no Rust file: without this the old set would stay embedded.

fn main() {
    println!("cargo:rerun-if-changed=../../db/recommendations");
}
