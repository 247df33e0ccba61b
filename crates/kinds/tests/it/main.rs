//! Recorded requests to a genuine API server, run through the kinds alone: decode, default, prepare, validate.
//! What a server adds on top (admission, allocation, storage) is left out of the comparison.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;

mod check;
mod corpus;
mod run;
mod sequence;

/// Cases whose answer was not made by a kind's rules, and those where v1.37 differs from the recording.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("subresources/status-merge-patch-of-services", "v1.37 keeps addresses of balancers to their services"),
    ("tables/table-of-a-scale", "a scale is not a kind of its own"),
    ("tables/table-of-priorityclasses", "v1.37 has a column more"),
    ("tables/table-of-services", "v1.37 keeps addresses of balancers to their services"),
    ("update/put-keeps-system-metadata", "the pipeline judges metadata"),
    ("validation/update-service-cluster-ip", "nothing was allocated here"),
    ("update/generate-name-long", "the server makes the name, cut to fit"),
    ("validation/configmap-annotation-too-large", "the recording holds no causes"),
    ("validation/configmap-owner-reference-duplicate-warns", "the server drops duplicate owners as it decodes"),
    ("validation/endpoints-bad-ip", "v1.37 says once that an address is none"),
    ("validation/node-bad-cidr", "v1.37 words networks alike everywhere"),
    ("validation/service-bad-source-range", "v1.37 words networks alike everywhere"),
    ("validation/service-external-policy-on-cluster-ip", "v1.37 knows external addresses too"),
    ("validation/service-ipv6-not-configured", "the allocator knows the families"),
    ("validation/service-node-port-out-of-range", "the allocator knows the range"),
    ("validation/service-require-dual-stack", "the allocator knows the families"),
    ("validation/pod-bad-dns-bad-nameserver", "v1.37 words addresses alike everywhere"),
    ("validation/pod-env-bad-name", "v1.37 takes any printable name"),
    ("validation/pod-env-equals-in-the-name", "v1.37 takes any printable name, and says so"),
    ("validation/pod-envfrom-bad-prefix", "v1.37 takes any printable prefix"),
    ("validation/pod-generate-name-too-long", "the server makes the name, cut to fit"),
];

const AREAS: &[&str] = &["create", "validation", "update", "subresources", "tables"];

#[test]
fn recorded_requests_are_answered_as_recorded() {
    match corpus::load(AREAS) {
        Some(cases) => judge(&run::all(&cases)),
        None => std::io::stderr().write_all(b"skipped: the recorded requests are not on this machine\n").unwrap(),
    }
}

#[test]
fn recorded_changes_and_tables_are_as_recorded() {
    match corpus::sequences(AREAS) {
        Some(sequences) => judge(&sequence::all(&sequences)),
        None => std::io::stderr().write_all(b"skipped: the recorded requests are not on this machine\n").unwrap(),
    }
}

fn judge(outcome: &run::Outcome) {
    println!("{} agree, {} are beyond the kinds", outcome.agreed, outcome.beyond);
    let known = |id: &str| EXCEPTIONS.iter().any(|(known, _)| *known == id);
    let failures: Vec<&str> =
        outcome.failures.iter().filter(|(id, _)| !known(id)).map(|(_, text)| text.as_str()).collect();
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
    assert!(outcome.agreed > 0);
}
