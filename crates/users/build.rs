//! Makes cargo compile this crate again when a migration changes: `sqlx::migrate!` embeds them.

fn main() {
    println!("cargo:rerun-if-changed=../../db/users");
}
