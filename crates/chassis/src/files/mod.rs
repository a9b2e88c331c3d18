//! Files and folders that belong to the process alone.

mod folder;
#[cfg(unix)]
mod ownership;
mod parent;
mod private;

pub use folder::{FOLDER_LOCK, claim_folder, make_private_folder};
pub(crate) use parent::folder_of;
pub(crate) use private::close_to_others;
pub use private::{keep_files_private, open_private, read_secret, replace_private, write_private};
