//! The checks of the pod security standards, in the order in which upstream lists what they find: those of the
//! baseline by name, then those that only the restricted level has.

mod baseline;
mod restricted;

use apimachinery::field::quote;
use serde_json::Value;

use super::policy::{Level, Standard, Version};

/// What is judged.
pub(crate) struct Subject<'a> {
    annotations: &'a Value,
    spec: &'a Value,
    containers: Vec<(&'a str, &'a Value)>,
    version: Version,
}

/// Why a pod is refused: a few words, and the details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.reason, self.detail)
    }
}

struct Check {
    level: Level,
    /// The first minor version that asks this.
    since: u32,
    /// From this version on the restricted level asks something stricter instead.
    overridden_since: Option<u32>,
    run: fn(&Subject<'_>) -> Option<Finding>,
}

const fn baseline(run: fn(&Subject<'_>) -> Option<Finding>) -> Check {
    Check { level: Level::Baseline, since: 0, overridden_since: None, run }
}

const fn restricted(since: u32, run: fn(&Subject<'_>) -> Option<Finding>) -> Check {
    Check { level: Level::Restricted, since, overridden_since: None, run }
}

const CHECKS: [Check; 18] = [
    baseline(baseline::app_armor_profile),
    Check { overridden_since: Some(22), ..baseline(baseline::capabilities) },
    baseline(baseline::host_namespaces),
    Check { overridden_since: Some(0), ..baseline(baseline::host_path_volumes) },
    baseline(baseline::host_ports),
    Check { since: 34, ..baseline(baseline::host_probes) },
    baseline(baseline::privileged),
    baseline(baseline::proc_mount),
    baseline(baseline::se_linux_options),
    Check { overridden_since: Some(19), ..baseline(baseline::seccomp_profile) },
    baseline(baseline::sysctls),
    baseline(baseline::windows_host_process),
    restricted(8, restricted::allow_privilege_escalation),
    restricted(22, restricted::capabilities),
    restricted(0, restricted::volumes),
    restricted(0, restricted::run_as_non_root),
    restricted(23, restricted::run_as_user),
    restricted(19, restricted::seccomp_profile),
];

/// What of a pod the standard does not allow.
pub(crate) fn run(standard: Standard, annotations: &Value, spec: &Value) -> Vec<Finding> {
    if standard.level == Level::Privileged {
        return Vec::new();
    }
    let containers = ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|list| spec[list].as_array().into_iter().flatten())
        .map(|c| (c["name"].as_str().unwrap_or_default(), c))
        .collect();
    let subject = Subject { annotations, spec, containers, version: standard.version };
    let asks = |check: &&Check| {
        let overridden = |since| standard.level == Level::Restricted && standard.version >= Version(since);
        check.level <= standard.level
            && standard.version >= Version(check.since)
            && !check.overridden_since.is_some_and(overridden)
    };
    CHECKS.iter().filter(asks).filter_map(|check| (check.run)(&subject)).collect()
}

impl<'a> Subject<'a> {
    fn is_windows(&self) -> bool {
        self.spec["os"]["name"] == "windows"
    }

    /// Pods with users of their own may do inside what does no harm outside.
    fn has_own_users(&self) -> bool {
        self.version >= Version(35) && self.spec["hostUsers"] == false
    }

    fn pod_context(&self) -> &'a Value {
        &self.spec["securityContext"]
    }

    /// The names of the containers whose security context fails.
    fn failing(&self, fails: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        self.containers.iter().filter(|(_, c)| fails(&c["securityContext"])).map(|(name, _)| *name).collect()
    }

    /// `pod and containers "a", "b"`: who set what is refused.
    fn setters(&self, fails: impl Fn(&Value) -> bool) -> Vec<String> {
        let pod = fails(self.pod_context()).then(|| "pod".to_owned());
        let names = self.failing(&fails);
        let containers = (!names.is_empty()).then(|| counted("container", &names));
        pod.into_iter().chain(containers).collect()
    }

    fn volumes(&self) -> impl Iterator<Item = &'a Value> {
        self.spec["volumes"].as_array().into_iter().flatten()
    }

    fn annotations(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let map = self.annotations.as_object().into_iter().flatten();
        map.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }
}

fn finding(reason: &'static str, detail: impl Into<String>) -> Option<Finding> {
    Some(Finding { reason, detail: detail.into() })
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

/// `container "a"`, `containers "a", "b"`.
fn counted(noun: &str, names: &[&str]) -> String {
    format!("{noun}{} {}", plural("", "s", names.len()), quoted(names.iter().copied()))
}

/// Sorted, each once.
fn set(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values.dedup();
    values
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
