//! A storage of our own that misbehaves, and, where it is installed, moto, which was written by others.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};

use super::*;

const SECRET: &str = "a secret that nobody may see";
/// For those who are to be left.
const SOON: Duration = Duration::from_secs(1);
/// For all others, however busy the machine is.
const LATE: Duration = Duration::from_secs(60);

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trouble {
    #[default]
    None,
    /// Nobody's signature is good.
    Refuses,
    /// Takes the request, and says nothing.
    Silent,
    /// Takes a part of what is put, and no more.
    StopsTaking,
    /// Takes a part of what is put, and closes the connection.
    CutsUpload,
    /// Keeps another byte than was sent.
    Garbles,
    /// Promises more than it gives.
    CutsDownload,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Vec<u8>>,
    trouble: Trouble,
    /// The first lines of all requests.
    asked: Vec<String>,
}

/// The storage, for as long as this stands.
struct Peer {
    inner: Arc<Mutex<Inner>>,
    endpoint: String,
    _serving: JoinSet<()>,
}

impl Peer {
    async fn start() -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::<Mutex<Inner>>::default();
        let (mut serving, of_clients) = (JoinSet::new(), inner.clone());
        serving.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let inner = of_clients.clone();
                // Whoever goes away in the middle is no failure of the storage.
                clients.spawn(async move { serve(stream, inner).await.ok() });
            }
        });
        Peer { inner, endpoint, _serving: serving }
    }

    fn s3(&self) -> S3 {
        open(&self.endpoint, "s3://bucket/a/folder")
    }

    fn set(&self, trouble: Trouble) {
        self.inner.lock().trouble = trouble;
    }

    fn names(&self) -> Vec<String> {
        self.inner.lock().objects.keys().cloned().collect()
    }
}

fn open(endpoint: &str, place: &str) -> S3 {
    open_with(endpoint, place, LATE)
}

fn open_with(endpoint: &str, place: &str, stall: Duration) -> S3 {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credentials");
    std::fs::write(&file, format!("[default]\naws_access_key_id=id\naws_secret_access_key={SECRET}\n")).unwrap();
    let config = S3Config {
        endpoint: Some(endpoint.to_owned()),
        credentials: Some(file),
        ..S3Config::new(place.parse().unwrap())
    };
    S3::open_with(&config, stall).unwrap()
}

async fn serve(stream: TcpStream, inner: Arc<Mutex<Inner>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let begun = head.len();
        if stream.read_line(&mut head).await? == 0 {
            return Ok(());
        }
        if let Some(value) = head[begun..].to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let trouble = inner.lock().trouble;
    let asked = head.lines().next().unwrap().to_owned();
    inner.lock().asked.push(head);
    let (method, rest) = asked.split_once(' ').unwrap();
    let url = url::Url::parse("http://peer").unwrap().join(rest.split(' ').next().unwrap()).unwrap();
    let key = url.path().strip_prefix("/bucket").unwrap().trim_start_matches('/').to_owned();
    let mut body = vec![0; length];
    match trouble {
        Trouble::StopsTaking | Trouble::CutsUpload if method == "PUT" => {
            stream.read_exact(&mut body[..length / 2]).await?;
            if trouble == Trouble::StopsTaking {
                std::future::pending::<()>().await;
            }
            return Ok(());
        }
        _ => stream.read_exact(&mut body).await?,
    };
    let (status, promised, answer) = match (method, trouble) {
        (_, Trouble::Silent) => return std::future::pending().await,
        (_, Trouble::Refuses) => {
            let text = "<Error><Code>SignatureDoesNotMatch</Code><Message>The signature is not ours.</Message></Error>";
            ("403 Forbidden", 0, text.as_bytes().to_vec())
        }
        ("PUT", _) => {
            if trouble == Trouble::Garbles {
                body[length / 2] ^= 1;
            }
            inner.lock().objects.insert(key, body);
            ("200 OK", 0, Vec::new())
        }
        ("DELETE", _) => {
            inner.lock().objects.remove(&key);
            ("204 No Content", 0, Vec::new())
        }
        ("GET", _) if key.is_empty() => ("200 OK", 0, list(&inner.lock().objects, &url).into_bytes()),
        ("GET", _) => match inner.lock().objects.get(&key).cloned() {
            Some(object) => ("200 OK", if trouble == Trouble::CutsDownload { 100 } else { 0 }, object),
            None => ("404 Not Found", 0, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
        },
        other => panic!("{other:?}"),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len() + promised);
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

/// Two names a page, so that there are pages.
fn list(objects: &BTreeMap<String, Vec<u8>>, url: &url::Url) -> String {
    let of = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let (prefix, after) = (of("prefix").unwrap_or_default(), of("continuation-token").unwrap_or_default());
    let found: Vec<_> = objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after).collect();
    let mut text = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
    for (key, value) in found.iter().take(2) {
        let (key, size) = (key.replace('/', "%2F"), value.len());
        text += &format!("<Contents><Key>{key}</Key><Size>{size}</Size></Contents>");
    }
    if found.len() > 2 {
        text +=
            &format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>", found[1].0);
    }
    text + "<EncodingType>url</EncodingType></ListBucketResult>"
}

fn file(dir: &Path, bytes: usize) -> std::path::PathBuf {
    let path = dir.join("file");
    std::fs::write(&path, (0..bytes).map(|n| (n * 31 % 251) as u8).collect::<Vec<_>>()).unwrap();
    path
}

async fn is_whole(s3: &S3) {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), 700_001);
    for n in 0..5 {
        s3.save(&path, &format!("snapshot-{n}")).await.unwrap();
    }
    // Again is fine, something else is not.
    s3.save(&path, "snapshot-3").await.unwrap();
    let other = dir.path().join("other");
    std::fs::write(&other, "another").unwrap();
    assert!(matches!(s3.save(&other, "snapshot-3").await, Err(S3Error::Exists { .. })));
    let names = async || s3.list("snapshot-").await.unwrap().into_iter().map(|o| (o.name, o.bytes)).collect::<Vec<_>>();
    let expected: Vec<_> = (0..5).map(|n| (format!("snapshot-{n}"), 700_001)).collect();
    assert_eq!(names().await, expected);
    let back = dir.path().join("back");
    s3.fetch("snapshot-4", &back).await.unwrap();
    assert!(std::fs::read(&back).unwrap() == std::fs::read(&path).unwrap());
    assert!(matches!(s3.fetch("snapshot-9", &dir.path().join("none")).await, Err(S3Error::NotFound { .. })));
    assert!(!dir.path().join("none").exists());
    s3.remove("snapshot-0").await.unwrap();
    s3.remove("snapshot-0").await.unwrap();
    assert_eq!(names().await, expected[1..]);
}

#[tokio::test]
async fn what_is_saved_is_listed_and_comes_back_the_same() {
    let peer = Peer::start().await;
    for key in ["snapshot-other", "a/folder/other", "a/folder/below/snapshot-1", "a/folder-2/snapshot-1"] {
        peer.inner.lock().objects.insert(key.to_owned(), b"not ours".to_vec());
    }
    is_whole(&peer.s3()).await;
    assert_eq!(peer.names().iter().filter(|name| !name.starts_with("a/folder/snapshot-")).count(), 4);
    let asked = peer.inner.lock().asked.join("\n");
    assert!(asked.contains("X-Amz-Signature=") && !asked.contains(SECRET));
}

#[tokio::test]
async fn retention_removes_only_what_a_schedule_put_there() {
    let peer = Peer::start().await;
    let others = ["snapshot-before-upgrade", "snapshot-20260101T000000Z-r1.old", "notes", "snapshot-"];
    let ours = (1..=7).map(|day| format!("snapshot-2026010{day}T000000Z-r{day}"));
    for name in others.into_iter().map(str::to_owned).chain(ours) {
        peer.inner.lock().objects.insert(format!("a/folder/{name}"), b"v".to_vec());
    }
    let now = "2026-02-01T00:00:00Z".parse().unwrap();
    let gone = crate::snapshots::prune_s3(&peer.s3(), 2, now).await.unwrap();
    assert_eq!(gone.len(), 5);
    let left = peer.names();
    for kept in others.into_iter().chain(["snapshot-20260106T000000Z-r6", "snapshot-20260107T000000Z-r7"]) {
        assert!(left.contains(&format!("a/folder/{kept}")), "{kept}: {left:?}");
    }
    assert_eq!(left.len(), others.len() + 2);
}

#[tokio::test]
async fn a_storage_in_trouble_is_left_in_time_and_nothing_half_is_there() {
    let peer = Peer::start().await;
    let dir = tempfile::tempdir().unwrap();
    // More than the kernel keeps for a peer that does not read.
    let path = file(dir.path(), 24 << 20);
    for trouble in [Trouble::Refuses, Trouble::Silent, Trouble::StopsTaking, Trouble::CutsUpload, Trouble::Garbles] {
        peer.set(trouble);
        let stall = if matches!(trouble, Trouble::Silent | Trouble::StopsTaking) { SOON } else { LATE };
        let error =
            open_with(&peer.endpoint, "s3://bucket/a/folder", stall).save(&path, "snapshot-1").await.unwrap_err();
        println!("{trouble:?}: {error}");
        let as_expected = match trouble {
            Trouble::Refuses => {
                matches!(&error, S3Error::Refused { status: 403, code, .. } if code == "SignatureDoesNotMatch")
            }
            Trouble::Silent | Trouble::StopsTaking => matches!(error, S3Error::Stalled { .. }),
            Trouble::CutsUpload => matches!(error, S3Error::Unreachable { .. }),
            _ => matches!(error, S3Error::Differs { .. }),
        };
        assert!(as_expected, "{trouble:?}: {error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains(SECRET) && !text.contains("X-Amz"), "{text}");
        assert!(peer.names().is_empty(), "{trouble:?}: {:?}", peer.names());
    }
    peer.set(Trouble::None);
    peer.s3().save(&path, "snapshot-1").await.unwrap();
    peer.set(Trouble::CutsDownload);
    let back = dir.path().join("back");
    let error = peer.s3().fetch("snapshot-1", &back).await.unwrap_err();
    assert!(matches!(error, S3Error::Unreachable { .. }), "{error}");
    assert!(!back.exists());
}

#[tokio::test]
async fn nobody_there_and_nobody_to_trust() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = open(&format!("http://{free}"), "s3://bucket").list("").await.unwrap_err();
    assert!(matches!(error, S3Error::Unreachable { .. }), "{error}");
    // What speaks no TLS is not asked in the open.
    let peer = Peer::start().await;
    let tls = open_with(&peer.endpoint.replace("http:", "https:"), "s3://bucket", SOON);
    let error = tls.list("").await.unwrap_err();
    assert!(matches!(error, S3Error::Unreachable { .. } | S3Error::Stalled { .. }), "{error}");
    assert!(peer.inner.lock().asked.is_empty());
    let config = S3Config { credentials: Some("/nonexistent".into()), ..S3Config::new("s3://b".parse().unwrap()) };
    assert!(matches!(S3::open(&config), Err(S3Error::Io { .. })));
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error says that it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn another_storage_agrees() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut moto = Command::new("moto_server");
    moto.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(process) = moto.spawn() else {
        std::io::stderr()
            .write_all(b"skipped: moto_server is not installed (pip install 'moto[server,s3]')\n")
            .unwrap();
        return;
    };
    let _running = Running(process);
    let endpoint = format!("http://127.0.0.1:{port}");
    let s3 = open_with(&endpoint, "s3://bucket/a/folder", LATE);
    let deadline = Instant::now() + 2 * LATE;
    let empty = ("content-length", "0".to_owned());
    let url = s3.bucket.create_bucket(&s3.credentials).sign(SIGNED_FOR);
    loop {
        let made =
            match s3.caller.call("make a bucket", Method::PUT, url.clone(), std::slice::from_ref(&empty), None).await {
                Ok(answer) => answer.expect_ok(MAX_TEXT_BYTES).await,
                Err(error) => Err(error),
            };
        match made {
            Ok(_) => break,
            Err(error) => assert!(Instant::now() < deadline, "moto does not answer: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    is_whole(&s3).await;
}
