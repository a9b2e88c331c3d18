//! `sqlx::migrate!` puts the migrations into the program when it is compiled; cargo has to be told that they changed.

fn main() {
    println!("cargo:rerun-if-changed=../../db/users");
}
