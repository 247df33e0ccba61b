//! Mounts the node makes for volumes, read back from the kernel.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
};

use crate::Error;

/// Mounts a tmpfs that is never swapped where the kernel can promise it. `size` is in bytes.
pub(crate) fn tmpfs(target: &Path, size: Option<i64>) -> Result<(), Error> {
    let size = size.map(|s| format!("size={s}"));
    let with_noswap = size.iter().map(String::as_str).chain(["noswap"]).collect::<Vec<_>>().join(",");
    let flags = MsFlags::empty();
    match mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(with_noswap.as_str())) {
        // Kernels before 6.4 do not know noswap.
        Err(Errno::EINVAL) => mount(Some("tmpfs"), target, Some("tmpfs"), flags, size.as_deref()),
        done => done,
    }
    .map_err(Error::errno("mounting tmpfs on", target))
}

/// Binds what `source` names (a `/proc/self/fd` link) on `target`.
pub(crate) fn bind(source: &Path, target: &Path) -> Result<(), Error> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(Error::errno("binding on", target))
}

/// Whether `path` is the root of a mount other than its parent's. Bind mounts within one file system do not show here.
pub(crate) fn is_own_filesystem(path: &Path) -> io::Result<bool> {
    let Some(parent) = path.parent() else { return Ok(true) };
    Ok(fs::symlink_metadata(path)?.dev() != fs::symlink_metadata(parent)?.dev())
}

/// Mount points at or below `dir`, deepest last as the kernel lists them (in order of mounting).
pub(crate) fn below(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let table = fs::read_to_string("/proc/self/mountinfo").map_err(Error::io("reading", "/proc/self/mountinfo"))?;
    Ok(table.lines().filter_map(mount_point).filter(|p| p.starts_with(dir)).collect())
}

/// Takes away every mount at or below `dir`. Lazily: what a dying process still holds open ends with it, while the
/// name is free at once.
pub(crate) fn detach_below(dir: &Path) -> Result<(), Error> {
    for point in below(dir)?.into_iter().rev() {
        match umount2(&point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // Not mounted any more: another mount above it took it along.
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(errno) => return Err(Error::errno("unmounting", point)(errno)),
        }
    }
    Ok(())
}

/// The fifth field of a mountinfo line, with the kernel's octal escapes undone.
fn mount_point(line: &str) -> Option<PathBuf> {
    let raw = line.split(' ').nth(4)?.as_bytes();
    let mut path = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let escape = raw.get(at + 1..at + 4).filter(|_| raw[at] == b'\\').and_then(|d| std::str::from_utf8(d).ok());
        match escape.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                at += 4;
            }
            None => {
                path.push(raw[at]);
                at += 1;
            }
        }
    }
    Some(PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_unescaped() {
        let line = r"36 35 98:0 / /mnt/a\040b\134c rw - tmpfs tmpfs rw";
        assert_eq!(mount_point(line), Some(PathBuf::from(r"/mnt/a b\c")));
    }
}
