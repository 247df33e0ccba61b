//! Clusters that were off for longer than their certificates lived.

use std::{fs, path::Path};

use pki::Leaf;
use testkit::{Agent, ApiServer, Node, eventually};

use super::{aged, config_map};

fn is_valid(pki: &Path, name: &str) -> bool {
    pki::is_valid_now(&fs::read_to_string(pki.join(format!("{name}.crt"))).unwrap())
}

#[test]
fn a_server_that_was_off_for_years_starts_and_is_the_same_cluster() {
    let mut server = ApiServer::start();
    server.kubectl().apply(&config_map("kept"));
    server.kill();
    let pki = server.data_dir().join("pki");
    let key = fs::read_to_string(pki.join("ca.key")).unwrap();
    aged::server(&server.data_dir());
    let names = ["ca", "kubelet-ca", "apiserver", "admin", "apiserver-kubelet-client"];
    assert!(names.iter().all(|name| !is_valid(&pki, name)));
    let forgotten = fs::read_to_string(pki.join("ca.crt")).unwrap();
    server.start_again();
    for name in names {
        assert!(is_valid(&pki, name), "{name}");
    }
    assert_eq!(fs::read_to_string(pki.join("ca.key")).unwrap(), key);
    // Unmodified kubectl judges all of the chain, the authority too.
    for kubectl in server.kubectls() {
        assert_eq!(kubectl.value("cm/kept", "{.data.key}"), "1");
    }
    // Whoever trusts the authority as it was goes on trusting the server.
    let old = server.folder().join("old-ca.crt");
    fs::write(&old, forgotten).unwrap();
    let chain = server.folder().join("apiserver.crt");
    fs::copy(pki.join("apiserver.crt"), &chain).unwrap();
    let mut openssl = std::process::Command::new("openssl");
    let verified = openssl.args(["verify", "-no_check_time", "-CAfile"]).arg(&old).arg(&chain).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// Everything has ended: the server renews its own at its start, and the agent says how it is let in again, and is the
/// same node with the same pods then.
#[test]
fn an_agent_that_was_off_for_years_says_how_it_is_let_in_again() {
    let roomy = ["--eviction-hard=", "--image-gc-high-threshold=100"];
    let mut server = Node::start_with(&roomy);
    let mut agent = Agent::beside(&server);
    agent.start(&server, &["--token", &crate::agent::token(&server, &[])]);
    crate::agent::is(&server.kubectl(), "True");
    let subnet = server.kubectl().value("node/second", "{.spec.podCIDR}");
    let uid = server.kubectl().value("node/second", "{.metadata.uid}");
    agent.kill();
    server.kill();
    let (of_server, of_agent) = (server.data_dir().join("pki"), agent.folder().join("data/pki"));
    let node = "system:node:second";
    let client = Leaf::client(node, Some("system:nodes"));
    aged::leaf(&of_agent, "kubelet-client", (&of_server, "ca", "kubernetes"), &client);
    let chain = fs::read_to_string(of_agent.join("kubelet.crt")).unwrap();
    aged::leaf(&of_agent, "kubelet", (&of_server, "kubelet-ca", "kubelet"), &Leaf::server(node, &[], &[]));
    let leaf = fs::read_to_string(of_agent.join("kubelet.crt")).unwrap();
    fs::write(of_agent.join("kubelet.crt"), leaf + &chain[chain.rfind("-----BEGIN CERT").unwrap()..]).unwrap();
    aged::server(&server.data_dir());
    server.launch();
    eventually("the server is there", || {
        let ready = server.kubectl().run(["get", "--raw", "/readyz"]);
        if ready.stdout == "ok" { Ok(()) } else { Err(ready) }
    });

    let told = agent.gives_up(&server, &[]);
    let line = told.trim().lines().last().unwrap_or_default();
    for part in
        ["knarr: the certificate of this node ended on 20", "--token once more", "knarr token create --node second"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    // A token for anybody does not make one a node that is known.
    let told = agent.gives_up(&server, &["--token", &crate::agent::token(&server, &[])]);
    assert!(told.contains("there is a node \"second\" already") && told.contains("--node second"), "{told}");
    let token = crate::agent::token(&server, &["--node", "second"]);
    agent.start(&server, &["--token", &token]);
    crate::agent::is(&server.kubectl(), "True");
    assert_eq!(server.kubectl().value("node/second", "{.spec.podCIDR}"), subnet);
    assert_eq!(server.kubectl().value("node/second", "{.metadata.uid}"), uid);
    // That it is ready may have been said before it was off.
    server.kubectl().until("get --raw /api/v1/nodes/second/proxy/healthz", |seen| seen == "ok");
    // From then on without.
    agent.kill();
    agent.start(&server, &[]);
    eventually("it speaks to the server again", || {
        let log = agent.log();
        if log.matches("running").count() >= 2 { Ok(()) } else { Err(log) }
    });
}
