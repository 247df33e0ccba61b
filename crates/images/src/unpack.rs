//! Unpacks one layer into its own directory, as overlayfs wants it.
//!
//! Nothing is created through a symbolic link that leaves the directory; names with `..` are refused.

use std::{
    collections::HashMap,
    ffi::{CStr, CString, OsStr},
    io::{self, Read},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Component, Path, PathBuf},
};

use tar::{Archive, Entry, EntryType};

use crate::{Error, Result, root::Root};

/// No layer of a sane image unpacks to more.
const LAYER_LIMIT_BYTES: u64 = 64 << 30;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Unpacks; answers the bytes of file content. `lower` are the directories of the layers below, nearest first.
pub(crate) fn unpack(stream: impl Read, into: &Path, lower: &[PathBuf]) -> Result<u64> {
    let root = Root::open(into).map_err(Error::io("open", into))?;
    let mut unpacking = Unpacking { root, lower, times: HashMap::new(), bytes: 0 };
    let mut archive = Archive::new(stream);
    for entry in archive.entries().map_err(|source| Error::Layer { source })? {
        let mut entry = entry.map_err(|source| Error::Layer { source })?;
        unpacking.entry(&mut entry)?;
    }
    unpacking.finish()
}

struct Unpacking<'a> {
    root: Root,
    lower: &'a [PathBuf],
    /// Times of directories, set last: filling a directory changes them.
    times: HashMap<PathBuf, i64>,
    bytes: u64,
}

/// The path without a leading slash or dots; None for the root itself.
fn clean(path: &Path) -> Result<Option<PathBuf>> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(Error::Escape { entry: path.display().to_string() });
            }
        }
    }
    Ok((!clean.as_os_str().is_empty()).then_some(clean))
}

fn c(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Path of an open descriptor for the calls that take no directory descriptor.
fn proc_path(dir: &OwnedFd, name: &CStr) -> io::Result<CString> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    Ok(CString::new(path)?)
}

impl Unpacking<'_> {
    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<()> {
        let path = entry.path().map_err(|source| Error::Layer { source })?.into_owned();
        let shown = || path.display().to_string();
        let Some(path) = clean(&path)? else { return Ok(()) };
        if entry.header().entry_type().is_pax_global_extensions() {
            return Ok(());
        }
        let link = entry.link_name().map_err(|source| Error::Layer { source })?.map(|link| link.into_owned());
        let hard = match (entry.header().entry_type(), &link) {
            (EntryType::Link, Some(link)) => clean(link)?,
            _ => None,
        };
        self.bytes += entry.size();
        if self.bytes > LAYER_LIMIT_BYTES {
            return Err(Error::TooLarge { limit: LAYER_LIMIT_BYTES });
        }
        self.make(&path, entry, link.as_deref(), hard.as_deref())
            .map_err(|source| Error::Unpack { entry: shown(), source })
    }

    fn make<R: Read>(
        &mut self,
        path: &Path,
        entry: &mut Entry<'_, R>,
        link: Option<&Path>,
        hard: Option<&Path>,
    ) -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = self.parent(parent)?;
        if name.as_bytes() == OPAQUE {
            return set_xattr(&proc_path(&dir, c".")?, c"trusted.overlay.opaque", b"y");
        }
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            if hidden.is_empty() || hidden.starts_with(WHITEOUT) || hidden == b"." || hidden == b".." {
                return Ok(());
            }
            let name = CString::new(hidden)?;
            remove(&dir, &name)?;
            // SAFETY: the name is nul-terminated.
            return check(unsafe { libc::mknodat(dir.as_raw_fd(), name.as_ptr(), libc::S_IFCHR, 0) });
        }
        let name = c(name)?;
        let header = entry.header().clone();
        let kind = header.entry_type();
        let mode = header.mode()? & 0o7777;
        if kind != EntryType::Directory {
            remove(&dir, &name)?;
        }
        let at = dir.as_raw_fd();
        match kind {
            EntryType::Directory => self.make_directory(path, &dir, &name, header.mtime()? as i64)?,
            EntryType::Symlink => {
                let target = c(link.ok_or(io::ErrorKind::InvalidData)?.as_os_str())?;
                // SAFETY: both names are nul-terminated.
                check(unsafe { libc::symlinkat(target.as_ptr(), at, name.as_ptr()) })?;
            }
            EntryType::Link => {
                let target = hard.ok_or(io::ErrorKind::InvalidData)?;
                let from = self.root.directory(target.parent().unwrap_or(Path::new("")))?;
                let target = c(target.file_name().ok_or(io::ErrorKind::InvalidData)?)?;
                // SAFETY: both names are nul-terminated. Without AT_SYMLINK_FOLLOW a final link is not followed.
                return check(unsafe { libc::linkat(from.as_raw_fd(), target.as_ptr(), at, name.as_ptr(), 0) });
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let (kind, device) = match kind {
                    EntryType::Fifo => (libc::S_IFIFO, 0),
                    other => (
                        if other == EntryType::Char { libc::S_IFCHR } else { libc::S_IFBLK },
                        libc::makedev(header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0)),
                    ),
                };
                // SAFETY: the name is nul-terminated.
                check(unsafe { libc::mknodat(at, name.as_ptr(), kind | mode, device) })?;
            }
            _ => {
                // SAFETY: the name is nul-terminated; O_EXCL and O_NOFOLLOW make a fresh file here and nowhere else.
                let fd = unsafe {
                    libc::openat(
                        at,
                        name.as_ptr(),
                        libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC,
                        0o600,
                    )
                };
                check(fd)?;
                // SAFETY: the descriptor is fresh and ours.
                let mut file = unsafe { std::fs::File::from_raw_fd(fd) };
                io::copy(entry, &mut file)?;
            }
        }
        self.attributes(entry, &dir, &name, kind, mode)
    }

    fn make_directory(&mut self, path: &Path, dir: &OwnedFd, name: &CStr, mtime: i64) -> io::Result<()> {
        // SAFETY: the name is nul-terminated.
        let made = check(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), 0o755) });
        if let Err(error) = made {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(error);
            }
            // SAFETY: stat is plain numbers, for which zero is valid.
            let mut stat: libc::stat = unsafe { std::mem::zeroed() };
            // SAFETY: the name is nul-terminated and `stat` lives through the call.
            check(unsafe { libc::fstatat(dir.as_raw_fd(), name.as_ptr(), &raw mut stat, libc::AT_SYMLINK_NOFOLLOW) })?;
            if stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
                remove(dir, name)?;
                // SAFETY: the name is nul-terminated.
                check(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), 0o755) })?;
            }
        }
        self.times.insert(path.to_owned(), mtime);
        Ok(())
    }

    fn attributes<R: Read>(
        &self,
        entry: &mut Entry<'_, R>,
        dir: &OwnedFd,
        name: &CStr,
        kind: EntryType,
        mode: u32,
    ) -> io::Result<()> {
        let header = entry.header().clone();
        let at = dir.as_raw_fd();
        let (uid, gid) = (header.uid()? as u32, header.gid()? as u32);
        // SAFETY: the name is nul-terminated; the last component is not followed.
        check(unsafe { libc::fchownat(at, name.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW) })?;
        if kind == EntryType::Symlink {
            return set_mtime(at, name, header.mtime()? as i64);
        }
        // After the owner, since a change of owner clears set-user-id bits. We made the entry, so it is no link.
        // SAFETY: the name is nul-terminated.
        check(unsafe { libc::fchmodat(at, name.as_ptr(), mode, 0) })?;
        let mut attributes = Vec::new();
        if let Some(extensions) = entry.pax_extensions()? {
            for extension in extensions {
                let extension = extension?;
                if let Some(key) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.") {
                    attributes.push((CString::new(key)?, extension.value_bytes().to_vec()));
                }
            }
        }
        for (key, value) in attributes {
            // Overlay's own attributes in a layer would let it reach into others.
            if !key.to_bytes().starts_with(b"trusted.overlay.") {
                set_xattr(&proc_path(dir, name)?, &key, &value)?;
            }
        }
        if kind == EntryType::Directory { Ok(()) } else { set_mtime(at, name, header.mtime()? as i64) }
    }

    /// Opens a directory inside, making it if the layer does not mention it: like the one it hides below.
    fn parent(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.root.directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != Path::new("") => {}
            opened => return opened,
        }
        let above = self.parent(path.parent().unwrap_or(Path::new("")))?;
        let name = c(path.file_name().ok_or(io::ErrorKind::InvalidInput)?)?;
        // SAFETY: the name is nul-terminated.
        check(unsafe { libc::mkdirat(above.as_raw_fd(), name.as_ptr(), 0o755) })?;
        let below = self.lower.iter().filter_map(|lower| lower.join(path).symlink_metadata().ok());
        if let Some(like) = below.into_iter().find(|meta| meta.is_dir()) {
            let at = above.as_raw_fd();
            // SAFETY: the name is nul-terminated.
            check(unsafe { libc::fchownat(at, name.as_ptr(), like.uid(), like.gid(), libc::AT_SYMLINK_NOFOLLOW) })?;
            // SAFETY: the name is nul-terminated.
            check(unsafe { libc::fchmodat(at, name.as_ptr(), like.mode() & 0o7777, 0) })?;
        }
        self.root.directory(path)
    }

    fn finish(self) -> Result<u64> {
        for (path, mtime) in &self.times {
            let set = || {
                let dir = self.root.directory(path.parent().unwrap_or(Path::new("")))?;
                set_mtime(dir.as_raw_fd(), &c(path.file_name().ok_or(io::ErrorKind::InvalidInput)?)?, *mtime)
            };
            match set() {
                // A later entry may have replaced the directory.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Unpack { entry: path.display().to_string(), source: error });
                }
                _ => {}
            }
        }
        Ok(self.bytes)
    }
}

fn set_mtime(at: i32, name: &CStr, seconds: i64) -> io::Result<()> {
    let time = libc::timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = [time, time];
    // SAFETY: the name is nul-terminated and `times` has the two elements the call reads.
    check(unsafe { libc::utimensat(at, name.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) })
}

fn set_xattr(path: &CStr, key: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: path and key are nul-terminated; value is described by its length.
    check(unsafe { libc::lsetxattr(path.as_ptr(), key.as_ptr(), value.as_ptr().cast(), value.len(), 0) })
}

/// Removes whatever an earlier entry of the same layer left under the name.
fn remove(dir: &OwnedFd, name: &CStr) -> io::Result<()> {
    // SAFETY: the name is nul-terminated.
    let removed = check(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), 0) });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EISDIR) => {
            // remove_dir_all follows no links below this component, and the component is a directory.
            let path = proc_path(dir, name)?;
            std::fs::remove_dir_all(Path::new(OsStr::from_bytes(path.to_bytes())))
        }
        other => other,
    }
}
