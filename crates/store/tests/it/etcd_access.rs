//! Who is let in: certificates on both sides and their replacement, users and passwords, and what is told at once.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use store::{
    ConnectError, EtcdConfig, EtcdIdentity, EtcdLogin, EtcdPassword, EtcdTls, EtcdTrouble, Store, Write, WriteError,
};
use testkit::{Etcd, EtcdCertificates};
use tokio::time::{Instant, timeout};

use crate::ground::{config, eventually, folder};

const PASSWORD: &str = "open-sesame-7";
/// What never succeeds is told long before a store would give up waiting.
const AT_ONCE: Duration = Duration::from_secs(60);

fn tls(folder: &Path) -> EtcdTls {
    let file = |name: &str| folder.join(name);
    let identity = EtcdIdentity { certificate_file: file("client.crt"), key_file: file("client.key") };
    EtcdTls { ca_file: file("ca.crt"), identity: Some(identity) }
}

fn with(member: &Etcd, tls: Option<EtcdTls>) -> EtcdConfig {
    EtcdConfig { tls, connect_timeout: Duration::from_secs(60), ..config([member.endpoint()]) }
}

/// Copies, which can be replaced.
fn copied(certificates: &EtcdCertificates) -> (tempfile::TempDir, EtcdTls) {
    let copies = folder();
    for name in ["ca.crt", "client.crt", "client.key"] {
        std::fs::copy(certificates.path(name), copies.path().join(name)).unwrap();
    }
    let tls = tls(copies.path());
    (copies, tls)
}

async fn refused(config: EtcdConfig) -> ConnectError {
    let begun = Instant::now();
    let refused = Store::connect(EtcdConfig { start_timeout: Duration::from_secs(120), ..config }).await;
    assert!(begun.elapsed() < AT_ONCE, "after {:?}", begun.elapsed());
    refused.err().expect("it is refused")
}

#[tokio::test]
async fn members_ask_for_certificates() {
    let member = Etcd::start_secure();
    let (copies, tls) = copied(member.certificates());
    let store = Store::connect(with(&member, Some(tls.clone()))).await.unwrap();
    store.commit(Write::put(&b"k"[..], "v")).await.unwrap();

    assert!(matches!(refused(with(&member, None)).await, ConnectError::NoAuthority { .. }));
    let nobody = refused(with(&member, Some(EtcdTls { identity: None, ..tls.clone() }))).await;
    assert!(matches!(nobody, ConnectError::Hopeless(EtcdTrouble::Unwelcome { .. })), "{nobody:?}");
    let others = EtcdCertificates::make();
    let stranger = refused(with(&member, Some(EtcdTls { ca_file: others.path("ca.crt"), ..tls.clone() }))).await;
    assert!(matches!(stranger, ConnectError::Hopeless(EtcdTrouble::Untrusted { .. })), "{stranger:?}");
    let identity = EtcdIdentity { certificate_file: others.path("client.crt"), key_file: others.path("client.key") };
    let of_another = refused(with(&member, Some(EtcdTls { identity: Some(identity), ..tls.clone() }))).await;
    assert!(matches!(of_another, ConnectError::Hopeless(EtcdTrouble::Unwelcome { .. })), "{of_another:?}");
    std::fs::write(copies.path().join("ca.crt"), "none").unwrap();
    assert!(matches!(refused(with(&member, Some(tls))).await, ConnectError::Tls { .. }));

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoints = vec![format!("https://{}", listener.local_addr().unwrap())];
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").unwrap();
    });
    let authority = EtcdTls { ca_file: member.certificates().path("ca.crt"), identity: None };
    let no_tls = refused(EtcdConfig { endpoints, ..with(&member, Some(authority)) }).await;
    assert!(matches!(no_tls, ConnectError::Hopeless(EtcdTrouble::NoTls { .. })), "{no_tls:?}");
}

/// An etcd that speaks otherwise than its endpoint says looks like one that does not run yet; it is told at once.
#[tokio::test]
async fn the_wrong_scheme_is_told_at_once() {
    let (open, secure) = (Etcd::start(), Etcd::start_secure());
    let as_started = || EtcdConfig { connect_timeout: Duration::from_secs(2), ..config([String::new()]) };
    let authority = EtcdTls { ca_file: secure.certificates().path("ca.crt"), identity: None };
    let begun = Instant::now();
    let endpoints = vec![open.endpoint().replace("http://", "https://")];
    let no_tls = refused(EtcdConfig { endpoints, tls: Some(authority), ..as_started() }).await;
    assert!(matches!(no_tls, ConnectError::Hopeless(EtcdTrouble::NoTls { .. })), "{no_tls:?}");
    let endpoints = vec![secure.endpoint().replace("https://", "http://")];
    let only_tls = refused(EtcdConfig { endpoints, ..as_started() }).await;
    assert!(matches!(only_tls, ConnectError::Hopeless(EtcdTrouble::OnlyTls { .. })), "{only_tls:?}");
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

/// A handshake that takes its time, and a member that ends in the middle of one, are no mistakes.
#[tokio::test]
async fn slow_tls_is_tls() {
    let member = Etcd::start_secure();
    let address = member.endpoint().replace("https://", "");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let mut proxy = tokio::task::JoinSet::new();
    proxy.spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        // The first is cut off in the handshake; the others wait.
        drop(listener.accept().await.unwrap());
        loop {
            let (mut here, _) = listener.accept().await.unwrap();
            let address = address.clone();
            connections.spawn(async move {
                tokio::time::sleep(Duration::from_millis(900)).await;
                let mut there = tokio::net::TcpStream::connect(address).await.unwrap();
                tokio::io::copy_bidirectional(&mut here, &mut there).await.ok();
            });
        }
    });
    let config = with(&member, Some(tls(member.certificates().path("ca.crt").parent().unwrap())));
    let store = Store::connect(EtcdConfig { endpoints: vec![endpoint], ..config }).await.unwrap();
    store.commit(Write::put(&b"k"[..], "v")).await.unwrap();
}

/// What is wrong with the member's certificate, in words.
#[tokio::test]
async fn a_certificate_that_is_not_accepted_says_why() {
    let says = async |member: &Etcd, ca_file: PathBuf, expected: &str| {
        let identity = tls(member.certificates().path("ca.crt").parent().unwrap()).identity;
        let refused = refused(with(member, Some(EtcdTls { ca_file, identity }))).await;
        let ConnectError::Hopeless(trouble) = &refused else { panic!("{refused:?}") };
        let told = trouble.to_string();
        assert!(told.contains(&member.endpoint()) && told.ends_with(expected) && !told.contains('\n'), "{told}");
    };
    let member = Etcd::start_secure();
    let others = EtcdCertificates::make();
    says(&member, others.path("ca.crt"), "none of the given authorities has signed it").await;
    drop(member);
    let member = Etcd::start_with_certificates(EtcdCertificates::of_another_name());
    says(&member, member.certificates().path("ca.crt"), "it is for another name or address").await;
    drop(member);
    let member = Etcd::start_with_certificates(EtcdCertificates::expired());
    says(&member, member.certificates().path("ca.crt"), "it has expired").await;
}

#[tokio::test]
async fn what_can_be_mended_elsewhere_is_waited_for() {
    let mut member = Etcd::start();
    let both = vec!["https://127.0.0.1:1".to_owned(), member.endpoint()];
    let authority = EtcdCertificates::make();
    let tls = Some(EtcdTls { ca_file: authority.path("ca.crt"), identity: None });
    member.kill();
    let mut connecting = std::pin::pin!(Store::connect(EtcdConfig { endpoints: both, tls, ..config([String::new()]) }));
    let waits = timeout(Duration::from_secs(2), &mut connecting).await;
    assert!(waits.is_err(), "a member that does not run yet is no mistake");
    member.start_again();
    connecting.await.unwrap();
}

#[tokio::test]
async fn a_certificate_is_replaced_under_a_running_store() {
    let mut member = Etcd::start_secure();
    let (copies, tls) = copied(member.certificates());
    let config = EtcdConfig { connect_timeout: Duration::from_secs(5), ..with(&member, Some(tls)) };
    let store = Store::connect(config).await.unwrap();
    store.commit(Write::put(&b"k"[..], "1")).await.unwrap();

    // A new authority, for both sides: what was read at first is worth nothing any more.
    member.kill();
    member.renew_certificates();
    member.start_again();
    let new = |name: &str| std::fs::copy(member.certificates().path(name), copies.path().join(name)).unwrap();
    // For a moment the key does not fit its certificate.
    new("ca.crt");
    new("client.crt");
    let misfit = store.commit(Write::put(&b"k"[..], "2")).await;
    assert!(misfit.is_err(), "{misfit:?}");
    new("client.key");
    eventually("the new certificate is used", async || store.commit(Write::put(&b"k"[..], "3")).await.is_ok()).await;
    eventually("changes come", async || store.health().etcd.is_some_and(|etcd| etcd.is_well())).await;
}

fn login(password: EtcdPassword) -> EtcdLogin {
    EtcdLogin { user: "knarr".to_owned(), password }
}

/// Who has the password of a user that may do everything below `/test/`, and nothing else.
fn guarded(flags: &[&str]) -> Etcd {
    let member = Etcd::start_with(flags);
    let add = |user: &str, password: &str, role: &str| {
        member.call("auth/role/add", &json!({"name": role}));
        member.call("auth/user/add", &json!({"name": user, "password": password}));
        member.call("auth/user/grant", &json!({"user": user, "role": role}));
    };
    add("root", "root", "root");
    add("knarr", PASSWORD, "cluster");
    add("reader", PASSWORD, "read");
    let (key, range_end) = (Etcd::base64(b"/test/"), Etcd::base64(b"/test0"));
    for (role, kind) in [("cluster", "READWRITE"), ("read", "READ")] {
        let perm = json!({"permType": kind, "key": key, "range_end": range_end});
        member.call("auth/role/grant", &json!({"name": role, "perm": perm}));
    }
    let perm = json!({"permType": "READWRITE", "key": Etcd::base64(b"compact_rev_key")});
    member.call("auth/role/grant", &json!({"name": "cluster", "perm": perm}));
    member.call("auth/enable", &json!({}));
    member
}

fn token_of_root(member: &Etcd) -> String {
    let root = member.call("auth/authenticate", &json!({"name": "root", "password": "root"}));
    root["token"].as_str().unwrap().to_owned()
}

fn password_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = folder();
    let file = folder.path().join("password");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

#[tokio::test]
async fn a_user_logs_in_and_no_other_is_let_in() {
    let member = guarded(&[]);
    let (_folder, file) = password_file(&format!("{PASSWORD}\n"));
    let plain = with(&member, None);
    let user = |login| EtcdConfig { login: Some(login), ..plain.clone() };
    let right = EtcdConfig { compact_every: Some(Duration::from_millis(200)), ..user(login(EtcdPassword::File(file))) };
    let store = Store::connect(right).await.unwrap();
    let mut watch = store.watch(b"", store.revision()).unwrap();
    store.commit(Write::put(&b"k"[..], "v")).await.unwrap();
    assert_eq!(watch.next().await.unwrap()[0].current.as_ref().unwrap().value, "v");
    assert_eq!(store.current().await.unwrap().get(b"k").unwrap().value, "v");
    store.commit(Write::put(&b"limited"[..], "v").lasting(Duration::from_secs(3600))).await.unwrap();

    // All that a server needs may be done, and nothing is complained of.
    let token = token_of_root(&member);
    let old = json!({"key": Etcd::base64(b"/test/k"), "revision": "1"});
    eventually("history is compacted", async || {
        store.commit(Write::put(&b"k"[..], "v")).await.unwrap();
        member.try_call_as(&token, "kv/range", &old).is_err_and(|error| error.contains("has been compacted"))
    })
    .await;
    let etcd = store.health().etcd.unwrap();
    assert!(etcd.is_well() && etcd.trouble.is_none(), "{etcd:?}");

    let wrong = refused(user(login(EtcdPassword::Given("not-it-2".into())))).await;
    assert!(matches!(wrong, ConnectError::Hopeless(EtcdTrouble::Refused { .. })), "{wrong:?}");
    assert!(format!("{wrong:?}").contains("authentication failed"), "{wrong:?}");
    let nobody = refused(plain.clone()).await;
    assert!(format!("{nobody:?}").contains("user name is empty"), "{nobody:?}");
    let lost = refused(user(login(EtcdPassword::File("/nowhere/password".into())))).await;
    assert!(matches!(lost, ConnectError::Hopeless(EtcdTrouble::NoPassword { .. })), "{lost:?}");
    let elsewhere = EtcdConfig { prefix: b"/other/".to_vec(), ..user(login(EtcdPassword::Given(PASSWORD.into()))) };
    let denied = refused(elsewhere).await;
    assert!(format!("{denied:?}").contains("permission denied"), "{denied:?}");
    let reader = EtcdLogin { user: "reader".to_owned(), password: EtcdPassword::Given(PASSWORD.into()) };
    match Store::connect(user(reader)).await {
        Ok(store) => {
            let denied = store.commit(Write::put(&b"k"[..], "x")).await;
            assert!(matches!(denied, Err(WriteError::Unavailable(EtcdTrouble::Refused { .. }))), "{denied:?}");
        }
        Err(denied) => assert!(format!("{denied:?}").contains("permission denied"), "{denied:?}"),
    }
    let away = EtcdConfig {
        endpoints: vec!["http://10.255.255.1:2379".to_owned()],
        ..user(login(EtcdPassword::Given(PASSWORD.into())))
    };
    assert!(matches!(refused(away).await, ConnectError::PasswordInTheClear { .. }));
    for shown in [format!("{wrong:?}{denied:?}"), format!("{:?}", login(EtcdPassword::Given(PASSWORD.into())))] {
        assert!(!shown.contains(PASSWORD) && !shown.contains("not-it-2"), "{shown}");
    }
}

#[tokio::test]
async fn a_login_is_renewed() {
    let mut member = guarded(&["--auth-token-ttl=4"]);
    let (_folder, file) = password_file(PASSWORD);
    let config = EtcdConfig { login: Some(login(EtcdPassword::File(file.clone()))), ..with(&member, None) };
    let store = Arc::new(Store::connect(config).await.unwrap());
    let mut watch = store.watch(b"k", store.revision()).unwrap();
    let put = async |value: String| store.commit(Write::put(&b"k"[..], value)).await.unwrap();
    // Longer than etcd remembers a token that is not used, and that is longer than a loaded machine takes to use one.
    tokio::time::sleep(Duration::from_secs(9)).await;
    let many = futures::future::join_all((0..50).map(|n| put(n.to_string()))).await;
    assert_eq!(many.len(), 50);
    // Whoever changes users makes all tokens old.
    member.call_as(&token_of_root(&member), "auth/user/changepw", &json!({"name": "knarr", "password": "another-9"}));
    std::fs::write(&file, "another-9").unwrap();
    put("changed".to_owned()).await;
    // A member that starts knows no token of before.
    member.kill();
    member.start_again();
    eventually("it goes on", async || store.commit(Write::put(&b"k"[..], "last")).await.is_ok()).await;
    loop {
        let seen = timeout(Duration::from_secs(60), watch.next()).await.expect("changes come").unwrap();
        if seen.iter().any(|event| event.current.as_ref().is_some_and(|kv| kv.value == "last")) {
            break;
        }
    }
}
