//! The checks of the pod security standards, in the order in which upstream lists what they find.

use apimachinery::field::quote;
use serde_json::Value;

use super::Level;

/// A container with its name.
type Containers<'a> = Vec<(&'a str, &'a Value)>;
type Check = fn(&Value, &Containers<'_>, Level) -> Option<String>;

const CHECKS: [Check; 13] = [
    allow_privilege_escalation,
    capabilities,
    host_namespaces,
    host_path_volumes,
    host_ports,
    privileged,
    proc_mount,
    restricted_volumes,
    run_as_non_root,
    run_as_user,
    se_linux_options,
    seccomp_profile,
    sysctls,
];

/// What of a pod's spec the level does not allow.
pub(super) fn run(level: Level, spec: &Value) -> Vec<String> {
    if level == Level::Privileged {
        return Vec::new();
    }
    let containers: Containers<'_> = ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|list| spec[list].as_array().into_iter().flatten())
        .map(|c| (c["name"].as_str().unwrap_or_default(), c))
        .collect();
    CHECKS.iter().filter_map(|check| check(spec, &containers, level)).collect()
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// `container "a"`, `containers "a", "b"`.
fn counted(noun: &str, names: &[&str]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{noun}{plural} {}", quoted(names.iter().copied()))
}

fn failing<'a>(containers: &Containers<'a>, fails: impl Fn(&Value) -> bool) -> Vec<&'a str> {
    containers.iter().filter(|(_, c)| fails(&c["securityContext"])).map(|(name, _)| *name).collect()
}

fn found(reason: &str, details: Vec<String>, separator: &str) -> Option<String> {
    (!details.is_empty()).then(|| format!("{reason} ({})", details.join(separator)))
}

/// Containers that fail, in one sentence.
fn of_containers(reason: &str, names: &[&str], must: &str) -> Option<String> {
    (!names.is_empty()).then(|| format!("{reason} ({} {must})", counted("container", names)))
}

fn allow_privilege_escalation(_: &Value, containers: &Containers<'_>, level: Level) -> Option<String> {
    if level < Level::Restricted {
        return None;
    }
    let names = failing(containers, |context| context["allowPrivilegeEscalation"] != false);
    of_containers(
        "allowPrivilegeEscalation != false",
        &names,
        "must set securityContext.allowPrivilegeEscalation=false",
    )
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

fn capabilities(_: &Value, containers: &Containers<'_>, level: Level) -> Option<String> {
    let restricted = level == Level::Restricted;
    let allowed: &[&str] = if restricted { &["NET_BIND_SERVICE"] } else { &DEFAULT_CAPABILITIES };
    let list = |context: &Value, name: &str| -> Vec<String> {
        let list = context["capabilities"][name].as_array().into_iter().flatten();
        list.filter_map(|c| c.as_str().map(str::to_owned)).collect()
    };
    let mut details = Vec::new();
    let keeps = failing(containers, |context| !list(context, "drop").iter().any(|c| c == "ALL"));
    if restricted && !keeps.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", counted("container", &keeps)));
    }
    let mut added: Vec<String> = containers.iter().flat_map(|(_, c)| list(&c["securityContext"], "add")).collect();
    added.retain(|c| !allowed.contains(&c.as_str()));
    added.sort();
    added.dedup();
    if !added.is_empty() {
        let names = failing(containers, |context| list(context, "add").iter().any(|c| added.contains(c)));
        details.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            counted("container", &names),
            quoted(added.iter().map(String::as_str))
        ));
    }
    found(if restricted { "unrestricted capabilities" } else { "non-default capabilities" }, details, "; ")
}

fn host_namespaces(spec: &Value, _: &Containers<'_>, _: Level) -> Option<String> {
    let set = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|name| spec[*name] == true);
    found("host namespaces", set.map(|name| format!("{name}=true")).collect(), ", ")
}

fn volumes(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["volumes"].as_array().into_iter().flatten()
}

fn host_path_volumes(spec: &Value, _: &Containers<'_>, level: Level) -> Option<String> {
    // The restricted level has a stricter check in its place.
    let names: Vec<&str> = volumes(spec)
        .filter(|v| level == Level::Baseline && v.get("hostPath").is_some())
        .filter_map(|v| v["name"].as_str())
        .collect();
    (!names.is_empty()).then(|| format!("hostPath volumes ({})", counted("volume", &names)))
}

fn host_ports(_: &Value, containers: &Containers<'_>, _: Level) -> Option<String> {
    let of = |c: &Value| -> Vec<u64> {
        let ports = c["ports"].as_array().into_iter().flatten();
        ports.filter_map(|p| p["hostPort"].as_u64()).filter(|p| *p != 0).collect()
    };
    let names: Vec<&str> = containers.iter().filter(|(_, c)| !of(c).is_empty()).map(|(name, _)| *name).collect();
    let mut ports: Vec<u64> = containers.iter().flat_map(|(_, c)| of(c)).collect();
    ports.sort_unstable();
    ports.dedup();
    let uses = if names.len() == 1 { "uses" } else { "use" };
    let noun = if ports.len() == 1 { "hostPort" } else { "hostPorts" };
    let ports: Vec<String> = ports.iter().map(u64::to_string).collect();
    of_containers("hostPort", &names, &format!("{uses} {noun} {}", ports.join(", ")))
}

fn privileged(_: &Value, containers: &Containers<'_>, _: Level) -> Option<String> {
    let names = failing(containers, |context| context["privileged"] == true);
    of_containers("privileged", &names, "must not set securityContext.privileged=true")
}

fn proc_mount(_: &Value, containers: &Containers<'_>, _: Level) -> Option<String> {
    let names = failing(containers, |context| context["procMount"].as_str().is_some_and(|p| p != "Default"));
    of_containers("procMount", &names, "must not set securityContext.procMount to \"Unmasked\"")
}

const RESTRICTED_VOLUMES: [&str; 8] =
    ["configMap", "downwardAPI", "emptyDir", "projected", "secret", "csi", "persistentVolumeClaim", "ephemeral"];

fn restricted_volumes(spec: &Value, _: &Containers<'_>, level: Level) -> Option<String> {
    if level < Level::Restricted {
        return None;
    }
    let (mut names, mut types) = (Vec::new(), Vec::new());
    for volume in volumes(spec) {
        let source = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).find(|key| *key != "name");
        if let (Some(name), Some(source)) = (volume["name"].as_str(), source)
            && !RESTRICTED_VOLUMES.contains(&source)
        {
            names.push(name);
            types.push(source);
        }
    }
    types.sort_unstable();
    types.dedup();
    let uses = if names.len() == 1 { "uses" } else { "use" };
    let noun = if types.len() == 1 { "type" } else { "types" };
    (!names.is_empty()).then(|| {
        format!(
            "restricted volume types ({} {uses} restricted volume {noun} {})",
            counted("volume", &names),
            quoted(types)
        )
    })
}

fn run_as_non_root(spec: &Value, containers: &Containers<'_>, level: Level) -> Option<String> {
    if level < Level::Restricted {
        return None;
    }
    let of_pod = &spec["securityContext"]["runAsNonRoot"];
    let mut details = Vec::new();
    if *of_pod == false {
        details.push("pod must not set securityContext.runAsNonRoot=false".to_owned());
    }
    let refusing = failing(containers, |context| context["runAsNonRoot"] == false);
    if !refusing.is_empty() {
        details.push(format!("{} must not set securityContext.runAsNonRoot=false", counted("container", &refusing)));
    }
    let silent = failing(containers, |context| context["runAsNonRoot"].is_null());
    if of_pod.is_null() && details.is_empty() && !silent.is_empty() {
        details.push(format!("pod or {} must set securityContext.runAsNonRoot=true", counted("container", &silent)));
    }
    found("runAsNonRoot != true", details, ", ")
}

fn run_as_user(spec: &Value, containers: &Containers<'_>, level: Level) -> Option<String> {
    if level < Level::Restricted {
        return None;
    }
    let mut details = Vec::new();
    if spec["securityContext"]["runAsUser"] == 0 {
        details.push("pod must not set securityContext.runAsUser=0".to_owned());
    }
    let names = failing(containers, |context| context["runAsUser"] == 0);
    if !names.is_empty() {
        details.push(format!("{} must not set securityContext.runAsUser=0", counted("container", &names)));
    }
    found("runAsUser=0", details, ", ")
}

const SE_LINUX_TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

fn se_linux_options(spec: &Value, containers: &Containers<'_>, _: Level) -> Option<String> {
    let bad = |context: &Value| {
        let text = |field: &str| context["seLinuxOptions"][field].as_str().unwrap_or_default().to_owned();
        !SE_LINUX_TYPES.contains(&text("type").as_str()) || !text("user").is_empty() || !text("role").is_empty()
    };
    let mut setters = Vec::new();
    if bad(&spec["securityContext"]) {
        setters.push("pod".to_owned());
    }
    let names = failing(containers, bad);
    if !names.is_empty() {
        setters.push(counted("container", &names));
    }
    (!setters.is_empty())
        .then(|| format!("seLinuxOptions ({} set forbidden securityContext.seLinuxOptions)", setters.join(" and ")))
}

fn seccomp_profile(spec: &Value, containers: &Containers<'_>, level: Level) -> Option<String> {
    let allowed = |profile: &Value| matches!(profile["type"].as_str(), Some("RuntimeDefault" | "Localhost"));
    let of_pod = &spec["securityContext"]["seccompProfile"];
    let bad = |profile: &Value| !profile["type"].is_null() && !allowed(profile);
    let mut details = Vec::new();
    if bad(of_pod) {
        details.push("pod must not set securityContext.seccompProfile.type to \"Unconfined\"".to_owned());
    }
    let names = failing(containers, |context| bad(&context["seccompProfile"]));
    if !names.is_empty() {
        details.push(format!(
            "{} must not set securityContext.seccompProfile.type to \"Unconfined\"",
            counted("container", &names)
        ));
    }
    let silent = failing(containers, |context| context["seccompProfile"]["type"].is_null());
    if level == Level::Restricted && details.is_empty() && !allowed(of_pod) && !silent.is_empty() {
        details.push(format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            counted("container", &silent)
        ));
    }
    found("seccompProfile", details, ", ")
}

const SAFE_SYSCTLS: [&str; 12] = [
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

fn sysctls(spec: &Value, _: &Containers<'_>, _: Level) -> Option<String> {
    let set = spec["securityContext"]["sysctls"].as_array().into_iter().flatten();
    let unsafe_ones = set.filter_map(|s| s["name"].as_str()).filter(|name| !SAFE_SYSCTLS.contains(name));
    found("forbidden sysctls", unsafe_ones.map(str::to_owned).collect(), ", ")
}
