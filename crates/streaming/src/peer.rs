//! A TCP connection whose peer may vanish without a word: a machine that lost power, a link that was cut.
//!
//! The kernel notices that by itself after a quarter of an hour. `TCP_USER_TIMEOUT` would do it sooner, but also ends
//! connections to peers that live and do not read for a while, such as a container that is slow with its input. So an
//! idle connection has keep-alives, and one with bytes on their way is looked at while they are.

#![allow(unsafe_code, reason = "TCP_INFO has no safe wrapper in nix")]

use std::{
    io,
    os::fd::AsRawFd,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    sys::socket::{Shutdown, setsockopt, shutdown, sockopt},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

/// An idle connection is asked whether its peer lives after so long, so often, and so many times.
const KEEPALIVE_IDLE_SECONDS: u32 = 15;
const KEEPALIVE_INTERVAL_SECONDS: u32 = 5;
const KEEPALIVE_PROBES: u32 = 3;
/// How often a connection with bytes on their way is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A peer that has acknowledged nothing for so long, although asked, is gone.
const SILENCE_MILLISECONDS: u32 = 30_000;
/// As often at least it was asked.
const UNANSWERED: u8 = 3;
/// A peer that lives and reads nothing for so long is let go.
const STALL: Duration = Duration::from_secs(60 * 60);

/// What the kernel knows of the bytes that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    unacknowledged: u32,
    /// Times in a row that they were sent again.
    retransmits: u8,
    /// Times in a row that a peer without room was asked whether it has some, and did not answer.
    probes: u8,
    /// Since the peer acknowledged anything.
    silent_milliseconds: u32,
}

impl Sent {
    fn is_lost(self) -> bool {
        self.retransmits.max(self.probes) >= UNANSWERED && self.silent_milliseconds >= SILENCE_MILLISECONDS
    }
}

/// A TCP stream that ends with an error within about half a minute of its peer's vanishing.
pub struct PeerStream {
    tcp: TcpStream,
    /// When to look next; none while everything was acknowledged.
    look: Option<Pin<Box<Sleep>>>,
    stalled: Option<Instant>,
}

impl PeerStream {
    /// Small messages are sent at once, too.
    pub fn new(tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        setsockopt(&tcp, sockopt::KeepAlive, &true)?;
        setsockopt(&tcp, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE_SECONDS)?;
        setsockopt(&tcp, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL_SECONDS)?;
        setsockopt(&tcp, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)?;
        Ok(Self { tcp, look: None, stalled: None })
    }

    fn sent(&self) -> io::Result<Sent> {
        let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
        let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).expect("a struct is short");
        let (level, option, fd) = (libc::IPPROTO_TCP, libc::TCP_INFO, self.tcp.as_raw_fd());
        // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes.
        Errno::result(unsafe { libc::getsockopt(fd, level, option, info.as_mut_ptr().cast(), &mut length) })?;
        // SAFETY: it is made of integers, and zeroed where an older kernel says nothing.
        let info = unsafe { info.assume_init() };
        Ok(Sent {
            unacknowledged: info.tcpi_unacked,
            retransmits: info.tcpi_retransmits,
            probes: info.tcpi_probes,
            silent_milliseconds: info.tcpi_last_ack_recv,
        })
    }

    fn look_soon(&mut self) {
        if self.look.is_none() {
            self.look = Some(Box::pin(tokio::time::sleep(LOOK_EVERY)));
        }
    }

    /// Fails when the peer is gone. Wakes the task for the next look.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(look) = &mut self.look
            && look.as_mut().poll(cx).is_ready()
        {
            let sent = self.sent()?;
            let stalled = self.stalled.is_some_and(|since| since.elapsed() >= STALL);
            if sent.is_lost() || stalled {
                // The other half of a split stream may wait in another task; now it ends too.
                shutdown(self.tcp.as_raw_fd(), Shutdown::Both)?;
                let why = if stalled { "the peer reads nothing" } else { "the peer has stopped answering" };
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            let busy = sent.unacknowledged > 0 || sent.probes > 0 || self.stalled.is_some();
            self.look = busy.then(|| Box::pin(tokio::time::sleep(LOOK_EVERY)));
        }
        Ok(())
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.stalled = match &written {
            Poll::Pending => self.stalled.or_else(|| Some(Instant::now())),
            Poll::Ready(_) => None,
        };
        written
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.look_soon();
        self.check(cx)?;
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.look_soon();
        self.check(cx)?;
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn only_a_peer_that_was_asked_and_is_silent_is_lost() {
        let alive = Sent { unacknowledged: 1, retransmits: 0, probes: 0, silent_milliseconds: 60_000 };
        assert!(!alive.is_lost(), "nothing had to be sent again");
        assert!(!Sent { retransmits: 5, silent_milliseconds: 2_000, ..alive }.is_lost(), "a link with losses");
        assert!(!Sent { probes: 2, ..alive }.is_lost(), "it has no room, and was just asked");
        assert!(Sent { retransmits: 7, ..alive }.is_lost());
        assert!(Sent { probes: 3, ..alive }.is_lost());
    }

    async fn pair() -> (PeerStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (here, there) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (PeerStream::new(here.unwrap()).unwrap(), there.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_come_through_and_looking_ends_when_all_is_acknowledged() {
        let (mut here, mut there) = pair().await;
        here.write_all(b"question").await.unwrap();
        assert!(here.look.is_some());
        let mut read = [0; 8];
        there.read_exact(&mut read).await.unwrap();
        there.write_all(b"answer").await.unwrap();
        // What the kernel will say once the acknowledgement is in.
        while here.sent().unwrap().unacknowledged > 0 {
            tokio::task::yield_now().await;
        }
        let mut answer = [0; 6];
        here.read_exact(&mut answer).await.unwrap();
        assert_eq!((&read, &answer), (b"question", b"answer"));
        here.look = Some(Box::pin(tokio::time::sleep(Duration::ZERO)));
        tokio::time::sleep(Duration::from_millis(5)).await;
        std::future::poll_fn(|cx| Poll::Ready(here.check(cx))).await.unwrap();
        assert!(here.look.is_none());
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_kept_for_long_but_not_for_ever() {
        let (mut here, there) = pair().await;
        // Until its window is full: as long as there is room a write is done at once.
        while let Ok(written) = tokio::time::timeout(Duration::from_millis(300), here.write_all(&[0; 65_536])).await {
            written.unwrap();
        }
        here.look = Some(Box::pin(tokio::time::sleep(Duration::ZERO)));
        let again = tokio::time::timeout(Duration::from_millis(100), here.write_all(b"x")).await;
        assert!(again.is_err(), "it is alive");
        here.stalled = Instant::now().checked_sub(STALL);
        here.look = Some(Box::pin(tokio::time::sleep(Duration::ZERO)));
        assert_eq!(here.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(there);
    }
}
