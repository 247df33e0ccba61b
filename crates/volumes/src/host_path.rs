//! A path of the node itself. Nothing is mounted and nothing is ever removed.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use api::core::v1::HostPathVolumeSource;

use crate::Error;

pub(crate) fn set_up(source: &HostPathVolumeSource) -> Result<PathBuf, Error> {
    let path = PathBuf::from(&source.path);
    let found = match fs::metadata(&path) {
        Ok(found) => Some(found.file_type()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(Error::io("reading", path)(e)),
    };
    let kind = source.type_.as_deref().unwrap_or_default();
    match (kind, found) {
        ("", _) => return Ok(path),
        ("DirectoryOrCreate", None) => create_directory(&path)?,
        ("FileOrCreate", None) => create_file(&path)?,
        _ => {}
    }
    let now = fs::metadata(&path).map(|m| m.file_type()).ok();
    let is = |check: fn(&fs::FileType) -> bool| now.as_ref().is_some_and(check);
    let (fits, wanted) = match kind {
        "DirectoryOrCreate" | "Directory" => (is(fs::FileType::is_dir), "directory"),
        "FileOrCreate" | "File" => (is(fs::FileType::is_file), "file"),
        "Socket" => (is(FileTypeExt::is_socket), "socket file"),
        "CharDevice" => (is(FileTypeExt::is_char_device), "character device"),
        "BlockDevice" => (is(FileTypeExt::is_block_device), "block device"),
        _ => (false, "known host path type"),
    };
    if fits { Ok(path) } else { Err(Error::HostPathType { path, wanted }) }
}

fn create_directory(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::io("creating", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(Error::io("changing the mode of", path))
}

fn create_file(path: &Path) -> Result<(), Error> {
    // Upstream does not create the parents of a file either.
    let made = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path);
    made.map(drop).map_err(Error::io("creating", path))
}
