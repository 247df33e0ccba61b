//! The ends of a container's standard streams that the shim holds.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::socket::{AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept, bind, listen, socket},
};

/// Input held for a container that does not read; its senders wait.
pub(super) const PENDING_BYTES: usize = 64 * 1024;

pub(super) fn nonblocking(fd: &impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// What a read from a stream gave.
pub(super) enum Got {
    Bytes(usize),
    Nothing,
    End,
}

pub(super) fn read(from: &mut File, buffer: &mut [u8]) -> Got {
    match from.read(buffer) {
        Ok(0) => Got::End,
        Ok(n) => Got::Bytes(n),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Got::Nothing,
        // A terminal whose last user is gone reads as EIO.
        Err(_) => Got::End,
    }
}

/// Writes what fits; answers how much, or None if the other end is gone.
pub(super) fn write(to: &mut File, bytes: &[u8]) -> Option<usize> {
    match to.write(bytes) {
        Ok(n) => Some(n),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Some(0),
        Err(_) => None,
    }
}

/// A socket for libcontainer to send the master of a terminal to.
pub(super) struct ConsoleSocket(OwnedFd);

impl ConsoleSocket {
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        listen(&fd, Backlog::new(1)?)?;
        Ok(Self(fd))
    }

    pub(super) fn master(&self) -> io::Result<File> {
        use std::os::fd::FromRawFd as _;
        nonblocking(&self.0)?;
        let connection = accept(self.0.as_raw_fd())?;
        // SAFETY: the descriptor is fresh and ours.
        let connection = unsafe { OwnedFd::from_raw_fd(connection) };
        let mut byte = [0u8; 64];
        let mut space = nix::cmsg_space!([i32; 1]);
        let mut slices = [io::IoSliceMut::new(&mut byte)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let got = nix::sys::socket::recvmsg::<UnixAddr>(connection.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
        for control in got.cmsgs()? {
            if let nix::sys::socket::ControlMessageOwned::ScmRights(rights) = control
                && let Some(fd) = rights.first()
            {
                // SAFETY: the kernel just put this descriptor into our table for us to own.
                return Ok(unsafe { File::from_raw_fd(*fd) });
            }
        }
        Err(io::Error::other("no terminal was sent"))
    }
}

pub(super) fn resize(terminal: &File, width: u16, height: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request reads `size`, which lives through the call.
    if unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
