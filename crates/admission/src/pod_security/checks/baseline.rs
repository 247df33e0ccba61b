//! What the baseline level asks.

use serde_json::Value;

use super::{Finding, Subject, Version, counted, finding, plural, quoted, set, texts};

pub(super) fn app_armor_profile(subject: &Subject<'_>) -> Option<Finding> {
    const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
    const ONE: &str = "forbidden AppArmor profile";
    const MANY: &str = "forbidden AppArmor profiles";
    let kind = |context: &Value| context["appArmorProfile"]["type"].as_str().map(str::to_owned);
    let bad = |context: &Value| kind(context).filter(|kind| !matches!(kind.as_str(), "RuntimeDefault" | "Localhost"));
    let setters = subject.setters(|context| bad(context).is_some());
    if !setters.is_empty() {
        let of_containers = subject.containers.iter().filter_map(|(_, c)| bad(&c["securityContext"]));
        let kinds = set(bad(subject.pod_context()).into_iter().chain(of_containers).collect());
        let detail = format!(
            "{} must not set AppArmor profile type to {}",
            setters.join(" and "),
            quoted(kinds.iter().map(String::as_str))
        );
        return finding(plural(ONE, MANY, kinds.len()), detail);
    }
    let allowed = |value: &str| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
    let notes = subject.annotations().filter(|(key, value)| key.starts_with(PREFIX) && !allowed(value));
    let found = set(notes.map(|(key, value)| format!("{key}={}", quoted([value]))).collect());
    if found.is_empty() { None } else { finding(plural(ONE, MANY, found.len()), found.join(", ")) }
}

/// What container runtimes give by default.
const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

pub(super) fn capabilities(subject: &Subject<'_>) -> Option<Finding> {
    let detail = added_capabilities(subject, &DEFAULT_CAPABILITIES)?;
    finding("non-default capabilities", detail)
}

/// What containers add beyond what is allowed.
pub(super) fn added_capabilities(subject: &Subject<'_>, allowed: &[&str]) -> Option<String> {
    let extra = |context: &Value| -> Vec<String> {
        let added = texts(&context["capabilities"]["add"]);
        added.filter(|capability| !allowed.contains(capability)).map(str::to_owned).collect()
    };
    let names = subject.failing(|context| !extra(context).is_empty());
    let added = set(subject.containers.iter().flat_map(|(_, c)| extra(&c["securityContext"])).collect());
    (!names.is_empty()).then(|| {
        format!(
            "{} must not include {} in securityContext.capabilities.add",
            counted("container", &names),
            quoted(added.iter().map(String::as_str))
        )
    })
}

pub(super) fn host_namespaces(subject: &Subject<'_>) -> Option<Finding> {
    let is_set = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|name| subject.spec[*name] == true);
    let found: Vec<String> = is_set.map(|name| format!("{name}=true")).collect();
    if found.is_empty() { None } else { finding("host namespaces", found.join(", ")) }
}

pub(super) fn host_path_volumes(subject: &Subject<'_>) -> Option<Finding> {
    let of_host = subject.volumes().filter(|v| v.get("hostPath").is_some());
    let names: Vec<&str> = of_host.filter_map(|v| v["name"].as_str()).collect();
    if names.is_empty() { None } else { finding("hostPath volumes", counted("volume", &names)) }
}

pub(super) fn host_ports(subject: &Subject<'_>) -> Option<Finding> {
    let of = |c: &Value| -> Vec<String> {
        let ports = c["ports"].as_array().into_iter().flatten().filter_map(|p| p["hostPort"].as_u64());
        ports.filter(|port| *port != 0).map(|port| port.to_string()).collect()
    };
    let names: Vec<&str> =
        subject.containers.iter().filter(|(_, c)| !of(c).is_empty()).map(|(name, _)| *name).collect();
    if names.is_empty() {
        return None;
    }
    let ports = set(subject.containers.iter().flat_map(|(_, c)| of(c)).collect());
    let detail = format!(
        "{} {} {} {}",
        counted("container", &names),
        plural("uses", "use", names.len()),
        plural("hostPort", "hostPorts", ports.len()),
        ports.join(", ")
    );
    finding("hostPort", detail)
}

/// Probes and hooks go to the pod itself and nowhere else.
pub(super) fn host_probes(subject: &Subject<'_>) -> Option<Finding> {
    let hosts = |container: &Value| -> Vec<String> {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|probe| &container[probe]);
        let hooks = ["postStart", "preStop"].map(|hook| &container["lifecycle"][hook]);
        let handlers = probes.into_iter().chain(hooks);
        let named = handlers.flat_map(|h| [h["httpGet"]["host"].as_str(), h["tcpSocket"]["host"].as_str()]);
        named.flatten().filter(|host| !host.is_empty()).map(str::to_owned).collect()
    };
    let naming = subject.containers.iter().filter(|(_, c)| !hosts(c).is_empty());
    let names = set(naming.map(|(name, _)| (*name).to_owned()).collect());
    if names.is_empty() {
        return None;
    }
    let named = set(subject.containers.iter().flat_map(|(_, c)| hosts(c)).collect());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let detail = format!(
        "{} {} {} {}",
        counted("container", &names),
        plural("uses", "use", names.len()),
        plural("probe or lifecycle host", "probe or lifecycle hosts", named.len()),
        quoted(named.iter().map(String::as_str))
    );
    finding("probe or lifecycle host", detail)
}

pub(super) fn privileged(subject: &Subject<'_>) -> Option<Finding> {
    let names = subject.failing(|context| context["privileged"] == true);
    if names.is_empty() {
        return None;
    }
    let detail = format!("{} must not set securityContext.privileged=true", counted("container", &names));
    finding("privileged", detail)
}

pub(super) fn proc_mount(subject: &Subject<'_>) -> Option<Finding> {
    if subject.has_own_users() {
        return None;
    }
    let other = |context: &Value| context["procMount"].as_str().filter(|p| *p != "Default").map(str::to_owned);
    let names = subject.failing(|context| other(context).is_some());
    if names.is_empty() {
        return None;
    }
    let kinds = set(subject.containers.iter().filter_map(|(_, c)| other(&c["securityContext"])).collect());
    let detail = format!(
        "{} must not set securityContext.procMount to {}",
        counted("container", &names),
        quoted(kinds.iter().map(String::as_str))
    );
    finding("procMount", detail)
}

pub(super) fn se_linux_options(subject: &Subject<'_>) -> Option<Finding> {
    let text = |context: &Value, field: &str| context["seLinuxOptions"][field].as_str().unwrap_or_default().to_owned();
    let bad_type = |context: &Value| {
        let kind = text(context, "type");
        let known = matches!(kind.as_str(), "" | "container_t" | "container_init_t" | "container_kvm_t")
            || (kind == "container_engine_t" && subject.version >= Version(31));
        (!known).then_some(kind)
    };
    let has = |context: &Value, field: &str| !text(context, field).is_empty();
    let setters = subject.setters(|c| bad_type(c).is_some() || has(c, "user") || has(c, "role"));
    if setters.is_empty() {
        return None;
    }
    let contexts = || {
        let of_containers = subject.containers.iter().map(|(_, c)| &c["securityContext"]);
        std::iter::once(subject.pod_context()).chain(of_containers)
    };
    let types = set(contexts().filter_map(bad_type).collect());
    let mut wrong = Vec::new();
    if !types.is_empty() {
        let noun = plural("type", "types", types.len());
        wrong.push(format!("{noun} {}", quoted(types.iter().map(String::as_str))));
    }
    for field in ["user", "role"] {
        if contexts().any(|context| has(context, field)) {
            wrong.push(format!("{field} may not be set"));
        }
    }
    let setters = setters.join(" and ");
    finding("seLinuxOptions", format!("{setters} set forbidden securityContext.seLinuxOptions: {}", wrong.join("; ")))
}

pub(super) fn seccomp_profile(subject: &Subject<'_>) -> Option<Finding> {
    if subject.version < Version(19) {
        return seccomp_annotations(subject);
    }
    bad_seccomp_profile(subject)
}

/// Before there were fields.
fn seccomp_annotations(subject: &Subject<'_>) -> Option<Finding> {
    const POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
    const CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
    let concerns = |key: &str| {
        let container = key.strip_prefix(CONTAINER);
        key == POD || container.is_some_and(|name| subject.containers.iter().any(|(known, _)| *known == name))
    };
    let allowed = |v: &str| matches!(v, "runtime/default" | "docker/default") || v.starts_with("localhost/");
    let notes = subject.annotations().filter(|(key, value)| concerns(key) && !allowed(value));
    let found = set(notes.map(|(key, value)| format!("{key}={}", quoted([value]))).collect());
    if found.is_empty() {
        return None;
    }
    let noun = plural("annotation", "annotations", found.len());
    finding("seccompProfile", format!("forbidden {noun} {}", found.join(", ")))
}

/// Profiles that are set and not allowed.
pub(super) fn bad_seccomp_profile(subject: &Subject<'_>) -> Option<Finding> {
    let bad = |context: &Value| {
        let profile = context.get("seccompProfile").filter(|profile| profile.is_object())?;
        let kind = profile["type"].as_str().unwrap_or_default();
        (!matches!(kind, "RuntimeDefault" | "Localhost")).then(|| kind.to_owned())
    };
    let setters = subject.setters(|context| bad(context).is_some());
    if setters.is_empty() {
        return None;
    }
    let of_containers = subject.containers.iter().filter_map(|(_, c)| bad(&c["securityContext"]));
    let kinds = set(bad(subject.pod_context()).into_iter().chain(of_containers).collect());
    let detail = format!(
        "{} must not set securityContext.seccompProfile.type to {}",
        setters.join(" and "),
        quoted(kinds.iter().map(String::as_str))
    );
    finding("seccompProfile", detail)
}

/// Settings of the pod's own namespaces, and the version that first allowed them.
const SAFE_SYSCTLS: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

pub(super) fn sysctls(subject: &Subject<'_>) -> Option<Finding> {
    let is_safe = |name: &str| SAFE_SYSCTLS.iter().any(|(n, since)| *n == name && subject.version >= Version(*since));
    let list = subject.pod_context()["sysctls"].as_array().into_iter().flatten();
    let bad: Vec<&str> = list.filter_map(|s| s["name"].as_str()).filter(|name| !is_safe(name)).collect();
    if bad.is_empty() { None } else { finding("forbidden sysctls", bad.join(", ")) }
}

pub(super) fn windows_host_process(subject: &Subject<'_>) -> Option<Finding> {
    let setters = subject.setters(|context| context["windowsOptions"]["hostProcess"] == true);
    if setters.is_empty() {
        return None;
    }
    let detail = format!("{} must not set securityContext.windowsOptions.hostProcess=true", setters.join(" and "));
    finding("hostProcess", detail)
}
