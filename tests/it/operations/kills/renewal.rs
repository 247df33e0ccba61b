//! A server whose certificates have all ended dies while it renews them at its start; an agent dies while it exchanges
//! its own for new ones.

use std::{fs, path::PathBuf};

use pki::{Folder, Leaf};
use testkit::{Agent, Node, deadly, deadly_about, eventually};

use super::*;
use crate::operations::aged;

#[test]
fn certificates_are_old_or_new_and_never_lost() {
    let mut dice = dice();
    let mut server = cluster();
    let pki = server.data_dir().join("pki");
    let keys = ["ca.key", "kubelet-ca.key", "sa.key"].map(|name| std::fs::read(pki.join(name)).unwrap());
    aged::server(&server.data_dir());
    let last = count_start(&mut server);
    println!("{last:?}");
    let mut deaths = 0;
    // The first of a kind is always reached; the others may fall to another thread than when they were counted.
    let sure = [(last[0].0, 1)];
    for (call, nth) in places(&last, &mut dice).into_iter().chain(sure) {
        aged::server(&server.data_dir());
        // A second death may meet what the first has left.
        for nth in [nth, 1 + nth / 2] {
            let serves = server.serves(deadly(&server.command(), call, nth));
            println!("{call} {nth}: {}", if serves { "not killed" } else { "killed" });
            deaths += usize::from(!serves);
            if serves {
                server.kill();
            }
        }
        server.start_again();
        is_whole(&server);
        server.kill();
        for (name, key) in ["ca.key", "kubelet-ca.key", "sa.key"].iter().zip(&keys) {
            assert!(std::fs::read(pki.join(name)).unwrap() == *key, "{name} is another");
        }
        for entry in std::fs::read_dir(&pki).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.ends_with(".pair"), "{name} is left");
            if name.ends_with(".crt") {
                let pem = std::fs::read_to_string(pki.join(&name)).unwrap();
                assert!(pki::is_valid_now(&pem), "{name}");
            }
        }
    }
    assert!(deaths > 0, "it never died");
}

/// The calls by which a thread keeps a pair: of each of three files content, name and folder, and the end of the first.
const CALLS_OF_A_PAIR: u32 = 10;

/// What renewal writes of these pairs, and where.
fn written(pki: &Path) -> Vec<PathBuf> {
    let files = ["kubelet-client", "kubelet"].into_iter().flat_map(|name| {
        let files = ["pair", "key", "crt"].map(|kind| format!("{name}.{kind}"));
        files.into_iter().flat_map(|file| [format!("{file}.new"), file])
    });
    files.map(|file| pki.join(file)).chain([pki.to_owned()]).collect()
}

/// Its certificates are to be renewed as soon as it runs, and are good yet.
fn make_due(of_server: &Path, of_agent: &Path) {
    let node = "system:node:second";
    let client = Leaf::client(node, Some("system:nodes"));
    aged::due_leaf(of_agent, "kubelet-client", (of_server, "ca", "kubernetes"), &client);
    let chain = fs::read_to_string(of_agent.join("kubelet.crt")).unwrap();
    let authority = &chain[chain.rfind("-----BEGIN CERT").unwrap()..];
    let mut serving = Leaf::server(node, &["second"], &["172.30.0.3".parse().unwrap()]);
    serving.organization = Some("system:nodes".to_owned());
    aged::due_leaf(of_agent, "kubelet", (of_server, "kubelet-ca", "kubelet"), &serving);
    let leaf = fs::read_to_string(of_agent.join("kubelet.crt")).unwrap();
    fs::write(of_agent.join("kubelet.crt"), leaf + authority).unwrap();
}

#[test]
fn an_agent_that_dies_while_it_renews_comes_back_as_itself() {
    let mut dice = dice();
    let server = Node::start_with(&["--eviction-hard=", "--image-gc-high-threshold=100"]);
    let mut agent = Agent::beside(&server);
    agent.start(&server, &["--token", &crate::agent::token(&server, &[])]);
    crate::agent::is(&server.kubectl(), "True");
    agent.kill();
    let (of_server, of_agent) = (server.data_dir().join("pki"), agent.folder().join("data/pki"));
    let uid = server.kubectl().value("node/second", "{.metadata.uid}");
    let mut deaths = 0;
    for (calls, nth) in places(&[("fsync,rename,unlink", CALLS_OF_A_PAIR)], &mut dice) {
        make_due(&of_server, &of_agent);
        let before = agent.log().matches("certificate renewed").count();
        agent.start_by(&server, |command| {
            let mut mortal = deadly_about(command, &written(&of_agent), calls, nth);
            // One thread makes them all.
            mortal.env("TOKIO_WORKER_THREADS", "1");
            mortal
        });
        let killed = eventually("it dies or has renewed both", || {
            if agent.has_ended() {
                return Ok(true);
            }
            let renewed = agent.log().matches("certificate renewed").count() - before;
            if renewed >= 2 { Ok(false) } else { Err(agent.log()) }
        });
        println!("{calls} {nth}: {}", if killed { "killed" } else { "not killed" });
        deaths += usize::from(killed);
        if !killed {
            agent.kill();
        }
        // Whatever it finds is a pair.
        let folder = Folder::open(&of_agent).unwrap();
        for name in ["kubelet-client", "kubelet"] {
            let pair = folder.pair(name).unwrap().expect("a certificate and its key");
            assert!(pki::is_valid_now(&pair.certificate_pem), "{name}");
        }
        agent.start(&server, &[]);
        eventually("it serves with a new certificate, and renewed both", || {
            let healthz = server.kubectl().run(["get", "--raw", "/api/v1/nodes/second/proxy/healthz"]);
            let of = |name: &&str| fs::read_to_string(of_agent.join(format!("{name}.crt"))).unwrap_or_default();
            let fresh = ["kubelet-client", "kubelet"].iter().filter(|name| !pki::is_due(&of(name))).count();
            if healthz.stdout == "ok" && fresh == 2 { Ok(()) } else { Err((healthz, fresh, agent.log())) }
        });
        assert_eq!(server.kubectl().value("node/second", "{.metadata.uid}"), uid);
        agent.kill();
        assert!(!of_agent.join("kubelet-client.pair").exists() && !of_agent.join("kubelet.pair").exists());
    }
    assert!(deaths > 0, "it never died");
}
