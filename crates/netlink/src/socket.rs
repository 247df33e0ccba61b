//! A netlink socket. It belongs to the network namespace in which it was opened, whoever uses it.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use crate::{
    Error, Namespace, Result,
    message::{Answer, Message, split, u32_at},
};

/// The kernel answers at once; a socket that hangs longer is broken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const BUFFER_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// A routing socket in the namespace of the calling thread.
    pub fn open() -> Result<Self> {
        Self::open_family(libc::NETLINK_ROUTE)
    }

    /// A routing socket in another namespace.
    pub fn open_in(namespace: &Namespace) -> Result<Self> {
        namespace.run(Self::open)?
    }

    pub(crate) fn open_family(family: i32) -> Result<Self> {
        let failed = |source| Error::Netlink { action: "open a socket", source };
        // SAFETY: socket has no memory arguments.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, family) };
        if fd < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        // SAFETY: the descriptor is fresh and ours.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let timeout = libc::timeval { tv_sec: ANSWER_TIMEOUT.as_secs() as libc::time_t, tv_usec: 0 };
        // SAFETY: the pointer and length describe `timeout`, which lives through the call.
        let set = unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                (&raw const timeout).cast(),
                size_of::<libc::timeval>() as libc::socklen_t,
            )
        };
        if set < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        Ok(Self { fd, sequence: 0 })
    }

    fn send(&mut self, message: Message) -> io::Result<u32> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = message.finish(self.sequence);
        // SAFETY: the pointer and length describe `bytes`.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(self.sequence) }
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0u8; BUFFER_BYTES];
        loop {
            // SAFETY: the pointer and length describe `buffer`.
            let got = unsafe { libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            if got >= 0 {
                buffer.truncate(got as usize);
                return Ok(buffer);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Sends a request that changes something and waits for its acknowledgement.
    pub(crate) fn change(&mut self, message: Message) -> io::Result<()> {
        self.exchange(message, false).map(|_| ())
    }

    /// Sends a request and gathers the answers: one, or all of a dump.
    pub(crate) fn exchange(&mut self, message: Message, dump: bool) -> io::Result<Vec<Answer>> {
        let sequence = self.send(message)?;
        let mut answers = Vec::new();
        loop {
            let datagram = self.receive()?;
            for (of, answer) in split(&datagram) {
                if of != sequence {
                    continue;
                }
                match i32::from(answer.kind) {
                    libc::NLMSG_ERROR => {
                        let code = u32_at(&answer.body, 0) as i32;
                        return if code == 0 { Ok(answers) } else { Err(io::Error::from_raw_os_error(-code)) };
                    }
                    libc::NLMSG_DONE => return Ok(answers),
                    _ => answers.push(answer),
                }
            }
            if !dump && !answers.is_empty() {
                return Ok(answers);
            }
        }
    }
}
