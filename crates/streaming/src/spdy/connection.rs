//! A connection and its streams. The connection is driven by the future of [`Connection::new`]; dropping that ends
//! everything.

use std::{collections::HashMap, future::Future, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::{Mutex, mpsc},
};

use super::{
    Frame, SpdyError,
    headers::{Headers, Packer, Unpacker},
};
use crate::pipe::{Outgoing, QUEUE, ReceiveStream, SendStream};

/// A peer may have this many streams open: a few per exec session, two per forwarded connection.
const MAX_STREAMS: usize = 2048;
/// Streams the peer opened and nobody has accepted yet.
const ACCEPT_QUEUE: usize = 64;
/// RST_STREAM status for a stream that is not there.
const INVALID_STREAM: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Client,
    Server,
}

/// A stream the peer or we opened.
#[derive(Debug)]
pub struct Stream {
    pub headers: Vec<(String, String)>,
    pub receive: ReceiveStream,
    pub send: SendStream,
}

impl Stream {
    /// Names compare without case: Go's clients send them capitalized or not.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The handle of a connection: opens streams and accepts the peer's.
pub struct Connection {
    accepted: mpsc::Receiver<Stream>,
    outgoing: mpsc::Sender<Outgoing>,
    shared: Arc<Shared>,
}

struct Shared {
    packer: Mutex<Packer>,
    streams: Mutex<HashMap<u32, mpsc::Sender<Bytes>>>,
    next: std::sync::atomic::AtomicU32,
}

impl Connection {
    /// Gives the handle, and the future that moves the frames until the connection ends.
    pub fn new<T>(io: T, role: Role) -> (Self, impl Future<Output = Result<(), SpdyError>>)
    where
        T: AsyncRead + AsyncWrite + Send,
    {
        let (accept, accepted) = mpsc::channel(ACCEPT_QUEUE);
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let first = if role == Role::Client { 1 } else { 2 };
        let shared =
            Arc::new(Shared { packer: Mutex::new(Packer::new()), streams: Mutex::default(), next: first.into() });
        // The reader must not keep the writer going: when the last handle is dropped the connection drains and closes.
        let connection = Self { accepted, outgoing: outgoing.clone(), shared: shared.clone() };
        let outgoing = outgoing.downgrade();
        let driver = async move {
            let (read, write) = tokio::io::split(io);
            let reader = read_frames(read, shared, accept, outgoing);
            let writer = write_frames(write, queue);
            tokio::select! {
                result = reader => result,
                result = writer => result,
            }
        };
        (connection, driver)
    }

    /// The next stream the peer opens; `None` when the connection has ended.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.accepted.recv().await
    }

    /// Opens a stream with these headers. Does not wait for the peer's reply, as upstream's clients do not.
    pub async fn open(&self, headers: Headers) -> Result<Stream, SpdyError> {
        let (incoming, receive) = ReceiveStream::new();
        // Streams must appear on the wire in the order of their numbers and of the packed headers.
        let mut packer = self.shared.packer.lock().await;
        let stream = self.shared.next.fetch_add(2, std::sync::atomic::Ordering::Relaxed);
        self.shared.streams.lock().await.insert(stream, incoming);
        let packed = packer.pack(&headers)?.into();
        let frame = Frame::SynStream { stream, headers: packed, fin: false };
        self.outgoing.send(Outgoing::Control(frame)).await.map_err(|_| SpdyError::Closed)?;
        drop(packer);
        Ok(Stream { headers, receive, send: SendStream::new(stream, self.outgoing.clone()) })
    }
}

async fn read_frames(
    mut io: impl AsyncRead + Unpin,
    shared: Arc<Shared>,
    accept: mpsc::Sender<Stream>,
    outgoing: mpsc::WeakSender<Outgoing>,
) -> Result<(), SpdyError> {
    let mut unpacker = Unpacker::new();
    let reply = async |frame: Frame| {
        let outgoing = outgoing.upgrade().ok_or(SpdyError::Closed)?;
        outgoing.send(Outgoing::Control(frame)).await.map_err(|_| SpdyError::Closed)
    };
    while let Some(frame) = Frame::read(&mut io).await? {
        match frame {
            Frame::SynStream { stream, headers, fin } => {
                let headers = unpacker.unpack(&headers)?;
                let (incoming, receive) = ReceiveStream::new();
                if !fin {
                    let mut streams = shared.streams.lock().await;
                    if streams.len() >= MAX_STREAMS {
                        return Err(SpdyError::TooManyStreams(MAX_STREAMS));
                    }
                    streams.insert(stream, incoming);
                }
                {
                    let mut packer = shared.packer.lock().await;
                    let headers = packer.pack(&[])?.into();
                    reply(Frame::SynReply { stream, headers, fin: false }).await?;
                }
                let send = SendStream::new(stream, outgoing.upgrade().ok_or(SpdyError::Closed)?);
                if accept.send(Stream { headers, receive, send }).await.is_err() {
                    // Nobody accepts any more: the session is over but for what still flows.
                    reply(Frame::Reset { stream, status: INVALID_STREAM }).await?;
                }
            }
            Frame::SynReply { headers, .. } => {
                unpacker.unpack(&headers)?;
            }
            Frame::Headers { stream, headers, fin } => {
                unpacker.unpack(&headers)?;
                if fin {
                    shared.streams.lock().await.remove(&stream);
                }
            }
            Frame::Data { stream, bytes, fin } => {
                let incoming = shared.streams.lock().await.get(&stream).cloned();
                if let Some(incoming) = incoming.filter(|_| !bytes.is_empty()) {
                    // A reader that went away does not want the rest; the stream stays until the peer ends it.
                    drop(incoming.send(bytes).await);
                }
                if fin {
                    shared.streams.lock().await.remove(&stream);
                }
            }
            Frame::Reset { stream, .. } => {
                shared.streams.lock().await.remove(&stream);
            }
            Frame::Ping { id } => reply(Frame::Ping { id }).await?,
            Frame::GoAway { .. } | Frame::Other { .. } => {}
        }
    }
    Ok(())
}

async fn write_frames(mut io: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Outgoing>) -> Result<(), SpdyError> {
    let mut wire = BytesMut::new();
    while let Some(first) = queue.recv().await {
        encode(first, &mut wire);
        while let Ok(more) = queue.try_recv() {
            encode(more, &mut wire);
        }
        io.write_all_buf(&mut wire).await?;
        io.flush().await?;
    }
    io.shutdown().await?;
    Ok(())
}

fn encode(message: Outgoing, wire: &mut BytesMut) {
    let frame = match message {
        Outgoing::Data { channel, bytes } => Frame::Data { stream: channel, bytes, fin: false },
        Outgoing::Finish { channel } => Frame::Data { stream: channel, bytes: Bytes::new(), fin: true },
        Outgoing::Control(frame) => frame,
    };
    frame.encode(wire);
}
