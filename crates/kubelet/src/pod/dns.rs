//! The resolver configuration of a pod, by its DNS policy.

use api::core::v1::Pod;
use cri::v1::DnsConfig;

use crate::config::KubeletConfig;

/// What resolvers read; the rest is dropped, as upstream does with a warning.
const MAX_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARACTERS: usize = 2048;

/// The configuration, and whether the policy asked for a cluster DNS that does not exist.
pub(crate) struct Resolver {
    pub(crate) config: DnsConfig,
    pub(crate) missing_cluster_dns: bool,
}

pub(crate) fn resolver(config: &KubeletConfig, pod: &Pod) -> std::io::Result<Resolver> {
    let text = match std::fs::read_to_string(&config.resolv_conf) {
        Ok(text) => text,
        // A node may have none; resolvers then ask the machine itself.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
    };
    Ok(resolver_from(config, pod, parse(&text)))
}

fn resolver_from(config: &KubeletConfig, pod: &Pod, host: DnsConfig) -> Resolver {
    let spec = pod.spec.as_ref();
    let policy = spec.and_then(|s| s.dns_policy.as_deref()).unwrap_or("ClusterFirst");
    let host_network = spec.is_some_and(|s| s.host_network == Some(true));
    let wants_cluster = policy == "ClusterFirstWithHostNet" || policy == "ClusterFirst" && !host_network;
    let missing_cluster_dns = wants_cluster && config.cluster_dns.is_empty();
    let mut made = if policy == "None" {
        DnsConfig::default()
    } else if wants_cluster && !missing_cluster_dns {
        cluster(config, pod.metadata.namespace.as_deref().unwrap_or_default(), host)
    } else {
        host
    };
    if let Some(own) = spec.and_then(|s| s.dns_config.as_ref()) {
        append(&mut made.servers, own.nameservers.iter().flatten());
        append(&mut made.searches, own.searches.iter().flatten());
        for option in own.options.iter().flatten() {
            let name = option.name.as_deref().unwrap_or_default();
            made.options.retain(|o| o.split(':').next() != Some(name));
            made.options.push(match option.value.as_deref().filter(|v| !v.is_empty()) {
                Some(value) => format!("{name}:{value}"),
                None => name.to_owned(),
            });
        }
    }
    limit(&mut made);
    Resolver { config: made, missing_cluster_dns }
}

fn cluster(config: &KubeletConfig, namespace: &str, host: DnsConfig) -> DnsConfig {
    let domain = &config.cluster_domain;
    let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
    append(&mut searches, host.searches.iter());
    DnsConfig {
        servers: config.cluster_dns.iter().map(ToString::to_string).collect(),
        searches,
        options: vec!["ndots:5".to_owned()],
    }
}

fn append<'a>(list: &mut Vec<String>, more: impl Iterator<Item = &'a String>) {
    for item in more {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

fn limit(config: &mut DnsConfig) {
    config.servers.truncate(MAX_SERVERS);
    config.searches.truncate(MAX_SEARCHES);
    let mut left = MAX_SEARCH_CHARACTERS;
    config.searches.retain(|s| {
        let fits = s.len() < left;
        left = if fits { left - s.len() - 1 } else { 0 };
        fits
    });
}

fn parse(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with(['#', ';'])) {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => config.servers.extend(words.next()),
            // The last one counts.
            Some("search" | "domain") => config.searches = words.filter(|w| w != ".").collect(),
            Some("options") => config.options = words.collect(),
            _ => {}
        }
    }
    config
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::{Value, json};

    fn lines(spec: Value) -> String {
        let mut config = KubeletConfig::new("n", "/x", Vec::new());
        config.cluster_dns = vec!["10.96.0.10".parse().unwrap()];
        let mut spec = spec;
        spec["containers"] = json!([]);
        let pod = serde_json::from_value(json!({"metadata": {"namespace": "ns"}, "spec": spec})).unwrap();
        let host = parse("# x\nnameserver 192.0.2.53\nsearch example.com\noptions timeout:1\n");
        let made = resolver_from(&config, &pod, host).config;
        format!("{} | {} | {}", made.servers.join(" "), made.searches.join(" "), made.options.join(" "))
    }

    #[test]
    fn policies() {
        let cluster = "10.96.0.10 | ns.svc.cluster.local svc.cluster.local cluster.local example.com | ndots:5";
        let host = "192.0.2.53 | example.com | timeout:1";
        assert_eq!(lines(json!({})), cluster);
        assert_eq!(lines(json!({"hostNetwork": true})), host);
        assert_eq!(lines(json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"})), cluster);
        assert_eq!(lines(json!({"dnsPolicy": "Default"})), host);
        let own = json!({"nameservers": ["1.1.1.1"], "searches": ["a.b"], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]});
        assert_eq!(lines(json!({"dnsPolicy": "None", "dnsConfig": own})), "1.1.1.1 | a.b | ndots:2 edns0");
        let merged = "192.0.2.53 1.1.1.1 | example.com a.b | timeout:1 ndots:2 edns0";
        assert_eq!(lines(json!({"dnsPolicy": "Default", "dnsConfig": own})), merged);
    }
}
