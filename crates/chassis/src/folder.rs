use std::path::Path;

/// Makes a folder, and what is missing above it, for the owner of this process alone: what is kept there holds e-mails and hashes.
/// A folder that is there already keeps its rights.
///
/// # Errors
/// Where the operating system refuses.
pub fn make_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
