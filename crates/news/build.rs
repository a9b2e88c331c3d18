//! Migrations are compiled in: a new file in `db/news` must lead to a new build.

fn main() {
    println!("cargo:rerun-if-changed=../../db/news");
}
