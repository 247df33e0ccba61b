//! What a server is not started with.

use serde_json::json;
use testkit::{ApiServer, Etcd};

use super::server;

/// Said by a server that waited for an etcd that may come yet, until it had no more patience.
const WAITED: &str = "gave an answer within";

#[test]
fn another_clusters_keys_are_refused() {
    let etcd = Etcd::start();
    let endpoint = etcd.endpoint();
    let first = server(&etcd, &[]);
    // A new folder has no keys yet, and gets none of its own.
    let other = ApiServer::not_started(&["--datastore-endpoint", &endpoint]);
    let refused = other.gives_up();
    assert!(refused.contains("that other servers serve") && refused.contains("pki/ca.key"), "{refused}");
    assert!(!other.data_dir().join("pki/ca.crt").exists());
    // Half of them are not enough.
    let alone = ApiServer::not_started(&[]);
    other.take_keys_of(&first);
    drop(alone);
    let stranger = ApiServer::start();
    for name in ["pki/ca.crt", "pki/ca.key"] {
        std::fs::copy(stranger.data_dir().join(name), other.data_dir().join(name)).unwrap();
    }
    let refused = other.gives_up();
    assert!(refused.contains("whose keys differ") && refused.contains("pki/ca.crt"), "{refused}");
    // Below another prefix there is room for another cluster.
    let mut blue = ApiServer::not_started(&["--datastore-endpoint", &endpoint, "--etcd-prefix", "/blue"]);
    blue.start_again();
    blue.kubectl().ok("create cm of-blue");
    assert!(first.kubectl().fails("get cm of-blue").contains("NotFound"));
    // The folder knows where its cluster is.
    blue.kill();
    blue.set_flags(&[]);
    assert!(blue.gives_up().contains(&format!("give --datastore-endpoint {endpoint}")));
}

#[test]
fn a_wrong_way_to_etcd_is_told() {
    let etcd = Etcd::start_secure();
    let endpoint = etcd.endpoint();
    let file = |name: &str| etcd.certificates().path(name).to_str().unwrap().to_owned();
    let (ca, certificate, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
    let refused = |flags: &[&str]| ApiServer::not_started(flags).gives_up();
    let with_ca = ["--datastore-endpoint", &endpoint, "--datastore-cafile", &ca];
    assert!(refused(&["--datastore-endpoint", &endpoint]).contains("need --datastore-cafile"));
    assert!(refused(&["--datastore-endpoint", "mysql://x"]).contains("only etcd is supported"));
    assert!(refused(&["--datastore-cafile", &ca]).contains("no --datastore-endpoint"));
    assert!(
        refused(&["--datastore-endpoint", "http://127.0.0.1:1", "--storage-media-type", "yaml"])
            .contains("--storage-media-type")
    );
    assert!(refused(&[&with_ca[..], &["--datastore-certfile", &certificate]].concat()).contains("go together"));
    let mut server = ApiServer::not_started(
        &[&with_ca[..], &["--datastore-certfile", &certificate, "--datastore-keyfile", &key]].concat(),
    );
    server.start_again();
    server.kubectl().ok("create cm a");
    let open = Etcd::start();
    let said =
        refused(&["--datastore-endpoint", &open.endpoint().replace("http:", "https:"), "--datastore-cafile", &ca]);
    assert!(said.contains("does not speak TLS: an etcd without TLS is named by http://"), "{said}");
    let said = refused(&["--datastore-endpoint", &endpoint.replace("https:", "http:")]);
    assert!(said.contains("speaks TLS only: it is named by https://"), "{said}");
    let stranger = server.data_dir().join("pki/ca.crt");
    let refused = refused(&["--datastore-endpoint", &endpoint, "--datastore-cafile", stranger.to_str().unwrap()]);
    assert!(refused.contains(&endpoint) && refused.to_lowercase().contains("certificate"), "{refused}");
    assert!(!refused.contains(WAITED), "{refused}");
}

#[test]
fn a_user_of_etcd_is_let_in_by_a_password_that_nobody_sees() {
    const PASSWORD: &str = "treasure-of-the-house";
    let etcd = Etcd::start();
    etcd.call("auth/user/add", &json!({"name": "root", "password": PASSWORD}));
    etcd.call("auth/user/grant", &json!({"user": "root", "role": "root"}));
    etcd.call("auth/enable", &json!({}));
    let endpoint = etcd.endpoint();
    let user = ["--datastore-endpoint", &endpoint, "--datastore-username", "root"];
    let mut server = ApiServer::not_started(&user);
    let refused = server.gives_up();
    assert!(refused.contains("--datastore-password-file, or set KNARR_DATASTORE_PASSWORD"), "{refused}");
    let file = server.folder().join("password");
    std::fs::write(&file, "wrong-one").unwrap();
    let path = file.to_str().unwrap().to_owned();
    server.set_flags(&[&user[..], &["--datastore-password-file", &path]].concat());
    let refused = server.gives_up();
    assert!(refused.contains("authentication failed") && !refused.contains("wrong-one"), "{refused}");
    assert!(!refused.contains(WAITED), "{refused}");

    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    server.start_again();
    server.kubectl().ok("create cm a");
    let words = std::fs::read_to_string(format!("/proc/{}/cmdline", server.process().pid())).unwrap();
    assert!(words.contains("--datastore-username") && !words.contains(PASSWORD), "{words}");
    assert!(!server.process().log().contains(PASSWORD));
}
