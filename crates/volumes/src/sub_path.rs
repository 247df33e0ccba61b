//! A file or directory inside a volume, mounted on its own, safe against links a container plants in the volume.
//!
//! The path is resolved by the kernel with `RESOLVE_BENEATH`, and what was resolved (the descriptor, not the name) is
//! bound on a directory only the node can write to; the runtime gets that one.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    mount::{MntFlags, umount2},
    sys::stat::{FileStat, Mode, fstat, mkdirat},
};

use crate::{Error, mounts};

/// Which mount of which container wants what.
pub struct SubPath<'a> {
    /// The root of the volume on the node.
    pub volume_path: &'a Path,
    pub sub_path: &'a str,
    pub pod_dir: &'a Path,
    pub volume: &'a str,
    pub container: &'a str,
    /// The index among the container's volume mounts.
    pub index: usize,
}

/// Returns the path to hand to the runtime. Missing directories are created, as upstream does.
pub fn bind_sub_path(request: &SubPath<'_>) -> Result<PathBuf, Error> {
    let root =
        nix::fcntl::open(request.volume_path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(Error::errno("opening", request.volume_path))?;
    let found = open_or_create(&root, request)?;
    let what = fstat(&found).map_err(Error::errno("reading", request.sub_path))?;
    let target = request
        .pod_dir
        .join("volume-subpaths")
        .join(request.volume)
        .join(request.container)
        .join(request.index.to_string());
    if !prepare_target(&target, &what)? {
        mounts::bind(Path::new(&format!("/proc/self/fd/{}", found.as_raw_fd())), &target)?;
    }
    Ok(target)
}

fn open_or_create(root: &OwnedFd, request: &SubPath<'_>) -> Result<OwnedFd, Error> {
    match beneath(root, Path::new(request.sub_path), request) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        done => return done,
    }
    let mode = fs::metadata(request.volume_path).map_err(Error::io("reading", request.volume_path))?;
    let mode = Mode::from_bits_truncate(mode.permissions().mode() & 0o777);
    let mut so_far = PathBuf::new();
    let mut parent = None;
    for part in Path::new(request.sub_path).components() {
        so_far.push(part);
        let at = parent.as_ref().unwrap_or(root);
        let next = match beneath(root, &so_far, request) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                match mkdirat(at, part.as_os_str(), mode) {
                    Ok(()) | Err(Errno::EEXIST) => beneath(root, &so_far, request)?,
                    Err(errno) => return Err(Error::errno("creating", request.sub_path)(errno)),
                }
            }
            found => found?,
        };
        parent = Some(next);
    }
    parent.ok_or_else(|| Error::BadPath { path: request.sub_path.to_owned() })
}

fn beneath(root: &OwnedFd, path: &Path, request: &SubPath<'_>) -> Result<OwnedFd, Error> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    // The kernel answers EAGAIN when a rename raced with the walk.
    for _ in 0..16 {
        match openat2(root, path, how) {
            Err(Errno::EAGAIN) => {}
            Err(Errno::EXDEV | Errno::ELOOP) => return Err(Error::Escapes { sub_path: request.sub_path.to_owned() }),
            done => return done.map_err(Error::errno("opening", request.volume_path.join(path))),
        }
    }
    Err(Error::errno("opening", request.volume_path.join(path))(Errno::EAGAIN))
}

/// Makes the mount point. Returns true where the right thing is bound there already.
fn prepare_target(target: &Path, what: &FileStat) -> Result<bool, Error> {
    if let Ok(now) = fs::symlink_metadata(target) {
        if now.dev() == what.st_dev && now.ino() == what.st_ino {
            return Ok(true);
        }
        match umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(Error::errno("unmounting", target)(errno)),
        }
        let plain = fs::symlink_metadata(target).map_err(Error::io("reading", target))?;
        let gone = if plain.is_dir() { fs::remove_dir(target) } else { fs::remove_file(target) };
        gone.map_err(Error::io("removing", target))?;
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(Error::io("creating", parent))?;
    }
    let is_dir = what.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let made = if is_dir { fs::create_dir(target) } else { fs::File::create_new(target).map(drop) };
    made.map_err(Error::io("creating", target))?;
    Ok(false)
}
