//! A storage that speaks as much of S3 as snapshots need, and misbehaves when told to. It trusts every signature.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use url::Url;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    #[default]
    None,
    /// Nobody's signature is good.
    Refuses,
    /// There is no such bucket.
    NoBucket,
    /// Takes nothing more, as a storage whose disks are full.
    Full,
    /// Asks to come again later.
    Busy,
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
    asked: Vec<String>,
}

/// The storage, of one bucket by the name of `bucket`.
pub struct Storage {
    inner: Arc<Mutex<Inner>>,
    endpoint: String,
}

impl Storage {
    pub fn start() -> Self {
        Self::over(None)
    }

    /// The same over TLS.
    pub fn secure(config: Arc<ServerConfig>) -> Self {
        Self::over(Some(config))
    }

    /// Its threads end with the process of the test.
    fn over(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", listener.local_addr().expect("it is bound"));
        let inner = Arc::<Mutex<Inner>>::default();
        let of_clients = inner.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (inner, tls) = (of_clients.clone(), tls.clone());
                // Whoever goes away in the middle is no failure of the storage.
                std::thread::spawn(move || greet(stream, tls, &inner).ok());
            }
        });
        Self { inner, endpoint }
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn set(&self, trouble: Trouble) {
        lock(&self.inner).trouble = trouble;
    }

    /// The keys of all objects.
    pub fn names(&self) -> Vec<String> {
        lock(&self.inner).objects.keys().cloned().collect()
    }

    pub fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        lock(&self.inner).objects.insert(key.to_owned(), bytes.into());
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        lock(&self.inner).objects.get(key).cloned()
    }

    /// The heads of all requests.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.inner).asked.clone()
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn greet(stream: TcpStream, tls: Option<Arc<ServerConfig>>, inner: &Mutex<Inner>) -> io::Result<()> {
    let Some(config) = tls else {
        serve(&stream, &stream, inner)?;
        return stream.shutdown(Shutdown::Write);
    };
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut answer = Vec::new();
    serve(&mut stream, &mut answer, inner)?;
    stream.write_all(&answer)?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn serve(input: impl Read, mut output: impl Write, inner: &Mutex<Inner>) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let begun = head.len();
        if input.read_line(&mut head)? == 0 {
            return Ok(());
        }
        if let Some(value) = head[begun..].to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let trouble = lock(inner).trouble;
    let asked = head.lines().next().unwrap_or_default().to_owned();
    lock(inner).asked.push(head);
    let mut words = asked.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let url = Url::parse("http://storage").and_then(|base| base.join(path)).map_err(io::Error::other)?;
    let mut body = vec![0; length];
    if matches!(trouble, Trouble::StopsTaking | Trouble::CutsUpload) && method == "PUT" {
        input.read_exact(&mut body[..length / 2])?;
        return if trouble == Trouble::StopsTaking { say_nothing() } else { Ok(()) };
    }
    input.read_exact(&mut body)?;
    if trouble == Trouble::Silent {
        return say_nothing();
    }
    let (status, promised, answer) = answer(&mut lock(inner), method, &url, body);
    let length = answer.len() + promised;
    write!(output, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    output.write_all(&answer)
}

/// Until the test is over.
fn say_nothing() -> io::Result<()> {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn answer(inner: &mut Inner, method: &str, url: &Url, mut body: Vec<u8>) -> (&'static str, usize, Vec<u8>) {
    let refused = |status, code: &str, message: &str| {
        let text = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        (status, 0, text.into_bytes())
    };
    let key = url.path().strip_prefix("/bucket").unwrap_or_default().trim_start_matches('/').to_owned();
    match (method, inner.trouble) {
        (_, Trouble::Refuses) => refused("403 Forbidden", "SignatureDoesNotMatch", "The signature is not ours."),
        (_, Trouble::NoBucket) => refused("404 Not Found", "NoSuchBucket", "The specified bucket does not exist"),
        (_, Trouble::Busy) => refused("503 Slow Down", "SlowDown", "Please reduce your request rate."),
        ("PUT", Trouble::Full) => refused("507 Insufficient Storage", "XMinioStorageFull", "Storage backend is full."),
        ("PUT", trouble) => {
            if trouble == Trouble::Garbles {
                let middle = body.len() / 2;
                body[middle] ^= 1;
            }
            inner.objects.insert(key, body);
            ("200 OK", 0, Vec::new())
        }
        ("DELETE", _) => {
            inner.objects.remove(&key);
            ("204 No Content", 0, Vec::new())
        }
        ("GET", _) if key.is_empty() => ("200 OK", 0, list(&inner.objects, url).into_bytes()),
        ("GET", trouble) => match inner.objects.get(&key).cloned() {
            Some(object) => ("200 OK", if trouble == Trouble::CutsDownload { 100 } else { 0 }, object),
            None => refused("404 Not Found", "NoSuchKey", ""),
        },
        _ => refused("405 Method Not Allowed", "MethodNotAllowed", method),
    }
}

/// Two names a page, so that there are pages.
fn list(objects: &BTreeMap<String, Vec<u8>>, url: &Url) -> String {
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
