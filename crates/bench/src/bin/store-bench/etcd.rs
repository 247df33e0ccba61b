//! An etcd of one member, and the least that is needed to put keys into it over gRPC: what a client costs is the same
//! machine's time, so it should cost little.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinSet, time::Instant};

/// A running etcd. It ends with the value.
pub(crate) struct Etcd {
    process: Child,
    sender: Sender,
    port: u16,
    _connection: JoinSet<()>,
}

/// A connection for many calls at a time.
#[derive(Clone)]
pub(crate) struct Sender {
    http: SendRequest<Full<Bytes>>,
    port: u16,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // An error says that it has ended already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Etcd {
    /// With etcd's defaults, but for the ports, in a folder that is not there.
    pub(crate) async fn start(program: &Path, dir: &Path) -> anyhow::Result<Etcd> {
        let free = || -> anyhow::Result<u16> { Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
        let (port, peer) = (free()?, free()?);
        let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(dir).args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}"), "--log-level", "error"]);
        // By default it takes no more writes after 2 GB, history included.
        command.args(["--quota-backend-bytes", "8589934592"]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("start etcd")?;
        let sender = connect(port).await;
        let etcd = match sender {
            Ok((sender, _connection)) => Etcd { process, sender, port, _connection },
            Err(error) => {
                let mut process = process;
                process.kill().ok();
                process.wait().ok();
                return Err(error);
            }
        };
        etcd.wait().await?;
        Ok(etcd)
    }

    /// Until it takes a write: it has to elect itself first.
    async fn wait(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = self.sender().call(Etcd::put(b"/begin", b"v")).await {
            ensure!(Instant::now() < deadline, "etcd on port {} takes no write: {error:#}", self.port);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    pub(crate) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// A `PutRequest` with the prefix of gRPC.
    pub(crate) fn put(key: &[u8], value: &[u8]) -> Bytes {
        let mut message = BytesMut::new();
        for (tag, bytes) in [(0x0a, key), (0x12, value)] {
            message.put_u8(tag);
            put_length(&mut message, bytes.len());
            message.put_slice(bytes);
        }
        let mut framed = BytesMut::with_capacity(5 + message.len());
        framed.put_u8(0);
        framed.put_u32(message.len() as u32);
        framed.put_slice(&message);
        framed.freeze()
    }
}

fn put_length(out: &mut BytesMut, mut length: usize) {
    while length >= 0x80 {
        out.put_u8(length as u8 | 0x80);
        length >>= 7;
    }
    out.put_u8(length as u8);
}

async fn connect(port: u16) -> anyhow::Result<(Sender, JoinSet<()>)> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let stream = loop {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => break stream,
            Err(error) => ensure!(Instant::now() < deadline, "etcd does not listen on port {port}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    stream.set_nodelay(true)?;
    let (http, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let mut task = JoinSet::new();
    // Its end shows in the calls.
    task.spawn(async move { drop(connection.await) });
    Ok((Sender { http, port }, task))
}

impl Sender {
    pub(crate) async fn call(mut self, message: Bytes) -> anyhow::Result<()> {
        let request = Request::post(format!("http://127.0.0.1:{}/etcdserverpb.KV/Put", self.port))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(message))?;
        let response = self.http.send_request(request).await?;
        let at_once = response.headers().get("grpc-status").cloned();
        let body = response.into_body().collect().await?;
        let status = body.trailers().and_then(|trailers| trailers.get("grpc-status").cloned()).or(at_once);
        ensure!(status.as_ref().is_some_and(|status| status == "0"), "etcd answered status {status:?}");
        Ok(())
    }
}
