//! Whether a node may have the certificate it asks for, and what a signer signs. Pure.

use api::{certificates::v1::CertificateSigningRequestSpec, core::v1::Node};
use pki::{Leaf, SigningRequest, Usage};

const NODE_PREFIX: &str = "system:node:";
const NODES: &str = "system:nodes";
/// Groups of join tokens that are for one node, which may be there already; its name follows.
const FOR_NODE: &str = "system:bootstrappers:knarr:node:";

/// The signers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    /// Of clients of the API server. People approve.
    Client,
    KubeletClient,
    KubeletServing,
}

impl Signer {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "kubernetes.io/kube-apiserver-client" => Some(Self::Client),
            "kubernetes.io/kube-apiserver-client-kubelet" => Some(Self::KubeletClient),
            "kubernetes.io/kubelet-serving" => Some(Self::KubeletServing),
            _ => None,
        }
    }

    pub(super) fn approval(self) -> &'static str {
        match self {
            Self::Client => "",
            Self::KubeletClient => "Auto approving kubelet client certificate after SubjectAccessReview.",
            Self::KubeletServing => "Auto approving the serving certificate a node asks for itself.",
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Client | Self::KubeletClient => "client auth",
            Self::KubeletServing => "server auth",
        }
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Approve,
    /// Approve if the asker may create this subresource of requests.
    AskFor(&'static str),
    Deny(String),
    /// It is for people to judge.
    Leave,
}

/// What the signer signs of an approved request, or why it signs nothing.
pub(super) fn leaf(
    signer: Signer,
    spec: &CertificateSigningRequestSpec,
    asked: &SigningRequest,
) -> Result<Leaf, String> {
    let usages = spec.usages.clone().unwrap_or_default();
    let allowed = ["key encipherment", "digital signature", signer.purpose()];
    let kind = if signer == Signer::KubeletServing { "server" } else { "client" };
    if let Some(other) = usages.iter().find(|usage| !allowed.contains(&usage.as_str())) {
        return Err(format!("invalid usage for {kind} certificate: {other}"));
    }
    if !usages.iter().any(|usage| usage == signer.purpose()) {
        return Err(format!("missing required usage for {kind} certificate: {}", signer.purpose()));
    }
    if asked.has_other_names {
        let known = "a common name, an organization, DNS names and IP addresses";
        return Err(format!("only {known} can be signed, and the request has others"));
    }
    let mut leaf = match signer {
        Signer::Client => asked_for(asked)?,
        Signer::KubeletClient => {
            node_of(asked)?;
            if !asked.dns_names.is_empty() || !asked.addresses.is_empty() {
                return Err("subject alternative names are not allowed".to_owned());
            }
            Leaf::client(asked.common_name.clone(), Some(NODES))
        }
        Signer::KubeletServing => {
            node_of(asked)?;
            if asked.addresses.is_empty() && asked.dns_names.is_empty() {
                return Err("DNS or IP subjectAltName is required".to_owned());
            }
            asked_for(asked)?
        }
    };
    leaf.usage = if signer == Signer::KubeletServing { Usage::Server } else { Usage::Client };
    Ok(leaf)
}

fn asked_for(asked: &SigningRequest) -> Result<Leaf, String> {
    // Signing a part of what was approved would be worse than nothing.
    if asked.organizations.len() > 1 {
        return Err(format!("one organization can be signed, and the request has {}", asked.organizations.len()));
    }
    let names: Vec<&str> = asked.dns_names.iter().map(String::as_str).collect();
    let mut leaf = Leaf::server(asked.common_name.clone(), &names, &asked.addresses);
    leaf.organization = asked.organizations.first().cloned();
    Ok(leaf)
}

/// The node whose certificate it shall be.
fn node_of(asked: &SigningRequest) -> Result<&str, String> {
    if asked.organizations != [NODES] {
        return Err("subject organization is not system:nodes".to_owned());
    }
    let node = asked.common_name.strip_prefix(NODE_PREFIX).filter(|name| !name.is_empty());
    node.ok_or_else(|| format!("subject common name does not begin with {NODE_PREFIX:?}"))
}

pub(super) fn judge(
    signer: Signer,
    spec: &CertificateSigningRequestSpec,
    asked: &SigningRequest,
    nodes: &[Node],
) -> Verdict {
    if signer == Signer::Client {
        return Verdict::Leave;
    }
    let node = match leaf(signer, spec, asked).and_then(|_| node_of(asked)) {
        Ok(node) => node,
        Err(why) => return Verdict::Deny(why),
    };
    let itself = spec.username.as_deref() == Some(asked.common_name.as_str());
    match signer {
        Signer::KubeletServing => serving(node, itself, asked, nodes),
        _ if itself => Verdict::AskFor("selfnodeclient"),
        _ => bootstrap(node, spec, nodes),
    }
}

/// Whoever has a token shall not become a node that others trust already, unless the token was made for that node.
fn bootstrap(node: &str, spec: &CertificateSigningRequestSpec, nodes: &[Node]) -> Verdict {
    let is_there = nodes.iter().any(|n| n.metadata.name.as_deref() == Some(node));
    let mut of_token = spec.groups.iter().flatten().filter_map(|group| group.strip_prefix(FOR_NODE));
    match of_token.next() {
        Some(other) if other != node => Verdict::Deny(format!("the token is for the node {other:?}, not for {node:?}")),
        None if is_there => Verdict::Deny(format!(
            "there is a node {node:?} already: choose another name, or delete that node first; if it is that node, join \
             by a token of `knarr token create --node {node}`"
        )),
        _ => Verdict::AskFor("nodeclient"),
    }
}

fn serving(node: &str, itself: bool, asked: &SigningRequest, nodes: &[Node]) -> Verdict {
    if !itself {
        return Verdict::Deny("a node asks for its serving certificate itself".to_owned());
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
    Verdict::Approve
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
                Signer::KubeletClient,
                &spec("system:bootstrap:abcdef", &usages),
                &asked(&Leaf::client(name, organization)),
                nodes,
            )
        };
        let known = [node("old", "10.0.0.1")];
        assert!(matches!(ask("system:node:new", Some("system:nodes"), &known), Verdict::AskFor("nodeclient")));
        assert!(denied(ask("system:node:old", Some("system:nodes"), &known)));
        assert!(denied(ask("system:node:new", Some("system:masters"), &known)));
        assert!(denied(ask("admin", Some("system:nodes"), &known)));
        assert!(denied(ask("system:node:new", None, &known)));
        // A token that was made for a node is for that node, whether it is there or not, and for no other.
        let ask_for = |of_token: &str, name: &str| {
            let mut spec = spec("system:bootstrap:abcdef", &usages);
            spec.groups = Some(vec!["system:bootstrappers".to_owned(), format!("{FOR_NODE}{of_token}")]);
            let name = format!("system:node:{name}");
            judge(Signer::KubeletClient, &spec, &asked(&Leaf::client(name, Some("system:nodes"))), &known)
        };
        assert_eq!(ask_for("old", "old"), Verdict::AskFor("nodeclient"));
        assert_eq!(ask_for("new", "new"), Verdict::AskFor("nodeclient"));
        assert!(denied(ask_for("new", "old")));
        assert!(denied(ask_for("old", "new")));
        let serves = judge(
            Signer::KubeletClient,
            &spec("system:bootstrap:abcdef", &["server auth", "client auth"]),
            &asked(&Leaf::client("system:node:new", Some("system:nodes"))),
            &[],
        );
        assert!(denied(serves));
        let renewed = judge(
            Signer::KubeletClient,
            &spec("system:node:old", &usages),
            &asked(&Leaf::client("system:node:old", Some("system:nodes"))),
            &known,
        );
        assert!(matches!(renewed, Verdict::AskFor("selfnodeclient")));
    }

    #[test]
    fn a_node_serves_under_its_own_name_and_address_only() {
        let ask = |user: &str, names: &[&str], addresses: &[IpAddr]| {
            let mut leaf = Leaf::server("system:node:a", names, addresses);
            leaf.organization = Some(NODES.to_owned());
            let nodes = [node("a", "10.0.0.1"), node("b", "10.0.0.2")];
            judge(Signer::KubeletServing, &spec(user, &["server auth"]), &asked(&leaf), &nodes)
        };
        let (own, theirs) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!(matches!(ask("system:node:a", &["a"], &[own]), Verdict::Approve));
        assert!(denied(ask("system:node:b", &["a"], &[own])));
        assert!(denied(ask("system:node:a", &["b"], &[own])));
        assert!(denied(ask("system:node:a", &["a"], &[theirs])));
        assert!(denied(ask("system:node:a", &[], &[])));
    }
    #[test]
    fn people_judge_clients_and_the_signer_signs_what_they_approved_or_nothing() {
        let usages = ["digital signature", "key encipherment", "client auth"];
        let one = asked(&Leaf::client("alice", Some("devs")));
        let clients = spec("somebody", &usages);
        assert_eq!(judge(Signer::Client, &clients, &one, &[]), Verdict::Leave);
        let leaf = |usages: &[&str], asked: &SigningRequest| leaf(Signer::Client, &spec("somebody", usages), asked);
        let signed = leaf(&usages, &one).unwrap();
        let expected = ("alice", Some("devs"), Usage::Client);
        assert_eq!((signed.common_name.as_str(), signed.organization.as_deref(), signed.usage), expected);
        assert_eq!(leaf(&["server auth"], &one).unwrap_err(), "invalid usage for client certificate: server auth");
        let missing = "missing required usage for client certificate: client auth";
        assert_eq!(leaf(&["digital signature"], &one).unwrap_err(), missing);
        let mut two = asked(&Leaf::client("alice", Some("devs")));
        two.organizations.push("ops".to_owned());
        assert!(leaf(&usages, &two).unwrap_err().contains("one organization"));
    }
}
