//! A storage of our own that misbehaves, and, where it is installed, moto, which was written by others.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use testkit::{Storage, Trouble};
use tokio::time::Instant;

use super::*;

const SECRET: &str = "a secret that nobody may see";
/// For those who are to be left.
const SOON: Duration = Duration::from_secs(1);
/// For all others, however busy the machine is.
const LATE: Duration = Duration::from_secs(60);

fn s3(storage: &Storage) -> S3 {
    open(storage.endpoint(), "s3://bucket/a/folder")
}

fn open(endpoint: &str, place: &str) -> S3 {
    open_with(endpoint, place, LATE)
}

fn open_with(endpoint: &str, place: &str, stall: Duration) -> S3 {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credentials");
    let mut keys = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&file).unwrap();
    writeln!(keys, "[default]\naws_access_key_id=id\naws_secret_access_key={SECRET}").unwrap();
    let config = S3Config {
        endpoint: Some(endpoint.to_owned()),
        credentials: Some(file),
        ..S3Config::new(place.parse().unwrap())
    };
    S3::open_with(&config, stall).unwrap()
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
    let peer = Storage::start();
    for key in ["snapshot-other", "a/folder/other", "a/folder/below/snapshot-1", "a/folder-2/snapshot-1"] {
        peer.put(key, "not ours");
    }
    is_whole(&s3(&peer)).await;
    assert_eq!(peer.names().iter().filter(|name| !name.starts_with("a/folder/snapshot-")).count(), 4);
    let asked = peer.asked().join("\n");
    assert!(asked.contains("X-Amz-Signature=") && !asked.contains(SECRET));
}

#[tokio::test]
async fn retention_removes_only_what_a_schedule_put_there() {
    let peer = Storage::start();
    let others = ["snapshot-before-upgrade", "snapshot-20260101T000000Z-r1.old", "notes", "snapshot-"];
    let ours = (1..=7).map(|day| format!("snapshot-2026010{day}T000000Z-r{day}"));
    for name in others.into_iter().map(str::to_owned).chain(ours) {
        peer.put(&format!("a/folder/{name}"), "v");
    }
    let now = "2026-02-01T00:00:00Z".parse().unwrap();
    let gone = crate::snapshots::prune_s3(&s3(&peer), 2, now).await.unwrap();
    assert_eq!(gone.len(), 5);
    let left = peer.names();
    for kept in others.into_iter().chain(["snapshot-20260106T000000Z-r6", "snapshot-20260107T000000Z-r7"]) {
        assert!(left.contains(&format!("a/folder/{kept}")), "{kept}: {left:?}");
    }
    assert_eq!(left.len(), others.len() + 2);
}

#[tokio::test]
async fn a_storage_in_trouble_is_left_in_time_and_nothing_half_is_there() {
    let peer = Storage::start();
    let dir = tempfile::tempdir().unwrap();
    // More than the kernel keeps for a peer that does not read.
    let path = file(dir.path(), 24 << 20);
    let troubles = [
        Trouble::Refuses,
        Trouble::NoBucket,
        Trouble::Full,
        Trouble::Busy,
        Trouble::Silent,
        Trouble::StopsTaking,
        Trouble::CutsUpload,
        Trouble::Garbles,
    ];
    for trouble in troubles {
        peer.set(trouble);
        let stall = if matches!(trouble, Trouble::Silent | Trouble::StopsTaking) { SOON } else { LATE };
        let error =
            open_with(peer.endpoint(), "s3://bucket/a/folder", stall).save(&path, "snapshot-1").await.unwrap_err();
        println!("{trouble:?}: {error}");
        let as_expected = match trouble {
            Trouble::Refuses => {
                matches!(&error, S3Error::Refused { status: 403, code, .. } if code == "SignatureDoesNotMatch")
            }
            Trouble::NoBucket => matches!(error, S3Error::NoBucket { .. }) && error.to_string().contains("create it"),
            Trouble::Full => error.to_string().contains("507 XMinioStorageFull Storage backend is full."),
            Trouble::Busy => matches!(error, S3Error::Refused { status: 503, .. }),
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
    s3(&peer).save(&path, "snapshot-1").await.unwrap();
    peer.set(Trouble::CutsDownload);
    let back = dir.path().join("back");
    let error = s3(&peer).fetch("snapshot-1", &back).await.unwrap_err();
    assert!(matches!(error, S3Error::Unreachable { .. }), "{error}");
    assert!(!back.exists());
}

#[tokio::test]
async fn nobody_there_and_nobody_to_trust() {
    // Held by a socket that does not listen, so that nobody else gets the port.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = held.local_addr().unwrap();
    let error = open(&format!("http://{free}"), "s3://bucket").list("").await.unwrap_err();
    assert!(matches!(error, S3Error::Unreachable { .. }), "{error}");
    // What speaks no TLS is not asked in the open.
    let peer = Storage::start();
    let tls = open_with(&peer.endpoint().replace("http:", "https:"), "s3://bucket", SOON);
    let error = tls.list("").await.unwrap_err();
    assert!(matches!(error, S3Error::Unreachable { .. } | S3Error::Stalled { .. }), "{error}");
    assert!(peer.asked().is_empty());
    let config = S3Config { credentials: Some("/nonexistent".into()), ..S3Config::new("s3://b".parse().unwrap()) };
    assert!(matches!(S3::open(&config), Err(S3Error::Io { .. })));
}

/// A storage by this certificate, and the file of its authority.
fn secure(dir: &Path) -> (Storage, std::path::PathBuf) {
    let authority = pki::Authority::generate("of the storage").unwrap();
    let leaf = pki::Leaf::server("storage", &["localhost"], &["127.0.0.1".parse().unwrap()]);
    let serving = pki::ServingCertificate::new(&authority.issue(&leaf).unwrap()).unwrap();
    let config = pki::server_config(serving, authority.certificate_pem()).unwrap();
    let file = dir.join("ca.crt");
    std::fs::write(&file, authority.certificate_pem()).unwrap();
    (Storage::secure(Arc::new(config)), file)
}

#[tokio::test]
async fn only_the_authority_that_was_named_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, ca) = secure(dir.path());
    let with = |ca: Option<&Path>| {
        let keys = dir.path().join("keys");
        if !keys.exists() {
            let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&keys).unwrap();
            writeln!(file, "aws_access_key_id=id\naws_secret_access_key={SECRET}").unwrap();
        }
        let place = "s3://bucket/a/folder".parse().unwrap();
        let endpoint = Some(storage.endpoint().to_owned());
        let config = S3Config { endpoint, ca: ca.map(Path::to_owned), credentials: Some(keys), ..S3Config::new(place) };
        S3::open_with(&config, LATE).unwrap()
    };
    is_whole(&with(Some(&ca))).await;
    let other = dir.path().join("other.crt");
    std::fs::write(&other, pki::Authority::generate("of another").unwrap().certificate_pem()).unwrap();
    let before = storage.asked().len();
    for untrusted in [None, Some(&*other)] {
        let error = with(untrusted).list("").await.unwrap_err().to_string();
        assert!(error.contains("certificate") && error.contains("--s3-ca"), "{error}");
    }
    assert_eq!(storage.asked().len(), before, "a signature was sent to who is not trusted");
}

#[test]
fn keys_that_others_can_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    std::fs::write(&keys, format!("aws_access_key_id=id\naws_secret_access_key={SECRET}\n")).unwrap();
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    let config = S3Config { credentials: Some(keys.clone()), ..S3Config::new("s3://b".parse().unwrap()) };
    let error = S3::open(&config).err().unwrap().to_string();
    assert!(error.contains("chmod 600") && !error.contains(SECRET), "{error}");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
    S3::open(&config).unwrap();
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
