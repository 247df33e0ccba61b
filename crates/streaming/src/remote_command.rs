//! `exec` and `attach`: stdin, stdout, stderr, terminal sizes and the outcome, each on a channel of its own.

use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::{
    Message, Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::{
    AcceptError, Outcome, SessionError,
    pipe::{Outgoing, QUEUE, ReceiveStream, SendStream},
    spdy, upgrade, websocket,
};

/// Newest first. Version 5 lets a WebSocket client close its stdin; version 4 tells the outcome as a Status.
const WEBSOCKET_PROTOCOLS: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io"];
const SPDY_PROTOCOLS: &[&str] = &["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
const PROTOCOL_HEADER: &str = "x-stream-protocol-version";
/// How long a client may take to open its SPDY streams; upstream's value.
const STREAM_CREATION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to read what is left after the command has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// A terminal size is a short JSON text.
const MAX_RESIZE_BYTES: u64 = 1024;

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;
const ERROR: u32 = 3;
const RESIZE: u32 = 4;
/// In version 5 the message `[255, channel]` closes a channel.
const CLOSE: u8 = 255;

/// Which channels the client asked for. With a terminal there is no stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteCommandOptions {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalSize {
    pub width: u16,
    pub height: u16,
}

/// What the executing side works with. Those not asked for are `None`.
#[derive(Debug)]
pub struct Channels {
    pub stdin: Option<ReceiveStream>,
    pub stdout: Option<SendStream>,
    pub stderr: Option<SendStream>,
    pub resize: Option<mpsc::Receiver<TerminalSize>>,
}

enum Wire {
    WebSocket { v5: bool },
    Spdy { status: bool },
}

/// A session the client may upgrade to: answer with the response, then run it.
pub struct RemoteCommand {
    options: RemoteCommandOptions,
    wire: Wire,
    upgrade: hyper::upgrade::OnUpgrade,
}

impl RemoteCommand {
    /// Chooses the protocol. The session must be run at once, beside the connection that sends the response.
    pub fn accept<B>(
        request: &mut Request<B>,
        mut options: RemoteCommandOptions,
    ) -> Result<(Response<Empty<Bytes>>, Self), AcceptError> {
        options.stderr &= !options.tty;
        let (response, wire) = match upgrade::requested(request.headers()).as_deref() {
            Some("websocket") => {
                let offered = websocket::offered(request.headers());
                let protocol = choose(&offered, WEBSOCKET_PROTOCOLS)?;
                (websocket::accept(request, protocol)?, Wire::WebSocket { v5: protocol.starts_with("v5") })
            }
            Some("spdy/3.1") => {
                let offered: Vec<String> = request
                    .headers()
                    .get_all(PROTOCOL_HEADER)
                    .iter()
                    .filter_map(|v| v.to_str().ok().map(str::to_owned))
                    .collect();
                let protocol = choose(&offered, SPDY_PROTOCOLS)?;
                let mut response = spdy_response();
                response.headers_mut().insert(PROTOCOL_HEADER, HeaderValue::from_static(protocol));
                (response, Wire::Spdy { status: protocol.starts_with("v4") })
            }
            _ => return Err(AcceptError::NotAnUpgrade),
        };
        Ok((response, Self { options, wire, upgrade: hyper::upgrade::on(request) }))
    }

    /// Runs `command` on the channels and tells the client how it ended. The command must write all output before it
    /// returns. When the client goes away first, the channels break and the command's outcome is dropped.
    pub async fn run<F, R>(self, command: F) -> Result<(), SessionError>
    where
        F: FnOnce(Channels) -> R,
        R: Future<Output = Outcome>,
    {
        let io = TokioIo::new(self.upgrade.await?);
        match self.wire {
            Wire::WebSocket { v5 } => run_websocket(io, self.options, v5, command).await,
            Wire::Spdy { status } => run_spdy(io, self.options, status, command).await,
        }
    }
}

pub(crate) fn spdy_response() -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    response
}

/// The first protocol of the client that we speak. A client that names none speaks the oldest.
pub(crate) fn choose(offered: &[String], supported: &'static [&'static str]) -> Result<&'static str, AcceptError> {
    if offered.is_empty() {
        return supported
            .last()
            .copied()
            .filter(|p| *p == "channel.k8s.io")
            .ok_or(AcceptError::Protocol { offered: Vec::new(), supported });
    }
    offered
        .iter()
        .find_map(|o| supported.iter().find(|s| o == *s))
        .copied()
        .ok_or_else(|| AcceptError::Protocol { offered: offered.to_vec(), supported })
}

async fn run_websocket<F, R>(
    io: websocket::Upgraded,
    options: RemoteCommandOptions,
    v5: bool,
    command: F,
) -> Result<(), SessionError>
where
    F: FnOnce(Channels) -> R,
    R: Future<Output = Outcome>,
{
    let (outgoing, queue) = mpsc::channel(QUEUE);
    let (stdin_sender, stdin) = ReceiveStream::new();
    let (resize_sender, resize) = mpsc::channel(QUEUE);
    let channels = Channels {
        stdin: options.stdin.then_some(stdin),
        stdout: options.stdout.then(|| SendStream::new(STDOUT, outgoing.clone())),
        stderr: options.stderr.then(|| SendStream::new(STDERR, outgoing.clone())),
        resize: options.tty.then_some(resize),
    };
    let (sink, source) = websocket::server(io).await.split();
    let run = async move {
        let outcome = command(channels).await;
        let bytes = outcome.to_status().into();
        // A client that is gone wants no outcome.
        drop(outgoing.send(Outgoing::Data { channel: ERROR, bytes }).await);
    };
    let read = read_websocket(source, v5, options.stdin.then_some(stdin_sender), resize_sender);
    let write = write_websocket(sink, queue);
    let finished = async { tokio::join!(run, write).1 };
    tokio::select! {
        result = finished => result,
        result = read => result,
    }
}

type Socket = tokio_tungstenite::WebSocketStream<websocket::Upgraded>;

/// Ends when the client is gone.
async fn read_websocket(
    mut source: futures::stream::SplitStream<Socket>,
    v5: bool,
    mut stdin: Option<mpsc::Sender<Bytes>>,
    resize: mpsc::Sender<TerminalSize>,
) -> Result<(), SessionError> {
    while let Some(message) = source.next().await {
        let bytes: Bytes = match message.map_err(Box::new)? {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return Ok(()),
            _ => continue,
        };
        let Some((&channel, rest)) = bytes.split_first() else { continue };
        match u32::from(channel) {
            STDIN => {
                if let Some(stdin) = stdin.as_ref().filter(|_| !rest.is_empty()) {
                    // A command that closed its stdin does not want the rest.
                    drop(stdin.send(bytes.slice(1..)).await);
                }
            }
            RESIZE => {
                if let Ok(size) = serde_json::from_slice(rest) {
                    resize.try_send(size).ok();
                }
            }
            _ if v5 && channel == CLOSE && rest == [STDIN as u8] => stdin = None,
            _ => {}
        }
    }
    Ok(())
}

async fn write_websocket(
    mut sink: futures::stream::SplitSink<Socket, Message>,
    mut queue: mpsc::Receiver<Outgoing>,
) -> Result<(), SessionError> {
    while let Some(message) = queue.recv().await {
        if let Outgoing::Data { channel, bytes } = message {
            let mut framed = Vec::with_capacity(bytes.len() + 1);
            framed.push(channel as u8);
            framed.extend_from_slice(&bytes);
            sink.send(Message::Binary(framed.into())).await.map_err(Box::new)?;
        }
    }
    // Go's clients take a close without a code for a failure.
    let normal = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
    sink.send(Message::Close(Some(normal))).await.map_err(Box::new)?;
    sink.close().await.map_err(Box::new)?;
    Ok(())
}

async fn run_spdy<F, R>(
    io: websocket::Upgraded,
    options: RemoteCommandOptions,
    status: bool,
    command: F,
) -> Result<(), SessionError>
where
    F: FnOnce(Channels) -> R,
    R: Future<Output = Outcome>,
{
    let (connection, driver) = spdy::Connection::new(io, spdy::Role::Server);
    let session = spdy_session(connection, options, status, command);
    tokio::pin!(driver);
    tokio::select! {
        result = session => result?,
        result = &mut driver => return Ok(result?),
    }
    // The session's streams are dropped: the driver sends what is queued and closes, or the client does.
    match tokio::time::timeout(DRAIN_TIMEOUT, driver).await {
        Ok(result) => Ok(result?),
        Err(_) => Ok(()),
    }
}

async fn spdy_session<F, R>(
    mut connection: spdy::Connection,
    options: RemoteCommandOptions,
    status: bool,
    command: F,
) -> Result<(), SessionError>
where
    F: FnOnce(Channels) -> R,
    R: Future<Output = Outcome>,
{
    let opening = async {
        let mut streams = SpdyStreams::default();
        while !streams.complete(options) {
            match connection.accept().await {
                Some(stream) => streams.put(stream),
                None => break,
            }
        }
        streams
    };
    let streams = tokio::time::timeout(STREAM_CREATION_TIMEOUT, opening)
        .await
        .map_err(|_| SessionError::StreamsMissing(STREAM_CREATION_TIMEOUT))?;
    let Some(error) = streams.error else { return Ok(()) };
    let (sizes, resize) = mpsc::channel(QUEUE);
    // Kept until the end: dropping a half would close the stream before its time.
    let mut kept = Vec::new();
    let mut sender = |stream: Option<spdy::Stream>| {
        stream.map(|s| {
            kept.push(s.receive);
            s.send
        })
    };
    let (stdout, stderr) = (sender(streams.stdout), sender(streams.stderr));
    // The command is given the senders; their ends are told when it is over.
    let mut outputs: Vec<SendStream> = [&stdout, &stderr].into_iter().flatten().filter_map(SendStream::twin).collect();
    let channels =
        Channels { stdin: streams.stdin.map(|s| s.receive), stdout, stderr, resize: options.tty.then_some(resize) };
    let read_sizes = async {
        match streams.resize {
            Some(stream) => read_sizes(stream.receive, sizes).await,
            None => drop(sizes),
        }
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = command(channels) => outcome,
        () = read_sizes => unreachable!("it waits forever"),
    };
    for output in &mut outputs {
        drop(output.shutdown().await);
    }
    let mut send = error.send;
    let text = if status { Some(outcome.to_status()) } else { outcome.to_text().map(String::into_bytes) };
    if let Some(text) = text {
        drop(send.write_all(&text).await);
    }
    drop(send.shutdown().await);
    Ok(())
}

#[derive(Default)]
struct SpdyStreams {
    error: Option<spdy::Stream>,
    stdin: Option<spdy::Stream>,
    stdout: Option<spdy::Stream>,
    stderr: Option<spdy::Stream>,
    resize: Option<spdy::Stream>,
}

impl SpdyStreams {
    fn put(&mut self, stream: spdy::Stream) {
        let slot = match stream.header("streamtype") {
            Some("error") => &mut self.error,
            Some("stdin") => &mut self.stdin,
            Some("stdout") => &mut self.stdout,
            Some("stderr") => &mut self.stderr,
            Some("resize") => &mut self.resize,
            _ => return,
        };
        *slot = Some(stream);
    }

    /// Terminal sizes may come late or, from old clients, never: they are not waited for when all else is there.
    fn complete(&self, options: RemoteCommandOptions) -> bool {
        self.error.is_some()
            && self.stdin.is_some() == options.stdin
            && self.stdout.is_some() == options.stdout
            && self.stderr.is_some() == options.stderr
            && self.resize.is_some() == options.tty
    }
}

/// Sizes come as JSON texts one behind the other.
async fn read_sizes(receive: ReceiveStream, sizes: mpsc::Sender<TerminalSize>) {
    let mut receive = receive;
    let mut text = Vec::new();
    let mut chunk = [0; 256];
    while let Ok(count @ 1..) = receive.read(&mut chunk).await {
        text.extend_from_slice(&chunk[..count]);
        let mut parsed = serde_json::Deserializer::from_slice(&text).into_iter::<TerminalSize>();
        while let Some(Ok(size)) = parsed.next() {
            sizes.try_send(size).ok();
        }
        let used = parsed.byte_offset();
        text.drain(..used);
        if text.len() as u64 > MAX_RESIZE_BYTES {
            return;
        }
    }
}
