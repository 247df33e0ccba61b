//! Streaming sessions and terminals, as a client of the kubelet has them.

use cri::{RuntimeService as _, v1};
use futures::{FutureExt as _, SinkExt as _, StreamExt as _, future::LocalBoxFuture};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::node::{Node, container_config, create, eventually, log_lines, run_sandbox, sandbox_config, start};

/// Speaks `v5.channel.k8s.io`: sends what is to be typed, answers what came on stdout and on the error channel.
async fn talk(url: &str, typed: &[&str], until: &str) -> (String, String) {
    let mut request = url.replace("http://", "ws://").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "v5.channel.k8s.io".parse().unwrap());
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    for text in typed {
        let mut frame = vec![0u8];
        frame.extend_from_slice(text.as_bytes());
        socket.send(Message::binary(frame)).await.unwrap();
    }
    let (mut out, mut end) = (String::new(), String::new());
    let read = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(bytes) = message {
                match bytes.first() {
                    Some(1) => out.push_str(&String::from_utf8_lossy(&bytes[1..])),
                    Some(3) => end.push_str(&String::from_utf8_lossy(&bytes[1..])),
                    _ => {}
                }
                if !end.is_empty() || (!until.is_empty() && out.contains(until)) {
                    break;
                }
            }
        }
    };
    assert!(tokio::time::timeout(crate::node::DEADLINE, read).await.is_ok(), "no end; so far {out:?}");
    (out, end)
}

pub(crate) fn sessions_and_terminals(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let mut config = container_config("term", "test -t 0 && echo terminal; cat");
        config.tty = true;
        config.stdin = true;
        let term = create(&runtime, &sandbox, config, &of).await;
        start(&runtime, &term).await;
        eventually("the terminal is one", async || log_lines(&logs, "term") == ["stdout F terminal"]).await;
        let attach = v1::AttachRequest {
            container_id: term.clone(),
            stdin: true,
            stdout: true,
            tty: true,
            ..Default::default()
        };
        let url = runtime.attach(attach).await.unwrap().url;
        let (out, _) = talk(&url, &["typed\n"], "typed\r\ntyped").await;
        assert!(out.contains("typed"), "{out:?}");
        let exec = |script: &str, tty: bool| v1::ExecRequest {
            container_id: term.clone(),
            cmd: vec!["sh".into(), "-c".into(), script.into()],
            stdin: true,
            stdout: true,
            stderr: !tty,
            tty,
        };
        let url = cri::RuntimeService::exec(&runtime, exec("read x; echo got $x; exit 3", false)).await.unwrap().url;
        let (out, end) = talk(&url, &["a line\n"], "").await;
        assert_eq!(out, "got a line\n");
        assert!(end.contains("NonZeroExitCode") && end.contains("\"3\""), "{end}");
        let url = cri::RuntimeService::exec(&runtime, exec("test -t 1 && echo yes", true)).await.unwrap().url;
        let (out, end) = talk(&url, &[], "").await;
        assert_eq!(out, "yes\r\n");
        assert!(end.contains("Success"), "{end}");
    }
    .boxed_local()
}
