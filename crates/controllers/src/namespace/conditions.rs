//! The conditions of a namespace on its way out, in upstream's words.

use std::collections::BTreeMap;

use api::{
    core::v1::{NamespaceCondition, NamespaceStatus},
    jiff::Timestamp,
    meta::Time,
};

/// What an attempt to empty a namespace found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Findings {
    pub(crate) discovery_failures: Vec<String>,
    pub(crate) deletion_failures: Vec<String>,
    /// Instances that remain, by `resource.group`.
    pub(crate) remaining: BTreeMap<String, usize>,
    /// Instances that remain for a finalizer, by finalizer.
    pub(crate) finalizers: BTreeMap<String, usize>,
}

impl Findings {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

const FINE: [(&str, &str, &str); 5] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];

/// Pure: the status with what was found. Conditions whose status, reason and message stay are not touched.
pub(crate) fn status(current: Option<&NamespaceStatus>, findings: &Findings, now: Timestamp) -> NamespaceStatus {
    let mut status = current.cloned().unwrap_or_default();
    status.phase = Some("Terminating".to_owned());
    let wrong = [
        wrong_discovery(findings),
        None,
        wrong_deletion(findings),
        wrong_remaining(findings),
        wrong_finalizers(findings),
    ];
    let conditions = status.conditions.get_or_insert_default();
    for ((kind, reason, message), wrong) in FINE.into_iter().zip(wrong) {
        let (value, reason, message) = match wrong {
            Some((reason, message)) => ("True", reason, message),
            None => ("False", reason, message.to_owned()),
        };
        set(conditions, kind, value, reason, message, now);
    }
    status
}

fn set(
    conditions: &mut Vec<NamespaceCondition>,
    kind: &str,
    value: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) {
    let new = NamespaceCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(Time(now)),
    };
    let Some(old) = conditions.iter_mut().find(|c| c.type_ == kind) else { return conditions.push(new) };
    if old.status != new.status || old.reason != new.reason || old.message != new.message {
        let since = if old.status == new.status { old.last_transition_time.clone() } else { new.last_transition_time };
        *old = NamespaceCondition { last_transition_time: since, ..new };
    }
}

type Wrong = Option<(&'static str, String)>;

fn wrong_discovery(findings: &Findings) -> Wrong {
    let failures = &findings.discovery_failures;
    if failures.is_empty() {
        return None;
    }
    let message = format!("Discovery failed for some groups, {} failing: {}", failures.len(), failures.join(", "));
    Some(("DiscoveryFailed", message))
}

fn wrong_deletion(findings: &Findings) -> Wrong {
    let failures = &findings.deletion_failures;
    if failures.is_empty() {
        return None;
    }
    let message = format!("Failed to delete all resource types, {} remaining: {}", failures.len(), failures.join(", "));
    Some(("ContentDeletionFailed", message))
}

fn wrong_remaining(findings: &Findings) -> Wrong {
    let told: Vec<String> =
        findings.remaining.iter().map(|(resource, n)| format!("{resource} has {n} resource instances")).collect();
    (!told.is_empty()).then(|| ("SomeResourcesRemain", format!("Some resources are remaining: {}", told.join(", "))))
}

fn wrong_finalizers(findings: &Findings) -> Wrong {
    let told: Vec<String> =
        findings.finalizers.iter().map(|(finalizer, n)| format!("{finalizer} in {n} resource instances")).collect();
    (!told.is_empty()).then(|| {
        let message = format!("Some content in the namespace has finalizers remaining: {}", told.join(", "));
        ("SomeFinalizersRemain", message)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn messages(status: &NamespaceStatus) -> Vec<(String, String)> {
        status.conditions.iter().flatten().map(|c| (c.status.clone(), c.message.clone().unwrap())).collect()
    }

    #[test]
    fn findings_are_told_and_taken_back() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let findings = Findings {
            remaining: BTreeMap::from([("pods.".to_owned(), 2)]),
            finalizers: BTreeMap::from([("example.com/hold".to_owned(), 1)]),
            ..Findings::default()
        };
        let told = status(None, &findings, now);
        assert_eq!(told.phase.as_deref(), Some("Terminating"));
        let said = messages(&told);
        assert_eq!(
            said[3],
            ("True".to_owned(), "Some resources are remaining: pods. has 2 resource instances".to_owned())
        );
        assert_eq!(
            said[4].1,
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
        );
        let later = now + api::jiff::SignedDuration::from_secs(5);
        assert_eq!(status(Some(&told), &findings, later), told, "the same findings change nothing");
        let done = status(Some(&told), &Findings::default(), later);
        assert!(messages(&done).iter().all(|(value, _)| value == "False"));
    }
}
