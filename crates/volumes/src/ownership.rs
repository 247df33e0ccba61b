//! Group ownership of a volume (`fsGroup`), as upstream sets it.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown},
    path::Path,
};

use crate::Error;

const SETGID: u32 = 0o2000;

/// Gives `path` and all below to `group`: readable by it, writable unless `read_only`, and directories hand the group
/// on to what is made in them. Symbolic links are never followed.
pub(crate) fn give_to_group(path: &Path, group: u32, read_only: bool) -> Result<(), Error> {
    own_one(path, group, read_only).map_err(Error::io("changing the group of", path))?;
    if !fs::symlink_metadata(path).map_err(Error::io("reading", path))?.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(Error::io("reading", path))? {
        give_to_group(&entry.map_err(Error::io("reading", path))?.path(), group, read_only)?;
    }
    Ok(())
}

/// The same for one directory or file alone.
pub(crate) fn own_one(path: &Path, group: u32, read_only: bool) -> io::Result<()> {
    let now = fs::symlink_metadata(path)?;
    lchown(path, None, Some(group))?;
    if now.is_symlink() {
        return Ok(());
    }
    let mut mode = now.mode() & 0o7777 | if read_only { 0o440 } else { 0o660 };
    if now.is_dir() {
        mode |= SETGID | 0o110;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Whether the root of the volume already bears the group, so that a long walk is not repeated on every sync.
pub(crate) fn root_matches(path: &Path, group: u32) -> io::Result<bool> {
    let now = fs::symlink_metadata(path)?;
    Ok(now.gid() == group && now.mode() & SETGID != 0)
}
