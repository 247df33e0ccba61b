//! The store saved from a running server, and restored where it is lost.

mod at_rest;

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use testkit::{ApiServer, knarr};

use super::config_map;

fn store(data_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(knarr());
    command.arg("store").args(arguments).arg("--data-dir").arg(data_dir).output().unwrap()
}

fn said(data_dir: &Path, arguments: &[&str]) -> String {
    let output = store(data_dir, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn refused(data_dir: &Path, arguments: &[&str]) -> String {
    let output = store(data_dir, arguments);
    assert!(!output.status.success(), "{arguments:?} succeeded");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn revision(server: &ApiServer) -> u64 {
    let list = server.kubectl().run(["get", "--raw", "/api/v1/configmaps?limit=1"]).json();
    list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_lost_store_is_restored_from_a_snapshot() {
    let mut server = ApiServer::start();
    let data = server.data_dir();
    server.kubectl().apply(&config_map("kept", "x", "1"));
    let file = server.folder().join("saved");
    let name = file.to_str().unwrap();
    assert!(said(&data, &["snapshot", "save", name]).contains("saved and checked"));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(said(&data, &["check", name]).contains("is whole"));
    assert!(refused(&data, &["snapshot", "save", name]).contains("there already"));
    server.kubectl().apply(&config_map("lost", "x", "1"));
    let seen = revision(&server);
    assert!(refused(&data, &["snapshot", "restore", name]).contains("overwrites nothing"));

    server.kill();
    assert!(refused(&data, &["snapshot", "restore", name]).contains("overwrites nothing"));
    std::fs::rename(data.join("store"), server.folder().join("lost")).unwrap();
    assert!(said(&data, &["snapshot", "restore", name]).contains("restored"));
    server.start_again();
    assert_eq!(server.kubectl().value("cm/kept", "{.data.key}"), "1");
    let names = server.kubectl().run(["get", "cm", "-o", "name"]).stdout;
    assert!(!names.contains("lost"), "{names}");
    assert!(revision(&server) > seen, "time went back");
    server.kubectl().apply(&config_map("new", "x", "1"));
}

#[test]
fn a_store_tells_how_it_is_running_or_not() {
    let mut server = ApiServer::start();
    let data = server.data_dir();
    let socket = data.join("store/control.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(data.join("store").metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let status = said(&data, &["status"]);
    assert!(status.contains("writes      ok") && status.contains("watches"), "{status}");
    assert!(said(&data, &["check"]).contains("the store is whole"));
    let floor = said(&data, &["compact"]);
    assert!(floor.starts_with("history before revision"), "{floor}");
    server.kill();
    assert!(refused(&data, &["status"]).contains("no server runs"));
    assert!(said(&data, &["check"]).contains("the store is whole"));
    let file = server.folder().join("offline");
    assert!(said(&data, &["snapshot", "save", file.to_str().unwrap()]).contains("saved and checked"));
    // Whatever was there before the server is no obstacle to its socket.
    server.start_again();
    said(&data, &["status"]);
}

#[test]
fn a_damaged_store_says_where_and_how_to_restore() {
    let mut server = ApiServer::start();
    let data = server.data_dir();
    server.kill();
    let logs = std::fs::read_dir(data.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let log = logs.filter(|path| path.to_str().unwrap().contains("/log-")).min().unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    for text in [refused(&data, &["check"]), String::from_utf8(server.command().output().unwrap().stderr).unwrap()] {
        let restore = format!("knarr store snapshot restore SNAPSHOT --data-dir {}", data.display());
        for part in [log.to_str().unwrap(), "at byte", "last good revision", &restore] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
}
