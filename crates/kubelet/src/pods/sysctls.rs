//! Which sysctls a pod may set: those that are safe, those the node's owner allows, and none that would reach the node.

use api::core::v1::PodSpec;

/// Upstream's list: each is kept apart by a namespace and harms nobody else.
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Namespace {
    Ipc,
    Net,
}

/// The namespace that keeps a sysctl apart; none if it is the whole machine's.
fn namespace(name: &str) -> Option<Namespace> {
    let ipc = name == "kernel.sem" || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|p| name.starts_with(p));
    if ipc { Some(Namespace::Ipc) } else { name.starts_with("net.").then_some(Namespace::Net) }
}

#[derive(Debug, thiserror::Error)]
#[error("the sysctls \"{0}\" are not known to be namespaced")]
pub struct NotNamespaced(String);

/// Whether the node's owner may allow these.
pub(crate) fn check_patterns(allowed: &[String]) -> Result<(), NotNamespaced> {
    let known = |pattern: &&String| namespace(&normal(pattern.trim_end_matches('*'))).is_none();
    allowed.iter().find(known).map_or(Ok(()), |pattern| Err(NotNamespaced(pattern.clone())))
}

/// Slashes separate as well, where the first separator is one.
fn normal(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'/' => name
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}

/// Why the pod's sysctls are not set, in upstream's words.
pub(super) fn refuse(spec: &PodSpec, allowed: &[String]) -> Option<String> {
    let sysctls = spec.security_context.as_ref().and_then(|s| s.sysctls.as_ref());
    sysctls.into_iter().flatten().find_map(|s| forbidden(&normal(&s.name), spec, allowed))
}

fn forbidden(name: &str, spec: &PodSpec, allowed: &[String]) -> Option<String> {
    let fits = |pattern: &String| {
        let pattern = normal(pattern);
        pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
    };
    let namespace = namespace(name).filter(|_| SAFE.contains(&name) || allowed.iter().any(fits));
    let shared = match namespace {
        None => return Some(format!("forbidden sysctl: \"{name}\" not allowlisted")),
        Some(Namespace::Ipc) => spec.host_ipc == Some(true),
        Some(Namespace::Net) => spec.host_network == Some(true),
    };
    let host = if namespace == Some(Namespace::Ipc) { "IPC" } else { "Net" };
    shared.then(|| format!("forbidden sysctl: \"{name}\" not allowed with host {host} enabled"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::{Value, json};

    fn check(name: &str, more: Value) -> String {
        let mut spec = more;
        spec["containers"] = json!([]);
        spec["securityContext"] = json!({"sysctls": [{"name": name, "value": "1"}]});
        let allowed = ["kernel.msg*".to_owned(), "net/core/somaxconn".to_owned()];
        refuse(&serde_json::from_value(spec).unwrap(), &allowed).unwrap_or_default()
    }

    #[test]
    fn who_may_set_what() {
        assert_eq!(check("net.ipv4.tcp_syncookies", json!({})), "");
        assert_eq!(check("net/ipv4/tcp_syncookies", json!({})), "");
        assert_eq!(check("kernel.msgmax", json!({})), "");
        assert_eq!(check("net.core.somaxconn", json!({})), "");
        let no = "forbidden sysctl: \"kernel.panic\" not allowlisted";
        assert_eq!(check("kernel.panic", json!({})), no);
        assert_eq!(check("net.ipv4.ip_forward", json!({})), no.replace("kernel.panic", "net.ipv4.ip_forward"));
        let net = check("net.ipv4.tcp_syncookies", json!({"hostNetwork": true}));
        assert_eq!(net, "forbidden sysctl: \"net.ipv4.tcp_syncookies\" not allowed with host Net enabled");
        let ipc = check("kernel.msgmax", json!({"hostIPC": true}));
        assert_eq!(ipc, "forbidden sysctl: \"kernel.msgmax\" not allowed with host IPC enabled");
        check_patterns(&["kernel.sem".to_owned(), "net.*".to_owned(), "kernel.shm*".to_owned()]).unwrap();
        assert!(check_patterns(&["vm.*".to_owned()]).unwrap_err().to_string().contains("\"vm.*\""));
        assert!(check_patterns(&["*".to_owned()]).is_err());
    }
}
