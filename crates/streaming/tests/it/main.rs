//! Sessions over real sockets: both transports, every channel, both directions, and through a proxy.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the test is its own supervisor")]

use std::{convert::Infallible, io, net::SocketAddr};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Request, Response};
use http_body_util::{Either, Empty, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use streaming::{
    Dialer, Outcome, PortForward, RemoteCommand, RemoteCommandOptions, proxy_upgrade,
    spdy::{Connection, Role, Stream},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

type Answer = Response<Either<Either<Incoming, Empty<Bytes>>, Full<Bytes>>>;

struct Loopback;

impl Dialer for Loopback {
    type Connection = TcpStream;
    async fn dial(&self, port: u16) -> io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", port)).await
    }
}

/// Shouts stdin back, complains on stderr, and exits with 3 after the end of stdin.
async fn shout(channels: streaming::Channels) -> Outcome {
    let (mut stdin, mut stdout) = (channels.stdin.unwrap(), channels.stdout.unwrap());
    let mut size = None;
    if let Some(mut resize) = channels.resize {
        size = resize.recv().await;
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text).await.unwrap();
    stdout.write_all(text.to_uppercase().as_bytes()).await.unwrap();
    if let Some(size) = size {
        stdout.write_all(format!("{}x{}", size.width, size.height).as_bytes()).await.unwrap();
    }
    if let Some(mut stderr) = channels.stderr {
        stderr.write_all(b"oops").await.unwrap();
    }
    Outcome::Exited(3)
}

async fn serve(mut request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let answer = |response: Response<Empty<Bytes>>| response.map(|b| Either::Left(Either::Right(b)));
    let refuse = |text: String| {
        let mut response = Response::new(Either::Right(Full::from(text)));
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        response
    };
    Ok(match path.as_str() {
        "/exec" | "/tty" => {
            let tty = path == "/tty";
            let options = RemoteCommandOptions { stdin: true, stdout: true, stderr: true, tty };
            match RemoteCommand::accept(&mut request, options) {
                Ok((response, session)) => {
                    tokio::spawn(async move { session.run(shout).await });
                    answer(response)
                }
                Err(error) => refuse(error.to_string()),
            }
        }
        "/forward" => match PortForward::accept(&mut request) {
            Ok((response, session)) => {
                tokio::spawn(async move { session.run(&Loopback).await });
                answer(response)
            }
            Err(error) => refuse(error.to_string()),
        },
        _ => {
            let to: SocketAddr = request.headers()["x-backend"].to_str().unwrap().parse().unwrap();
            let uri = request.uri().path().strip_prefix("/proxy").unwrap().parse().unwrap();
            *request.uri_mut() = uri;
            let proxied = proxy_upgrade(request, TcpStream::connect(to).await.unwrap()).await.unwrap();
            tokio::spawn(proxied.work);
            proxied.response.map(Either::Left)
        }
    })
}

async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let http = hyper::server::conn::http1::Builder::new();
            let connection = http.serve_connection(TokioIo::new(socket), service_fn(serve)).with_upgrades();
            tokio::spawn(connection);
        }
    });
    address
}

/// Upgrades a connection, through the proxy when there is a `backend`.
async fn upgraded(
    server: SocketAddr,
    backend: Option<SocketAddr>,
    path: &str,
    headers: &[(&'static str, &'static str)],
) -> TokioIo<hyper::upgrade::Upgraded> {
    let socket = TcpStream::connect(server).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let uri = if backend.is_some() { format!("/proxy{path}") } else { path.to_owned() };
    let mut request = Request::post(uri).header("host", "x").header("connection", "Upgrade");
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_static(value));
    }
    if let Some(backend) = backend {
        request = request.header("x-backend", backend.to_string());
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 101);
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

const SPDY: &[(&str, &str)] = &[("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v4.channel.k8s.io")];

async fn open(connection: &Connection, kind: &str) -> Stream {
    connection.open(vec![("streamtype".to_owned(), kind.to_owned())]).await.unwrap()
}

async fn text(mut stream: Stream) -> String {
    let mut text = String::new();
    stream.receive.read_to_string(&mut text).await.unwrap();
    text
}

async fn exec_over_spdy(backend: bool) {
    let server_address = server().await;
    let backend = if backend { Some(server().await) } else { None };
    let (connection, driver) = Connection::new(upgraded(server_address, backend, "/exec", SPDY).await, Role::Client);
    tokio::spawn(driver);
    let error = open(&connection, "error").await;
    let mut stdin = open(&connection, "stdin").await;
    let stdout = open(&connection, "stdout").await;
    let stderr = open(&connection, "stderr").await;
    // Far more than any queue holds.
    let input = "hello ".repeat(100_000);
    let feed = async {
        stdin.send.write_all(input.as_bytes()).await.unwrap();
        stdin.send.shutdown().await.unwrap();
    };
    let ((), output) = tokio::join!(feed, text(stdout));
    assert_eq!(output, input.to_uppercase());
    assert_eq!(text(stderr).await, "oops");
    let status: serde_json::Value = serde_json::from_str(&text(error).await).unwrap();
    assert_eq!(status["details"]["causes"][0]["message"], "3");
}

#[tokio::test]
async fn exec_runs_over_spdy() {
    exec_over_spdy(false).await;
}

#[tokio::test]
async fn exec_runs_through_a_proxy() {
    exec_over_spdy(true).await;
}

#[tokio::test]
async fn a_terminal_over_websocket_knows_its_size_and_when_stdin_ends() {
    let io = upgraded(
        server().await,
        None,
        "/tty",
        &[
            ("upgrade", "websocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "v9.channel.k8s.io, v5.channel.k8s.io"),
        ],
    )
    .await;
    let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
    let mut socket = WebSocketStream::from_raw_socket(io, role, None).await;
    let messages: [&[u8]; 4] = [b"\x04{\"Width\":80,\"Height\":25}", b"\x00he", b"\x00y", b"\xff\x00"];
    for message in messages {
        socket.send(Message::binary(message)).await.unwrap();
    }
    let (mut stdout, mut error, mut closed_with) = (Vec::new(), Vec::new(), None);
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(bytes) if bytes[0] == 1 => stdout.extend_from_slice(&bytes[1..]),
            Message::Binary(bytes) if bytes[0] == 3 => error.extend_from_slice(&bytes[1..]),
            Message::Close(frame) => closed_with = frame.map(|f| u16::from(f.code)),
            _ => {}
        }
    }
    assert_eq!(closed_with, Some(1000));
    assert_eq!(String::from_utf8(stdout).unwrap(), "HEY80x25");
    assert!(String::from_utf8(error).unwrap().contains("exit status 3"));
}

async fn forward(connection: &Connection, id: &str, port: u16) -> (Stream, Stream) {
    let headers = |kind: &str| {
        vec![
            ("streamtype".to_owned(), kind.to_owned()),
            ("port".to_owned(), port.to_string()),
            ("requestid".to_owned(), id.to_owned()),
        ]
    };
    (connection.open(headers("error")).await.unwrap(), connection.open(headers("data")).await.unwrap())
}

#[tokio::test]
async fn ports_are_forwarded_and_refusals_told() {
    let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = echo.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = echo.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = socket.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    let headers = [("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "portforward.k8s.io")];
    let (connection, driver) =
        Connection::new(upgraded(server().await, None, "/forward", &headers).await, Role::Client);
    tokio::spawn(driver);
    for id in ["0", "1"] {
        let (error, mut data) = forward(&connection, id, port).await;
        data.send.write_all(b"ping").await.unwrap();
        data.send.shutdown().await.unwrap();
        assert_eq!(text(data).await, "ping");
        assert_eq!(text(error).await, "");
    }
    // Nobody listens on a port that is held by a socket which does not.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = held.local_addr().unwrap().port();
    let (error, data) = forward(&connection, "2", closed).await;
    assert!(text(error).await.contains("refused"));
    assert_eq!(text(data).await, "");
}

#[tokio::test]
async fn what_is_no_upgrade_is_refused_with_words() {
    let socket = TcpStream::connect(server().await).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/exec").header("host", "x").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 400);
}
