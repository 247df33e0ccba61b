//! Writes a set of files so that a reader sees the old set or the new one, never a mixture.
//!
//! Layout, as upstream has it (readers depend on it): `..<time>.<random>/` holds the files, `..data` is a symbolic link
//! to it that is replaced by a rename, and each top-level name is a link to `..data/<name>`.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

use crate::{
    Error, ownership,
    payload::{File, Payload},
};

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Makes the directory show exactly `payload`. Returns whether anything changed.
pub(crate) fn write(dir: &Path, payload: &Payload, group: Option<u32>) -> Result<bool, Error> {
    write_files(dir, payload, group).map_err(Error::io("writing the volume", dir))
}

fn write_files(dir: &Path, payload: &Payload, group: Option<u32>) -> io::Result<bool> {
    let data = dir.join(DATA);
    let old = match fs::read_link(&data) {
        Ok(name) => Some(dir.join(name)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let unchanged = match &old {
        Some(old) => shows(old, payload)?,
        None => false,
    };
    if !unchanged {
        let new = new_directory(dir)?;
        for (path, file) in payload {
            write_one(&new, path, file)?;
        }
        if let Some(group) = group {
            ownership::give_to_group(&new, group, true).map_err(io::Error::other)?;
        }
        // A crash may have left the temporary link.
        remove_if_there(&dir.join(NEW_DATA))?;
        symlink(new.file_name().unwrap_or_default(), dir.join(NEW_DATA))?;
        fs::rename(dir.join(NEW_DATA), &data)?;
    }
    let names: BTreeSet<&str> = payload.keys().filter_map(|p| p.split('/').next()).collect();
    show_names(dir, &names)?;
    remove_strays(dir, &names)?;
    Ok(!unchanged)
}

/// Whether the directory already holds exactly these files.
fn shows(dir: &Path, payload: &Payload) -> io::Result<bool> {
    let mut found = 0;
    let mut pending = vec![dir.to_owned()];
    while let Some(next) = pending.pop() {
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e),
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).ok().and_then(Path::to_str);
            let Some(file) = name.and_then(|n| payload.get(n)) else { return Ok(false) };
            if fs::read(&path)? != file.data {
                return Ok(false);
            }
            found += 1;
        }
    }
    Ok(found == payload.len())
}

/// A fresh, uniquely named directory; the kernel refuses a name that exists.
fn new_directory(dir: &Path) -> io::Result<PathBuf> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    for salt in 0..1000u32 {
        let path = dir.join(format!("..{}_{:09}.{salt}", now.as_secs(), now.subsec_nanos()));
        match fs::DirBuilder::new().mode(0o755).create(&path) {
            // The umask may have taken bits away.
            Ok(()) => return fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map(|()| path),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free name for a new version"))
}

fn write_one(root: &Path, path: &str, file: &File) -> io::Result<()> {
    let target = root.join(path);
    if let Some(parent) = target.parent().filter(|p| *p != root) {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target)?;
    out.write_all(&file.data)?;
    out.set_permissions(fs::Permissions::from_mode(file.mode))?;
    if let Some(user) = file.user {
        chown(&target, Some(user), None)?;
    }
    Ok(())
}

fn show_names(dir: &Path, names: &BTreeSet<&str>) -> io::Result<()> {
    for name in names {
        match symlink(Path::new(DATA).join(name), dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Removes links to names that are gone, and every version but the present one, those a crash left included.
fn remove_strays(dir: &Path, names: &BTreeSet<&str>) -> io::Result<()> {
    let present = fs::read_link(dir.join(DATA))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let text = name.to_string_lossy();
        if name == DATA || name == *present || names.contains(text.as_ref()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(path)?;
        } else {
            remove_if_there(&path)?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
