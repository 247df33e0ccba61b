#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use streaming::spdy::{Connection as Spdy, Role};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

struct Echo;

#[async_trait::async_trait]
impl Sessions for Echo {
    async fn exec(&self, request: &ExecRequest, channels: Channels) -> Outcome {
        let mut stdout = channels.stdout.unwrap();
        stdout.write_all(request.cmd.join(" ").as_bytes()).await.unwrap();
        Outcome::Exited(7)
    }

    async fn attach(&self, _request: &AttachRequest, _channels: Channels) -> Outcome {
        Outcome::Failed("nothing to attach to".to_owned())
    }

    async fn dial(&self, sandbox: &str, port: u16) -> io::Result<Box<dyn Connection>> {
        Err(io::Error::other(format!("{sandbox} has no port {port}")))
    }
}

async fn upgrade(url: &str) -> (StatusCode, Option<TokioIo<hyper::upgrade::Upgraded>>) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let socket = TcpStream::connect(host).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    let driving = TaskTracker::new();
    driving.spawn(connection.with_upgrades());
    let request = Request::post(format!("/{path}"))
        .header("host", host)
        .header("connection", "upgrade")
        .header("upgrade", "SPDY/3.1")
        .header("x-stream-protocol-version", "v4.channel.k8s.io")
        .body(http_body_util::Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status();
    let switched = status == StatusCode::SWITCHING_PROTOCOLS;
    let io = if switched { Some(TokioIo::new(hyper::upgrade::on(response).await.unwrap())) } else { None };
    (status, io)
}

#[tokio::test]
async fn a_url_runs_its_command_once() {
    let tasks = TaskTracker::new();
    let server = StreamingServer::start(Arc::new(Echo), &tasks).await.unwrap();
    let cmd = vec!["echo".to_owned(), "hi".to_owned()];
    let url = server.exec(ExecRequest { cmd, stdout: true, ..ExecRequest::default() });
    let (_, io) = upgrade(&url).await;
    let (connection, driver) = Spdy::new(io.unwrap(), Role::Client);
    tasks.spawn(driver);
    let open = async |kind: &str| connection.open(vec![("streamtype".to_owned(), kind.to_owned())]).await.unwrap();
    let (mut error, mut stdout) = (open("error").await, open("stdout").await);
    let (mut output, mut status) = (String::new(), String::new());
    stdout.receive.read_to_string(&mut output).await.unwrap();
    error.receive.read_to_string(&mut status).await.unwrap();
    assert_eq!(output, "echo hi");
    assert!(status.contains("exit status 7"), "{status}");
    assert_eq!(upgrade(&url).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_url_opens_only_what_it_is_for() {
    let server = StreamingServer::start(Arc::new(Echo), &TaskTracker::new()).await.unwrap();
    let url = server.attach(AttachRequest { stdout: true, ..AttachRequest::default() });
    assert_eq!(upgrade(&url.replace("/attach/", "/exec/")).await.0, StatusCode::NOT_FOUND);
}
