//! Recorded requests to a genuine API server, run through the kinds alone: decode, default, prepare, validate.
//! What a server adds on top (admission, allocation, storage) is left out of the comparison.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod corpus;
mod run;

/// Cases whose answer was not made by a kind's rules, and those where v1.37 differs from the recording.
const EXCEPTIONS: &[(&str, &str)] = &[
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

#[test]
fn recorded_requests_are_answered_as_recorded() {
    let Some(cases) = corpus::load(&["create", "validation", "update", "subresources", "tables"]) else {
        println!("skipped: the recorded requests are not on this machine");
        return;
    };
    let outcome = run::all(&cases);
    println!("{} requests agree, {} are beyond the kinds", outcome.agreed, outcome.beyond);
    let known = |id: &str| EXCEPTIONS.iter().any(|(known, _)| *known == id);
    let failures: Vec<&String> = outcome.failures.iter().filter(|(id, _)| !known(id)).map(|(_, text)| text).collect();
    assert!(
        failures.is_empty(),
        "{} differ:\n{}",
        failures.len(),
        failures.iter().map(|f| f.as_str()).collect::<Vec<_>>().join("\n")
    );
    assert!(outcome.agreed > 0);
}
