//! Pulls from a real registry on loopback: plain, with TLS, with a password; and what is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::Write as _,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use images::{Credentials, Images, Registries};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

const DEADLINE: Duration = Duration::from_secs(90);

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

/// Debian's registry, ended with the test.
struct Registry {
    process: Child,
    host: String,
    scheme: &'static str,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Somebody may take the port before it does; then it ends, and gets another one.
async fn registry(folder: &Path, extra: &str, scheme: &'static str) -> Registry {
    for _ in 0..5 {
        if let Some(registry) = registry_on_some_port(folder, extra, scheme).await {
            return registry;
        }
    }
    panic!("the registry ends by itself");
}

async fn registry_on_some_port(folder: &Path, extra: &str, scheme: &'static str) -> Option<Registry> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("127.0.0.1:{port}");
    let config = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n{extra}",
        folder.join("registry").display()
    );
    std::fs::write(folder.join("registry.yml"), config).unwrap();
    let mut process = Command::new("docker-registry")
        .arg("serve")
        .arg(folder.join("registry.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker-registry is installed");
    let until = Instant::now() + DEADLINE;
    while tokio::net::TcpStream::connect(&host).await.is_err() {
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < until, "the registry does not listen");
        sleep(Duration::from_millis(20)).await;
    }
    // Whoever took the port answers as well.
    sleep(Duration::from_millis(20)).await;
    process.try_wait().unwrap().is_none().then_some(Registry { process, host, scheme })
}

/// Puts an image of one file there, by the registry's own protocol.
fn push(registry: &Registry, name: &str, curl: &[&str]) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_path("hello").unwrap();
    header.set_size(5);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    tar.append(&header, &b"world"[..]).unwrap();
    let plain = tar.into_inner().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let layer = gzip.finish().unwrap();
    let architecture = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "config": {"Cmd": ["/hello"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&plain)]}
    })
    .to_string();
    let descriptor = |kind: &str, bytes: &[u8]| serde_json::json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest(bytes), "size": bytes.len()});
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config.as_bytes()),
        "layers": [descriptor("layer.v1.tar+gzip", &layer)]
    })
    .to_string();
    let base = format!("{}://{}/v2/{name}", registry.scheme, registry.host);
    for blob in [&layer[..], config.as_bytes()] {
        let started = send(curl, &["-i", "-X", "POST", &format!("{base}/blobs/uploads/")], b"");
        let place =
            started.lines().find_map(|l| l.to_lowercase().starts_with("location:").then(|| l[9..].trim().to_owned()));
        let place = place.unwrap_or_else(|| panic!("no upload: {started}"));
        let place = format!("{place}{}digest={}", if place.contains('?') { '&' } else { '?' }, digest(blob));
        send(curl, &["-f", "-X", "PUT", "-H", "Content-Type: application/octet-stream", &place], blob);
    }
    let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json";
    send(curl, &["-f", "-X", "PUT", "-H", kind, &format!("{base}/manifests/1")], manifest.as_bytes());
}

fn send(common: &[&str], arguments: &[&str], body: &[u8]) -> String {
    let mut child = Command::new("curl")
        .args(["-sS", "--max-time", "20", "--data-binary", "@-"])
        .args(common)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "curl {arguments:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn images_come_over_plain_http_from_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path(), "", "http").await;
    push(&registry, "library/hello", &[]);
    let images = Images::open(&folder.path().join("images"), Registries::default()).unwrap();
    let name = format!("{}/library/hello:1", registry.host);
    let image = images.pull(&name, &Credentials::Anonymous).await.unwrap();
    assert_eq!(image.tags, [name.as_str()]);
    assert_eq!(image.digests.len(), 1);
    assert_eq!(image.config.cmd, ["/hello"]);
    let lower = images.lower_directories(&image);
    assert_eq!(std::fs::read_to_string(lower[0].join("hello")).unwrap(), "world");
    let again = images.pull(&name, &Credentials::Anonymous).await.unwrap();
    assert_eq!(again.id, image.id);
    let missing = format!("{}/library/hello:2", registry.host);
    let error = images.pull(&missing, &Credentials::Anonymous).await.unwrap_err();
    assert!(matches!(error, images::Error::NotFound { .. }), "{error}");
    images.remove(&image.id).unwrap();
    assert_eq!(images.collect_garbage(&lower.iter().cloned().collect()).unwrap(), 0, "a container uses the layer");
    assert_eq!(images.collect_garbage(&Default::default()).unwrap(), 1);
    assert!(images.list().unwrap().is_empty());
}

#[tokio::test]
async fn a_registry_with_tls_and_a_password_wants_both() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let openssl = |arguments: &[&str]| {
        let status = Command::new("openssl").args(arguments).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "openssl {arguments:?}");
    };
    let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let (ca, ca_key) = (at("ca.pem"), at("ca.key"));
    openssl(&[&new[..], &["-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", &ca_key, "-out", &ca]].concat());
    openssl(&[&new[..], &["-subj", "/CN=registry", "-keyout", &at("key.pem"), "-out", &at("request.pem")]].concat());
    std::fs::write(at("extensions"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    let sign = ["x509", "-req", "-days", "2", "-CAcreateserial"];
    let files = ["-in", &at("request.pem"), "-CA", &ca, "-CAkey", &ca_key, "-out", &at("cert.pem"), "-extfile"];
    openssl(&[&sign[..], &files[..], &[&at("extensions")]].concat());
    let users = Command::new("htpasswd").args(["-Bbn", "me", "secret"]).output().unwrap();
    std::fs::write(at("users"), users.stdout).unwrap();
    let extra = format!(
        "  tls:\n    certificate: {}\n    key: {}\nauth:\n  htpasswd:\n    realm: test\n    path: {}\n",
        at("cert.pem"),
        at("key.pem"),
        at("users")
    );
    let registry = registry(folder.path(), &extra, "https").await;
    push(&registry, "private/hello", &["--cacert", &ca, "-u", "me:secret"]);
    let registries = Registries { ca_files: [(registry.host.clone(), ca.into())].into(), insecure: Vec::new() };
    let images = Images::open(&folder.path().join("images"), registries).unwrap();
    let name = format!("{}/private/hello:1", registry.host);
    let right = Credentials::Basic { username: "me".into(), password: "secret".into() };
    let wrong = Credentials::Basic { username: "me".into(), password: "guess".into() };
    for credentials in [Credentials::Anonymous, wrong] {
        let error = images.pull(&name, &credentials).await.unwrap_err();
        assert!(matches!(error, images::Error::Denied { .. }), "{error}");
        assert!(!error.to_string().contains("guess"));
    }
    let image = images.pull(&name, &right).await.unwrap();
    assert_eq!(image.tags, [name.as_str()]);
    let strangers = Images::open(&folder.path().join("strangers"), Registries::default()).unwrap();
    let error = strangers.pull(&name, &right).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let images = Images::open(&folder.path().join("images"), Registries::default()).unwrap();
    // Held by a socket that does not listen, so that nobody else gets the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let error = images.pull(&format!("{address}/x:1"), &Credentials::Anonymous).await.unwrap_err();
    assert!(matches!(error, images::Error::Unreachable { .. }), "{error}");
}
