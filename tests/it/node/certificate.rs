//! A person gets a certificate: asks, is approved, and is let in by it.

use base64::Engine;
use client::kubeconfig::{self, Credentials};
use pki::Leaf;
use testkit::eventually;

use super::shared;
use crate::api::certificate::request;

#[test]
fn a_person_is_let_in_by_an_approved_certificate() {
    let node = shared();
    let kubectl = node.kubectl();
    let signer = "kubernetes.io/kube-apiserver-client";
    let (manifest, key) = request("alice", signer, &Leaf::client("alice", Some("devs")));
    kubectl.apply(&manifest);
    let (other, _) = request("mallory", signer, &Leaf::client("mallory", Some("devs")));
    kubectl.apply(&other.replace("client auth", "server auth"));
    kubectl.ok("certificate approve alice mallory");
    let signed = eventually("the certificate is there", || {
        let encoded = kubectl.value("csr/alice", "{.status.certificate}");
        let pem = base64::engine::general_purpose::STANDARD.decode(encoded).ok().filter(|pem| !pem.is_empty());
        pem.ok_or_else(|| kubectl.ok("get csr"))
    });
    eventually("what the signer does not sign has failed", || {
        let failed = kubectl.value("csr/mallory", "{.status.conditions[?(@.type==\"Failed\")]['reason','message']}");
        let expected = "SignerValidationFailure invalid usage for client certificate: server auth";
        if failed == expected { Ok(()) } else { Err(failed) }
    });
    let config = node.folder().join("alice.kubeconfig");
    let authority = std::fs::read_to_string(node.data_dir().join("pki/ca.crt")).unwrap();
    let certificate_pem = String::from_utf8(signed).unwrap();
    let credentials = Credentials::Certificate { certificate_pem, key_pem: key.key_pem };
    let value = kubeconfig::single("knarr", "https://127.0.0.1:6443", &authority, "alice", credentials);
    kubeconfig::write(&config, &value).unwrap();
    let alice = |words: &str| {
        let words = format!("--kubeconfig={} {words}", config.display());
        kubectl.run(words.split_whitespace())
    };
    let refused = alice("get configmaps").fails();
    assert!(refused.contains("User \"alice\" cannot list resource \"configmaps\""), "{refused}");
    kubectl.ok("create rolebinding devs --clusterrole=view --group=devs");
    // The authorizer follows the stored roles by a watch.
    eventually("alice is let in", || {
        let answer = alice("get configmaps");
        if answer.is_success() { Ok(()) } else { Err(answer) }
    });
}
