//! Rebuilds the crate when a migration changes. A new migration alone changes no Rust file, so without this
//! the old set would stay embedded.

fn main() {
    println!("cargo:rerun-if-changed=../../db/recommendations");
}
