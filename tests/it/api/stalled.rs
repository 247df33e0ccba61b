//! Clients that stop half-way: each is cut off in time, none costs much, and others do not notice.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use pki::Pair;
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use testkit::{ApiServer, eventually};
use tokio::time::Instant;

use super::config_map;

/// Within this time whoever says nothing is cut off, on the slowest machine: half a body may take a minute.
const CUT_OFF: Duration = Duration::from_secs(240);
/// Connections at once; more by hand, as many as the limit of open files allows: half of them.
const CONNECTIONS: &str = "KNARR_CONNECTIONS";
const SOME: usize = 400;
/// What one may cost the server. A TLS session and the buffers of HTTP take some 40 KiB.
const MAX_BYTES_PER_CONNECTION: usize = 96 << 10;

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn read(server: &ApiServer, name: &str) -> String {
    std::fs::read_to_string(server.data_dir().join("pki").join(name)).unwrap()
}

fn port(server: &ApiServer) -> u16 {
    let text = std::fs::read_to_string(server.kubeconfig()).unwrap();
    let (_, rest) = text.split_once("https://127.0.0.1:").unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

fn tcp(server: &ApiServer) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port(server))).unwrap();
    stream.set_read_timeout(Some(CUT_OFF)).unwrap();
    stream
}

/// A finished handshake, as the administrator, with these protocols.
fn tls(server: &ApiServer, protocols: &[&str]) -> Tls {
    let pair = Pair { certificate_pem: read(server, "admin.crt"), key_pem: read(server, "admin.key") };
    let mut config = pki::client_config(&read(server, "ca.crt"), Some(&pair)).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp(server));
    stream.conn.complete_io(&mut stream.sock).unwrap();
    stream
}

/// What comes until the server closes.
fn until_closed(mut stream: impl Read) -> String {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        // Closed without a farewell.
        Err(e) if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {}
        Err(error) => panic!("not cut off: {error}"),
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn who_stops_half_way_is_cut_off() {
    let server = ApiServer::start();
    let server = &server;
    let half = |protocols: &[&str], said: &str| {
        let mut stream = tls(server, protocols);
        stream.write_all(said.as_bytes()).unwrap();
        stream.flush().unwrap();
        until_closed(stream)
    };
    std::thread::scope(|scope| {
        let cases = [
            ("no handshake", scope.spawn(|| until_closed(tcp(server)))),
            ("no word", scope.spawn(|| half(&[], ""))),
            ("no word of HTTP/1.1", scope.spawn(|| half(&["http/1.1"], ""))),
            ("half a word", scope.spawn(|| half(&[], "PRI * HT"))),
            ("half a header", scope.spawn(|| half(&[], "GET /api HTTP/1.1\r\nHost: "))),
            ("an idle connection", scope.spawn(|| half(&[], "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"))),
            (
                "half a body",
                scope.spawn(|| {
                    half(
                        &[],
                        "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"kind\":",
                    )
                }),
            ),
        ];
        let kubectl = server.kubectl();
        kubectl.apply(&config_map("meanwhile", "x", "1"));
        for (case, thread) in cases {
            let begun = Instant::now();
            let said = thread.join().unwrap_or_else(|_| panic!("{case}: it panicked"));
            println!("{case}: {:?} more, {said:?}", begun.elapsed());
            let expected = match case {
                "an idle connection" => "HTTP/1.1 200 OK",
                "half a body" => "HTTP/1.1 504",
                _ => "",
            };
            assert!(said.contains(expected), "{case}: {said}");
        }
    });
}

/// Bytes of memory that are the server's.
fn resident(server: &mut ApiServer) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process().pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn a_watch_that_is_not_read_costs_little_and_delays_nobody() {
    /// Far more than any buffer holds.
    const WRITES: usize = 150;
    const WATCHES: usize = 20;
    let mut server = ApiServer::start();
    let kubectl = server.kubectl();
    kubectl.apply(&config_map("big", "x", "begin"));
    let request = "GET /api/v1/namespaces/default/configmaps?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let unread: Vec<Tls> = (0..WATCHES)
        .map(|_| {
            let mut stream = tls(&server, &[]);
            stream.write_all(request.as_bytes()).unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let before = resident(&mut server);
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let begun = Instant::now();
    client.block_on(async {
        let client = client::Client::from_kubeconfig(server.kubeconfig()).await.unwrap();
        for number in 0..WRITES {
            let value = format!("{number}-{}", "x".repeat(500_000));
            let patch = serde_json::json!({ "data": { "key": value } });
            let request = http::Request::patch("/api/v1/namespaces/default/configmaps/big")
                .header("content-type", "application/merge-patch+json")
                .body(serde_json::to_vec(&patch).unwrap().into());
            client.bytes(request.unwrap()).await.unwrap();
        }
    });
    let grown = resident(&mut server).saturating_sub(before) >> 20;
    println!("{WRITES} writes of 500 kB in {:?}, {grown} MiB more", begun.elapsed());
    // Unread they would be 1.5 GB. The history of watches, shared by all, and what is on the way may stay.
    assert!(grown < 300, "{grown} MiB for watches nobody reads");
    let last = kubectl.run(["get", "cm", "big", "-o", "jsonpath={.data.key}"]).ok();
    assert!(last.starts_with(&format!("{}-", WRITES - 1)));
    drop(unread);
}

#[test]
fn many_idle_connections_are_cheap_and_told_of_when_there_are_too_many() {
    let many = std::env::var(CONNECTIONS).ok().map_or(SOME, |text| text.parse().unwrap());
    let mut server = ApiServer::start();
    let kubectl = server.kubectl();
    let connect = |server: &ApiServer, number: usize| -> Vec<Tls> {
        (0..number)
            .map(|_| {
                let mut stream = tls(server, &["h2"]);
                // The preface and empty settings: an HTTP/2 connection on which nothing is asked.
                stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
                stream
            })
            .collect()
    };
    let warm = connect(&server, 20);
    let before = resident(&mut server);
    let begun = Instant::now();
    let idle = connect(&server, many);
    let each = resident(&mut server).saturating_sub(before) / many;
    println!("{many} connections in {:?}, {} KiB each", begun.elapsed(), each >> 10);
    assert!(each < MAX_BYTES_PER_CONNECTION, "{each} bytes for each connection");
    kubectl.ok("get configmaps");
    drop((warm, idle));
}

#[test]
fn too_many_connections_are_told_of_and_wait() {
    let mut server = ApiServer::start();
    server.kill();
    // With 64 files the server takes 32 connections.
    let mut command = std::process::Command::new("prlimit");
    command.arg("--nofile=64:64").arg(server.command().get_program()).args(server.command().get_args());
    let folder = server.folder().join("narrow");
    let mut narrow = testkit::Process::start(command, &folder);
    let kubectl = server.kubectl();
    eventually("the server is ready", || {
        let answer = kubectl.run(["get", "--raw", "/readyz"]);
        if answer.stdout == "ok" { Ok(()) } else { Err((answer, narrow.log())) }
    });
    let idle: Vec<TcpStream> = (0..40).map(|_| tcp(&server)).collect();
    eventually("it is told", || {
        let log = narrow.log();
        let said = "as many connections as it may";
        if log.contains(said) && log.contains("LimitNOFILE") { Ok(()) } else { Err(log) }
    });
    // Nobody of them finishes the handshake, so all are cut off soon, and the next one's turn comes.
    kubectl.ok("get configmaps --request-timeout=120s");
    assert!(narrow.ended().is_none(), "{}", narrow.log());
    drop(idle);
}
