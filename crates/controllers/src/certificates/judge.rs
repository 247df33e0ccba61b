//! Whether a node may have the certificate it asks for. Pure.

use api::{certificates::v1::CertificateSigningRequestSpec, core::v1::Node};
use pki::{Leaf, SigningRequest, Usage};

const NODE_PREFIX: &str = "system:node:";
const NODES: &str = "system:nodes";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    Client,
    Serving,
}

impl Signer {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "kubernetes.io/kube-apiserver-client-kubelet" => Some(Self::Client),
            "kubernetes.io/kubelet-serving" => Some(Self::Serving),
            _ => None,
        }
    }

    pub(super) fn approval(self) -> &'static str {
        match self {
            Self::Client => "Auto approving kubelet client certificate after SubjectAccessReview.",
            Self::Serving => "Auto approving the serving certificate a node asks for itself.",
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Client => "client auth",
            Self::Serving => "server auth",
        }
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Sign(Leaf),
    /// Sign if the asker may create this subresource of requests.
    AskFor(&'static str, Leaf),
    Deny(String),
}

impl Verdict {
    pub(super) fn with(self, asked: SigningRequest) -> (Self, Option<SigningRequest>) {
        (self, Some(asked))
    }
}

pub(super) fn judge(
    signer: Signer,
    spec: &CertificateSigningRequestSpec,
    asked: &SigningRequest,
    nodes: &[Node],
) -> Verdict {
    let deny = |reason: String| Verdict::Deny(reason);
    let Some(node) = asked.common_name.strip_prefix(NODE_PREFIX).filter(|n| !n.is_empty()) else {
        return deny(format!("subject common name does not begin with {NODE_PREFIX:?}"));
    };
    if asked.organization.as_deref() != Some(NODES) || asked.has_other_names {
        return deny("subject organization is not system:nodes".to_owned());
    }
    let allowed = ["key encipherment", "digital signature", signer.purpose()];
    let usages = spec.usages.clone().unwrap_or_default();
    if !usages.iter().any(|u| u == signer.purpose()) || !usages.iter().all(|u| allowed.contains(&u.as_str())) {
        return deny(format!("usages did not match {allowed:?}"));
    }
    let itself = spec.username.as_deref() == Some(asked.common_name.as_str());
    match signer {
        Signer::Client => client(node, itself, asked, nodes),
        Signer::Serving => serving(node, itself, asked, nodes),
    }
}

fn client(node: &str, itself: bool, asked: &SigningRequest, nodes: &[Node]) -> Verdict {
    if !asked.dns_names.is_empty() || !asked.addresses.is_empty() {
        return Verdict::Deny("subject alternative names are not allowed".to_owned());
    }
    let leaf = Leaf::client(asked.common_name.clone(), Some(NODES));
    if itself {
        return Verdict::AskFor("selfnodeclient", leaf);
    }
    // Whoever has a token shall not become a node that others trust already.
    if nodes.iter().any(|n| n.metadata.name.as_deref() == Some(node)) {
        return Verdict::Deny(format!(
            "there is a node {node:?} already: choose another name, or delete that node first"
        ));
    }
    Verdict::AskFor("nodeclient", leaf)
}

fn serving(node: &str, itself: bool, asked: &SigningRequest, nodes: &[Node]) -> Verdict {
    if !itself {
        return Verdict::Deny("a node asks for its serving certificate itself".to_owned());
    }
    if asked.addresses.is_empty() && asked.dns_names.is_empty() {
        return Verdict::Deny("DNS or IP subjectAltName is required".to_owned());
    }
    if let Some(other) = asked.dns_names.iter().find(|name| *name != node) {
        return Verdict::Deny(format!("{other:?} is not the node's name"));
    }
    for other in nodes.iter().filter(|n| n.metadata.name.as_deref() != Some(node)) {
        let addresses = other.status.iter().flat_map(|s| s.addresses.iter().flatten());
        for taken in addresses.filter_map(|a| a.address.parse().ok()) {
            if asked.addresses.contains(&taken) {
                let name = other.metadata.name.as_deref().unwrap_or_default();
                return Verdict::Deny(format!("{taken} is the address of the node {name:?}"));
            }
        }
    }
    let names: Vec<&str> = asked.dns_names.iter().map(String::as_str).collect();
    let mut leaf = Leaf::server(asked.common_name.clone(), &names, &asked.addresses);
    leaf.organization = Some(NODES.to_owned());
    leaf.usage = Usage::Server;
    Verdict::Sign(leaf)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::net::IpAddr;

    use pki::KeyAndRequest;

    use super::*;

    fn asked(leaf: &Leaf) -> SigningRequest {
        SigningRequest::parse(&KeyAndRequest::make(leaf, None).unwrap().request_pem).unwrap()
    }

    fn spec(user: &str, usages: &[&str]) -> CertificateSigningRequestSpec {
        CertificateSigningRequestSpec {
            username: Some(user.to_owned()),
            usages: Some(usages.iter().map(|u| (*u).to_owned()).collect()),
            ..CertificateSigningRequestSpec::default()
        }
    }

    fn node(name: &str, address: &str) -> Node {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": address}]}
        }))
        .unwrap()
    }

    fn denied(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Deny(_))
    }

    #[test]
    fn a_bootstrapper_gets_the_identity_of_a_new_node_only() {
        let usages = ["digital signature", "client auth"];
        let ask = |name: &str, organization, nodes: &[Node]| {
            judge(
                Signer::Client,
                &spec("system:bootstrap:abcdef", &usages),
                &asked(&Leaf::client(name, organization)),
                nodes,
            )
        };
        let known = [node("old", "10.0.0.1")];
        assert!(matches!(ask("system:node:new", Some("system:nodes"), &known), Verdict::AskFor("nodeclient", _)));
        assert!(denied(ask("system:node:old", Some("system:nodes"), &known)));
        assert!(denied(ask("system:node:new", Some("system:masters"), &known)));
        assert!(denied(ask("admin", Some("system:nodes"), &known)));
        assert!(denied(ask("system:node:new", None, &known)));
        let serves = judge(
            Signer::Client,
            &spec("system:bootstrap:abcdef", &["server auth", "client auth"]),
            &asked(&Leaf::client("system:node:new", Some("system:nodes"))),
            &[],
        );
        assert!(denied(serves));
        let renewed = judge(
            Signer::Client,
            &spec("system:node:old", &usages),
            &asked(&Leaf::client("system:node:old", Some("system:nodes"))),
            &known,
        );
        assert!(matches!(renewed, Verdict::AskFor("selfnodeclient", _)));
    }

    #[test]
    fn a_node_serves_under_its_own_name_and_address_only() {
        let ask = |user: &str, names: &[&str], addresses: &[IpAddr]| {
            let mut leaf = Leaf::server("system:node:a", names, addresses);
            leaf.organization = Some(NODES.to_owned());
            let nodes = [node("a", "10.0.0.1"), node("b", "10.0.0.2")];
            judge(Signer::Serving, &spec(user, &["server auth"]), &asked(&leaf), &nodes)
        };
        let (own, theirs) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!(matches!(ask("system:node:a", &["a"], &[own]), Verdict::Sign(_)));
        assert!(denied(ask("system:node:b", &["a"], &[own])));
        assert!(denied(ask("system:node:a", &["b"], &[own])));
        assert!(denied(ask("system:node:a", &["a"], &[theirs])));
        assert!(denied(ask("system:node:a", &[], &[])));
    }
}
