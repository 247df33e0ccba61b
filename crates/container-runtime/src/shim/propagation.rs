//! Whether a container sees what the host mounts later, and the other way round. libcontainer reads the options for it
//! and does nothing with them: a mount of a container is as its source is. So the helper that calls it goes into a mount
//! namespace of its own first, and there makes the sources as they shall be.

use std::{
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::protocol::Propagating;

/// Leaves the mount namespace for a copy in which only these sources receive or send mounts.
pub(super) fn enter(sources: &[Propagating]) -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|e| format!("cannot make a mount namespace: {e}"))?;
    let mut sources: Vec<&Propagating> = sources.iter().collect();
    // What is inside of another goes on top of it.
    sources.sort_by_key(|source| source.path.as_os_str().len());
    let copied = sources.iter().map(|source| {
        let failed = |error| format!("cannot copy the mount {}: {error}", source.path.display());
        copy(source).map_err(failed)
    });
    let copied = copied.collect::<Result<Vec<(OwnedFd, PathBuf)>, String>>()?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(|e| format!("cannot make mounts private: {e}"))?;
    for (tree, path) in copied {
        attach(&tree, &path).map_err(|error| format!("cannot attach the mount {}: {error}", path.display()))?;
    }
    Ok(())
}

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A detached copy of the mounts at the source, which receives from where it receives and, if asked, sends there.
fn copy(source: &Propagating) -> io::Result<(OwnedFd, PathBuf)> {
    let path = source.path.canonicalize()?;
    let name = c(&path)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as u32;
    // SAFETY: the name is nul-terminated and lives through the call.
    let tree = checked(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, name.as_ptr(), flags) })?;
    let tree = i32::try_from(tree).map_err(io::Error::other)?;
    // SAFETY: the descriptor is fresh and ours.
    let tree = unsafe { OwnedFd::from_raw_fd(tree) };
    if !source.sends {
        let slave = libc::mount_attr { attr_set: 0, attr_clr: 0, propagation: libc::MS_SLAVE, userns_fd: 0 };
        let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
        // SAFETY: the pointer and size describe `slave`, which lives through the call; the path is a literal.
        checked(unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                tree.as_raw_fd(),
                c"".as_ptr(),
                flags,
                &raw const slave,
                size_of::<libc::mount_attr>(),
            )
        })?;
    }
    Ok((tree, path))
}

/// Puts the copy on top of what it was made of.
fn attach(tree: &OwnedFd, path: &Path) -> io::Result<()> {
    let name = c(path)?;
    // SAFETY: both paths are nul-terminated and live through the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            name.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
    .map(|_| ())
}

fn c(path: &Path) -> io::Result<std::ffi::CString> {
    Ok(std::ffi::CString::new(path.as_os_str().as_bytes())?)
}
