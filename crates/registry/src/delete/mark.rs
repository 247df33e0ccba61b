//! What a deletion makes of an object that cannot go at once: finalizers, the grace of pods, the end of namespaces.

use apimachinery::Object;
use serde_json::{Value, json};

use crate::{DeleteOptions, RequestContext, Resource};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What a deletion does to the object before it can go.
pub(super) enum Mark {
    /// Nothing: it goes.
    None,
    /// The object was marked before and waits already.
    Waits,
    /// Written back so; `stays` says that it then waits.
    Changed { object: Object, stays: bool },
}

fn is(resource: &dyn Resource, group: &str, plural: &str) -> bool {
    let facts = resource.facts();
    facts.gvk.group == group && facts.plural == plural
}

/// What the deletion makes of the object.
pub(super) fn mark(resource: &dyn Resource, cx: &RequestContext, options: &DeleteOptions, old: &Object) -> Mark {
    if is(resource, "", "namespaces") {
        return mark_namespace(cx, options, old);
    }
    let mut object = old.clone();
    let changed_finalizers = set_finalizers(&mut object, options);
    let pending = object.finalizers().next().is_some();
    if is(resource, "", "pods") {
        return match grace(cx, options, old, &mut object) {
            Grace::Waits => Mark::Waits,
            Grace::Over => ungraceful(cx, object, old, pending, changed_finalizers),
            Grace::Set(seconds) => Mark::Changed { object, stays: seconds > 0 || pending },
        };
    }
    ungraceful(cx, object, old, pending, changed_finalizers)
}

/// Objects without grace: marked only where finalizers hold them.
fn ungraceful(cx: &RequestContext, mut object: Object, old: &Object, pending: bool, changed: bool) -> Mark {
    if !pending {
        return Mark::None;
    }
    let marked_already = old.deletion_timestamp().is_some() && grace_period(old) == Some(0);
    if marked_already && !changed {
        return Mark::Waits;
    }
    if grace_period(old).is_none() && old.generation() > 0 {
        object.set(&["metadata", "generation"], old.generation() + 1);
    }
    if object.deletion_timestamp().is_none() {
        object.set(&["metadata", "deletionTimestamp"], cx.timestamp());
    }
    object.set(&["metadata", "deletionGracePeriodSeconds"], 0);
    Mark::Changed { object, stays: true }
}

fn grace_period(object: &Object) -> Option<i64> {
    object.get(&["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64)
}

enum Grace {
    /// A deletion is under way and this one does not shorten it.
    Waits,
    /// Its time is over.
    Over,
    /// It now has so many seconds.
    Set(i64),
}

/// The graceful deletion of pods.
fn grace(cx: &RequestContext, options: &DeleteOptions, old: &Object, object: &mut Object) -> Grace {
    let asked = options.grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
    if let Some(timestamp) = old.deletion_timestamp() {
        let Some(current) = grace_period(old) else { return Grace::Over };
        let Some(seconds) = asked else { return Grace::Waits };
        if seconds >= current {
            return if current == 0 && old.finalizers().next().is_none() { Grace::Over } else { Grace::Waits };
        }
        if let Ok(at) = timestamp.parse::<jiff::Timestamp>() {
            let sooner = at - jiff::SignedDuration::from_secs(current - seconds);
            object.set(&["metadata", "deletionTimestamp"], sooner.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        object.set(&["metadata", "deletionGracePeriodSeconds"], seconds);
        return Grace::Set(seconds);
    }
    let default = old.get(&["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64).unwrap_or_default();
    let mut seconds = asked.unwrap_or(default);
    let unscheduled = old.get_str(&["spec", "nodeName"]).unwrap_or_default().is_empty();
    if unscheduled || matches!(old.get_str(&["status", "phase"]), Some("Failed" | "Succeeded")) {
        seconds = 0;
    }
    seconds = if seconds < 0 { 1 } else { seconds };
    let at = cx.now + jiff::SignedDuration::from_secs(seconds);
    object.set(&["metadata", "deletionTimestamp"], at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    object.set(&["metadata", "deletionGracePeriodSeconds"], seconds);
    if old.generation() > 0 {
        object.set(&["metadata", "generation"], old.generation() + 1);
    }
    Grace::Set(seconds)
}

/// A namespace is emptied by its controller, which then takes the finalizer from its spec.
fn mark_namespace(cx: &RequestContext, options: &DeleteOptions, old: &Object) -> Mark {
    let mut object = old.clone();
    let changed = set_finalizers(&mut object, options);
    let held = object.finalizers().next().is_some()
        || object.get(&["spec", "finalizers"]).and_then(Value::as_array).is_some_and(|held| !held.is_empty());
    if old.deletion_timestamp().is_none() {
        object.set(&["metadata", "deletionTimestamp"], cx.timestamp());
        object.set(&["status", "phase"], "Terminating");
        return Mark::Changed { object, stays: held };
    }
    match (held, changed) {
        (false, _) => Mark::None,
        (true, true) => Mark::Changed { object, stays: true },
        (true, false) => Mark::Waits,
    }
}

/// Sets the garbage collector's finalizers as the options say. Answers whether they changed.
fn set_finalizers(object: &mut Object, options: &DeleteOptions) -> bool {
    let had = |name: &str| object.finalizers().any(|f| f == name);
    let (had_orphan, had_foreground) = (had(ORPHAN), had(FOREGROUND));
    let policy = options.propagation_policy.as_deref();
    let orphan = match (options.orphan_dependents, policy) {
        (Some(orphan), _) => orphan,
        (None, Some(policy)) => policy == "Orphan",
        (None, None) => had_orphan,
    };
    let foreground = match (options.orphan_dependents, policy) {
        (Some(_), _) => false,
        (None, Some(policy)) => policy == "Foreground",
        (None, None) => had_foreground,
    };
    if orphan == had_orphan && foreground == had_foreground {
        return false;
    }
    let mut finalizers: Vec<Value> =
        object.finalizers().filter(|f| !matches!(*f, ORPHAN | FOREGROUND)).map(Value::from).collect();
    if orphan {
        finalizers.push(ORPHAN.into());
    }
    if foreground {
        finalizers.push(FOREGROUND.into());
    }
    if finalizers.is_empty() {
        object.remove(&["metadata", "finalizers"]);
    } else {
        object.set(&["metadata", "finalizers"], json!(finalizers));
    }
    true
}
