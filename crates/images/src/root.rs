//! A directory that nothing resolved in it can leave: symbolic links and `..` stay inside, by the kernel's own word.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

/// Reads a text file of a root file system that is not trusted; None if it is absent. At most `limit` bytes.
pub fn read_inside(root: &Path, path: &Path, limit: usize) -> Option<String> {
    use std::io::Read as _;
    let fd = Root::open(root).ok()?.open_at(path, libc::O_RDONLY | libc::O_NONBLOCK).ok()?;
    let file = std::fs::File::from(fd);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(limit as u64).read_to_string(&mut text).ok()?;
    Some(text)
}

/// An open root.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = std::fs::File::open(path)?;
        Ok(Self(file.into()))
    }

    /// Opens the directory at `path` inside, for use with the `…at` calls.
    pub(crate) fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open_at(path, libc::O_PATH | libc::O_DIRECTORY)
    }

    fn open_at(&self, path: &Path, flags: i32) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: open_how is plain numbers, for which zero is valid.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        how.flags = (flags | libc::O_CLOEXEC) as u64;
        how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
        // SAFETY: the path is nul-terminated and `how` lives through the call with its true size.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                self.0.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is fresh and ours.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }
}
