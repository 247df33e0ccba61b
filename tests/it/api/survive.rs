//! The server dies and comes back; what it said is done stays done.

use std::{
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use testkit::{ApiServer, knarr};

use super::config_map;

/// Kills of the daemon under load. A writer starts a kubectl for every write, so each life sees a handful of them.
const LIVES: usize = 8;
const WRITERS: usize = 3;

/// Writes until the server is gone; answers the names of all that was acknowledged.
fn write_until_gone(
    server: &ApiServer,
    life: usize,
    writer: usize,
    acknowledged: &Mutex<Vec<String>>,
    gone: &AtomicBool,
) {
    let kubectl = server.kubectl();
    for number in 0.. {
        let name = format!("w-{life}-{writer}-{number}");
        let said = kubectl.run_with(&config_map(&name, "x", &name), ["create", "-f", "-"]);
        if said.is_success() {
            acknowledged.lock().unwrap().push(name);
        } else if gone.load(Ordering::SeqCst) {
            return;
        } else {
            panic!("refused before the kill:\n{said}");
        }
    }
}

#[test]
fn a_killed_server_has_every_acknowledged_write() {
    let mut server = ApiServer::start();
    let acknowledged = Mutex::new(Vec::new());
    let mut revision = 0_u64;
    for life in 0..LIVES {
        let gone = AtomicBool::new(false);
        let pid = server.process().pid().to_string();
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (server, acknowledged, gone) = (&server, &acknowledged, &gone);
                scope.spawn(move || write_until_gone(server, life, writer, acknowledged, gone));
            }
            let enough = acknowledged.lock().unwrap().len() + 2 + life % 5;
            testkit::eventually("writes are acknowledged", || {
                let have = acknowledged.lock().unwrap().len();
                if have >= enough { Ok(()) } else { Err(have) }
            });
            gone.store(true, Ordering::SeqCst);
            assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        });
        server.kill();
        server.start_again();
        let list = server.kubectl().run(["get", "cm", "-o", "json"]).json();
        let names: Vec<&str> =
            list["items"].as_array().unwrap().iter().map(|o| o["metadata"]["name"].as_str().unwrap()).collect();
        for name in acknowledged.lock().unwrap().iter() {
            assert!(names.contains(&name.as_str()), "life {life}: {name} was acknowledged and is gone");
        }
        let raw = server.kubectl().run(["get", "--raw", "/api/v1/configmaps?limit=1"]).json();
        let now: u64 = raw["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        assert!(now >= revision, "the revision went back from {revision} to {now}");
        revision = now;
    }
}

/// Runs `knarr` to its end; answers what it printed on standard error.
fn refused(arguments: &[&str]) -> String {
    let output = Command::new(knarr()).args(arguments).env("KNARR_LOG", "error").stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} succeeded");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_cannot_start_says_why_in_one_line() {
    let server = ApiServer::start();
    let data = server.data_dir();
    let second = refused(&[
        "apiserver",
        "--data-dir",
        data.to_str().unwrap(),
        "--bind-address",
        "127.0.0.1",
        "--secure-port",
        "0",
    ]);
    assert_eq!(second.lines().count(), 1, "{second}");
    assert!(second.contains(data.to_str().unwrap()), "{second}");

    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let other = tempfile::tempdir().unwrap();
    let folder = other.path().join("data");
    let taken = refused(&[
        "apiserver",
        "--data-dir",
        folder.to_str().unwrap(),
        "--bind-address",
        "127.0.0.1",
        "--secure-port",
        &port,
    ]);
    assert_eq!(taken.lines().count(), 1, "{taken}");
    assert!(taken.contains(&port) && taken.contains("--secure-port"), "{taken}");

    let file = other.path().join("file");
    std::fs::write(&file, "").unwrap();
    let wrong = refused(&[
        "apiserver",
        "--data-dir",
        file.to_str().unwrap(),
        "--bind-address",
        "127.0.0.1",
        "--secure-port",
        "0",
    ]);
    assert_eq!(wrong.lines().count(), 1, "{wrong}");
    assert!(wrong.contains(file.to_str().unwrap()), "{wrong}");
}

#[test]
fn a_stop_is_clean_and_quick() {
    let mut server = ApiServer::start();
    server.kubectl().apply(&config_map("kept", "x", "1"));
    let status = server.process().stop(std::time::Duration::from_secs(60));
    assert!(status.success(), "{status}");
    server.kill();
    server.start_again();
    assert_eq!(server.kubectl().value("cm/kept", "{.data.key}"), "1");
}
