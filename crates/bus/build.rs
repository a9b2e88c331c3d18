//! Migrations are compiled in: a new file in `db/bus` must lead to a new build.

fn main() {
    println!("cargo:rerun-if-changed=../../db/bus");
}
