//! The names a pod goes by on the network.

use api::core::v1::Pod;

/// The longest host name Linux takes.
const MAX_HOSTNAME: usize = 63;
const MAX_FQDN: usize = 64;

pub(crate) struct Names {
    /// What `hostname` prints in the pod.
    pub(crate) hostname: String,
    /// The short name, as in `/etc/hosts`.
    pub(crate) short: String,
    /// The domain of a pod with a subdomain; else empty.
    pub(crate) domain: String,
}

#[derive(Debug, thiserror::Error)]
#[error("failed to construct FQDN from pod hostname and cluster domain, FQDN {fqdn} is too long ({MAX_FQDN} characters is the max, {} characters requested)", fqdn.len())]
pub(crate) struct TooLong {
    fqdn: String,
}

pub(crate) fn names(pod: &Pod, cluster_domain: &str) -> Result<Names, TooLong> {
    let spec = pod.spec.clone().unwrap_or_default();
    let set = |field: &Option<String>| field.clone().filter(|t| !t.is_empty());
    if let Some(name) = set(&spec.hostname_override) {
        return Ok(Names { hostname: name.clone(), short: name, domain: String::new() });
    }
    let name = pod.metadata.name.clone().unwrap_or_default();
    let short = set(&spec.hostname).unwrap_or_else(|| truncated(&name));
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let domain = set(&spec.subdomain).map(|s| format!("{s}.{namespace}.svc.{cluster_domain}")).unwrap_or_default();
    let hostname = if spec.set_hostname_as_fqdn == Some(true) && !domain.is_empty() {
        let fqdn = format!("{short}.{domain}");
        if fqdn.len() > MAX_FQDN {
            return Err(TooLong { fqdn });
        }
        fqdn
    } else {
        short.clone()
    };
    Ok(Names { hostname, short, domain })
}

fn truncated(name: &str) -> String {
    let cut: String = name.chars().take(MAX_HOSTNAME).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::json;

    #[test]
    fn host_names() {
        let made = |name: &str, spec: serde_json::Value| {
            let mut spec = spec;
            spec["containers"] = json!([]);
            let pod = json!({"metadata": {"name": name, "namespace": "n"}, "spec": spec});
            names(&serde_json::from_value(pod).unwrap(), "cluster.local").map(|n| (n.hostname, n.domain))
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(made("web", json!({})).unwrap(), pair("web", ""));
        let long = "a".repeat(62) + "-b";
        assert_eq!(made(&long, json!({})).unwrap().0, "a".repeat(62));
        let both = json!({"hostname": "h", "subdomain": "s"});
        assert_eq!(made("web", both).unwrap(), pair("h", "s.n.svc.cluster.local"));
        let full = json!({"hostname": "h", "subdomain": "s", "setHostnameAsFQDN": true});
        assert_eq!(made("web", full).unwrap().0, "h.s.n.svc.cluster.local");
        let too_long = json!({"hostname": "h".repeat(63), "subdomain": "s", "setHostnameAsFQDN": true});
        assert!(made("web", too_long).is_err());
    }
}
