//! The two halves of a channel within a session, as byte streams. Both are bounded: a slow reader slows its writer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};
use tokio_util::sync::PollSender;

/// Messages that may wait between a connection and the reader or writer of one channel.
pub(crate) const QUEUE: usize = 16;
/// Bytes sent in one message at most.
const MAX_CHUNK: usize = 32 * 1024;

/// What a session sends to its peer: bytes on a numbered channel, or its end.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Data {
        channel: u32,
        bytes: Bytes,
    },
    Finish {
        channel: u32,
    },
    /// A control frame of the protocol, ready to send.
    Control(crate::spdy::Frame),
}

/// What the peer sends on one channel. Ends when the peer closes the channel or is gone.
#[derive(Debug)]
pub struct ReceiveStream {
    receiver: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl ReceiveStream {
    pub(crate) fn new() -> (mpsc::Sender<Bytes>, Self) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (sender, Self { receiver, rest: Bytes::new() })
    }
}

impl AsyncRead for ReceiveStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.receiver.poll_recv(cx)) {
                Some(bytes) => self.rest = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// Sends to the peer on one channel. Shutting down tells the peer that no more comes; dropping alone does not.
#[derive(Debug)]
pub struct SendStream {
    channel: u32,
    sender: PollSender<Outgoing>,
    finished: bool,
}

impl SendStream {
    pub(crate) fn new(channel: u32, sender: mpsc::Sender<Outgoing>) -> Self {
        Self { channel, sender: PollSender::new(sender), finished: false }
    }

    /// Another sender of the same channel, to end it when this one is given away.
    pub(crate) fn twin(&self) -> Option<Self> {
        Some(Self::new(self.channel, self.sender.get_ref()?.clone()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: impl FnOnce(u32) -> Outgoing) -> Poll<io::Result<()>> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.sender.poll_reserve(cx)).map_err(gone)?;
        Poll::Ready(self.sender.send_item(message(self.channel)).map_err(gone))
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let chunk = &buf[..buf.len().min(MAX_CHUNK)];
        ready!(self.poll_send(cx, |channel| Outgoing::Data { channel, bytes: Bytes::copy_from_slice(chunk) }))?;
        Poll::Ready(Ok(chunk.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished {
            ready!(self.poll_send(cx, |channel| Outgoing::Finish { channel }))?;
            self.finished = true;
        }
        Poll::Ready(Ok(()))
    }
}
