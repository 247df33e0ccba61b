//! What a namespace's labels ask for: a level and a version for each of the three modes.

use std::fmt;

use apimachinery::{
    Object,
    field::{Error, ErrorList, Path},
};

const PREFIX: &str = "pod-security.kubernetes.io/";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    #[default]
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "privileged" => Self::Privileged,
            "baseline" => Self::Baseline,
            "restricted" => Self::Restricted,
            _ => return None,
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

/// The minor version of Kubernetes whose checks count. `LATEST` is newer than all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32);

impl Version {
    pub(crate) const LATEST: Self = Self(u32::MAX);

    fn parse(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self::LATEST);
        }
        let minor = text.strip_prefix("v1.")?;
        let plain = minor == "0" || (!minor.starts_with('0') && minor.bytes().all(|b| b.is_ascii_digit()));
        minor.parse().ok().filter(|_| plain).map(Self)
    }
}

impl Default for Version {
    fn default() -> Self {
        Self::LATEST
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::LATEST { f.write_str("latest") } else { write!(f, "v1.{}", self.0) }
    }
}

/// `restricted:latest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standard {
    pub(crate) level: Level,
    pub(crate) version: Version,
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}

/// What of a namespace's pods is refused and what is warned about. The audit labels are judged and have no effect,
/// because there is no audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) enforce: Standard,
    pub(crate) warn: Standard,
}

impl Policy {
    /// A policy always results: a level that is none restricts what is enforced and leaves warnings out.
    pub(crate) fn of(namespace: &Object) -> (Self, ErrorList) {
        let mut errors = ErrorList::new();
        let enforce = mode(namespace, "enforce", Level::Restricted, &mut errors);
        mode(namespace, "audit", Level::Privileged, &mut errors);
        let warn = mode(namespace, "warn", Level::Privileged, &mut errors);
        // Who enforces and does not say what to warn about is warned of the same.
        let follows = enforce.level.filter(|_| namespace.label(&key("enforce")).and_then(Level::parse).is_some());
        let warn_level = match namespace.label(&key("warn")) {
            Some(_) => warn.level,
            None => follows,
        };
        let warn_version = match namespace.label(&key("warn-version")) {
            None if follows.is_some() => enforce.version,
            _ => warn.version,
        };
        let policy = Self {
            enforce: Standard { level: enforce.level.unwrap_or_default(), version: enforce.version },
            warn: Standard { level: warn_level.unwrap_or_default(), version: warn_version },
        };
        (policy, errors)
    }
}

fn key(mode: &str) -> String {
    format!("{PREFIX}{mode}")
}

struct Mode {
    level: Option<Level>,
    version: Version,
}

fn mode(namespace: &Object, mode: &str, otherwise: Level, errors: &mut ErrorList) -> Mode {
    let labels = Path::new("metadata").child("labels");
    let level = namespace.label(&key(mode)).map(|text| {
        Level::parse(text).unwrap_or_else(|| {
            let why = "must be one of privileged, baseline, restricted";
            errors.push(Error::invalid(&labels.key(&key(mode)), text, why));
            otherwise
        })
    });
    let at = key(&format!("{mode}-version"));
    let version = namespace.label(&at).map(|text| {
        Version::parse(text).unwrap_or_else(|| {
            errors.push(Error::invalid(&labels.key(&at), text, "must be \"latest\" or \"v1.x\""));
            Version::LATEST
        })
    });
    Mode { level, version: version.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    fn policy(labels: &[(&str, &str)]) -> (String, usize) {
        let labels: serde_json::Map<_, _> = labels.iter().map(|(k, v)| (key(k), json!(v))).collect();
        let namespace = Object::from_value(json!({"metadata": {"labels": labels}})).unwrap();
        let (policy, errors) = Policy::of(&namespace);
        (format!("{} {}", policy.enforce, policy.warn), errors.len())
    }

    #[test]
    fn labels_make_a_policy() {
        let check = |labels: &[(&str, &str)], policy_is: &str, wrong: usize| {
            assert_eq!(policy(labels), (policy_is.to_owned(), wrong), "{labels:?}");
        };
        check(&[], "privileged:latest privileged:latest", 0);
        check(&[("enforce", "baseline")], "baseline:latest baseline:latest", 0);
        check(&[("enforce", "baseline"), ("enforce-version", "v1.20")], "baseline:v1.20 baseline:v1.20", 0);
        check(&[("enforce", "baseline"), ("warn", "restricted")], "baseline:latest restricted:latest", 0);
        check(&[("enforce", "restricted"), ("warn", "privileged")], "restricted:latest privileged:latest", 0);
        check(&[("enforce", "nosuch"), ("audit", "x")], "restricted:latest privileged:latest", 2);
        check(&[("warn", "x"), ("warn-version", "1.2")], "privileged:latest privileged:latest", 2);
        check(&[("warn-version", "v1.01")], "privileged:latest privileged:latest", 1);
    }
}
