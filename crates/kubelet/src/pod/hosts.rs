//! The `/etc/hosts` of a pod.

use api::core::v1::HostAlias;

use super::names::Names;

/// The file of a pod with its own network.
pub(crate) fn own(ips: &[String], names: &Names, aliases: &[HostAlias]) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    for ip in ips {
        let short = &names.short;
        let line = if names.domain.is_empty() {
            format!("{ip}\t{short}\n")
        } else {
            format!("{ip}\t{short}.{}\t{short}\n", names.domain)
        };
        text.push_str(&line);
    }
    append_aliases(&mut text, aliases);
    text
}

/// The file of a pod that shares the node's network: the node's own.
pub(crate) fn of_host(host_file: &str, aliases: &[HostAlias]) -> String {
    let mut text = format!("# Kubernetes-managed hosts file (host network).\n{host_file}");
    append_aliases(&mut text, aliases);
    text
}

fn append_aliases(text: &mut String, aliases: &[HostAlias]) {
    if aliases.is_empty() {
        return;
    }
    text.push_str("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let names = alias.hostnames.clone().unwrap_or_default().join("\t");
        text.push_str(&format!("{}\t{names}\n", alias.ip));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn entries() {
        let names = Names { hostname: "h".into(), short: "h".into(), domain: "s.n.svc.x".into() };
        let alias = HostAlias { ip: "1.2.3.4".into(), hostnames: Some(vec!["a".into(), "b".into()]) };
        let text = own(&["10.0.0.1".into()], &names, &[alias]);
        assert!(text.contains("\n10.0.0.1\th.s.n.svc.x\th\n"));
        assert!(text.ends_with("\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"));
        assert_eq!(of_host("127.0.0.1 x\n", &[]), "# Kubernetes-managed hosts file (host network).\n127.0.0.1 x\n");
    }
}
