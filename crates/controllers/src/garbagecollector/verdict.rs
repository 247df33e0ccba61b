//! What the owners of an object, and its own finalizers, mean for it.

use controller_runtime::{Entry, Header, Owner};

pub(crate) const FOREGROUND: &str = "foregroundDeletion";
pub(crate) const ORPHAN: &str = "orphan";

/// What is known of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerState {
    Lives,
    /// It is being deleted in the foreground, and waits for what it owns.
    Waits,
    Gone,
}

/// How an object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Background,
    Foreground,
    Orphan,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    /// Being deleted in the foreground: goes when nothing that blocks it is left.
    AwaitDependents,
    /// Being deleted, and what it owns is to stay.
    OrphanDependents,
    /// Some owners live; the references to these others go.
    DropOwners(Vec<std::sync::Arc<str>>),
    Delete(Policy),
}

pub(crate) fn has_finalizer(header: &Header, finalizer: &str) -> bool {
    header.finalizers.iter().any(|f| &**f == finalizer)
}

/// What to do first about an object; none if that depends on its owners.
pub(crate) fn own_verdict(header: &Header) -> Option<Verdict> {
    if header.deleting {
        return Some(if has_finalizer(header, ORPHAN) {
            Verdict::OrphanDependents
        } else if has_finalizer(header, FOREGROUND) {
            Verdict::AwaitDependents
        } else {
            Verdict::Keep
        });
    }
    header.owners.is_empty().then_some(Verdict::Keep)
}

/// Pure: what the states of its owners mean for a live object.
pub(crate) fn judge(entry: &Entry, owners: &[(&Owner, OwnerState)], has_dependents: bool) -> Verdict {
    let lives = owners.iter().any(|(_, state)| *state == OwnerState::Lives);
    let waits = owners.iter().any(|(_, state)| *state == OwnerState::Waits);
    let others: Vec<_> = owners.iter().filter(|(_, s)| *s != OwnerState::Lives).map(|(o, _)| o.uid.clone()).collect();
    match (lives, others.is_empty()) {
        (true, true) => Verdict::Keep,
        (true, false) => Verdict::DropOwners(others),
        // An owner that waits wants its whole tree gone before itself.
        _ if waits && has_dependents => Verdict::Delete(Policy::Foreground),
        _ if has_finalizer(&entry.header, ORPHAN) => Verdict::Delete(Policy::Orphan),
        _ if has_finalizer(&entry.header, FOREGROUND) => Verdict::Delete(Policy::Foreground),
        _ => Verdict::Delete(Policy::Background),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    fn entry(finalizers: &[&str], deleting: bool, owners: &[&str]) -> Entry {
        let owners: Vec<_> =
            owners.iter().map(|o| json!({"apiVersion": "v1", "kind": "Pod", "name": o, "uid": o})).collect();
        let time = deleting.then_some("2026-01-01T00:00:00Z");
        let object = json!({"metadata": {
            "name": "x", "finalizers": finalizers, "deletionTimestamp": time, "ownerReferences": owners}});
        Entry::new(object.to_string().into_bytes().into()).unwrap()
    }

    #[test]
    fn finalizers_of_an_object_being_deleted_decide() {
        let of = |finalizers: &[&str]| own_verdict(&entry(finalizers, true, &["o"]).header);
        assert_eq!(of(&[]), Some(Verdict::Keep));
        assert_eq!(of(&[FOREGROUND]), Some(Verdict::AwaitDependents));
        assert_eq!(of(&[ORPHAN]), Some(Verdict::OrphanDependents));
        assert_eq!(own_verdict(&entry(&[], false, &[]).header), Some(Verdict::Keep));
        assert_eq!(own_verdict(&entry(&[], false, &["o"]).header), None);
    }

    #[test]
    fn owners_decide_about_the_living() {
        use OwnerState::{Gone, Lives, Waits};
        let check = |states: &[OwnerState], dependents: bool, finalizers: &[&str]| {
            let names = ["a", "b"];
            let entry = entry(finalizers, false, &names[..states.len()]);
            let owners: Vec<_> = entry.header.owners.iter().zip(states.iter().copied()).collect();
            judge(&entry, &owners, dependents)
        };
        assert_eq!(check(&[Lives], true, &[]), Verdict::Keep);
        assert_eq!(check(&[Lives, Gone], false, &[]), Verdict::DropOwners(vec!["b".into()]));
        assert_eq!(check(&[Waits, Lives], false, &[]), Verdict::DropOwners(vec!["a".into()]));
        assert_eq!(check(&[Gone, Gone], true, &[]), Verdict::Delete(Policy::Background));
        assert_eq!(check(&[Gone], false, &[ORPHAN]), Verdict::Delete(Policy::Orphan));
        assert_eq!(check(&[Gone, Waits], true, &[]), Verdict::Delete(Policy::Foreground));
        assert_eq!(check(&[Waits], false, &[]), Verdict::Delete(Policy::Background));
    }
}
