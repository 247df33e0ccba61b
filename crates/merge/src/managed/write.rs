//! The two ways to write: by update, which takes what it changes, and by apply, which asks.

use std::sync::LazyLock;

use apimachinery::GroupVersionKind;
use schema::Node;
use serde_json::{Map, Value, json};

use super::{
    cap::cap_updaters,
    conflict::ApplyError,
    entries::{self, ManagerId, Operation, Owners},
    last_applied,
    owners::Change,
    path::Element,
    set::Set,
    typed,
};

/// The owner of what was there before anybody was recorded.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Who writes what.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// `fieldManager`, or what stands for it: the first word of the user agent.
    pub manager: &'a str,
    /// The kind the request is about.
    pub kind: &'a GroupVersionKind,
    /// Empty for the object itself.
    pub subresource: &'a str,
    /// RFC 3339, whole seconds, UTC.
    pub now: &'a str,
    /// Paths that this write does not touch, whatever it says: `["status"]` for the object itself, `["spec"]` for
    /// its status.
    pub reset: &'a [&'a [&'a str]],
}

impl Write<'_> {
    fn id(&self, operation: Operation) -> ManagerId {
        ManagerId::new(self.manager, operation, &self.kind.api_version(), self.subresource)
    }

    fn ignored(&self) -> Set {
        self.reset.iter().map(|path| path.iter().map(|name| Element::Field((*name).to_owned())).collect()).collect()
    }
}

/// Records what a create (no live object), update or patch changed in `new.metadata.managedFields`. Both objects are
/// as the server decodes them: defaulted and pruned. Call again after mutating admission.
///
/// A request may set managed fields itself; `[{}]` empties them, and an object without any stays so. What cannot be
/// read is ignored in favour of the live object's, as upstream does.
pub fn update(node: Node<'_>, live: Option<&Value>, new: &mut Value, write: &Write<'_>) {
    let given = entries::take(new);
    // An object that exists and has no owners is one whose owners were emptied; it is not tracked again by updates.
    let exists = live.is_some_and(|live| live["metadata"]["uid"].as_str().is_some_and(|uid| !uid.is_empty()));
    let mut owners = match starting_owners(live, given, write) {
        Some(owners) if !owners.is_empty() || !exists => owners,
        _ => return,
    };
    let zero = zero(write.kind);
    take(node, live.unwrap_or(&zero), new, &mut owners, write);
    entries::put(new, owners);
}

/// Merges a configuration into the live object (none: creates) and returns the whole new object with its managed
/// fields, decoded anew by the schema; default it before validating. Without `force`, fields of other managers that
/// would change are conflicts.
pub fn apply(
    node: Node<'_>,
    live: Option<&Value>,
    config: &Value,
    force: bool,
    write: &Write<'_>,
) -> Result<Value, ApplyError> {
    check_kind(config, write)?;
    let mut owners = entries::decode(live.map_or(Vec::new(), |live| entries::entries(live).to_vec()))?;
    if config["metadata"].get("managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(ApplyError::ManagedFieldsGiven);
    }
    let zero = zero(write.kind);
    let live = without_managed_fields(live.unwrap_or(&zero));
    if owners.is_empty() {
        let before = Write { manager: BEFORE_FIRST_APPLY, ..*write };
        take(node, &zero, &live, &mut owners, &before);
    }
    typed::validate(node, config, false).map_err(|reason| typed_error("patch", config, write, reason))?;
    let (merged, mut owners) = merged(node, &live, config, force, owners, write)?;
    let mut new = match merged {
        Some(merged) => {
            // Upstream's typed objects do not keep nulls, and times and quantities get their usual form.
            let mut new = schema::conform(node, &merged).map_err(ApplyError::Merged)?.value;
            if let Some(owned) = owners.get_mut(&write.id(Operation::Apply)) {
                owned.time = Some(write.now.to_owned());
            }
            schema::complete(node, &mut new);
            new
        }
        None => live.clone(),
    };
    strip(&mut owners, &write.id(Operation::Apply));
    if write.manager == last_applied::MANAGER {
        last_applied::refresh(&mut new, config);
    }
    entries::put(&mut new, owners);
    Ok(new)
}

type Merged = (Option<Value>, Owners);

/// The merge itself; what kubectl set client-side does not stand in its own way.
fn merged(
    node: Node<'_>,
    live: &Value,
    config: &Value,
    force: bool,
    owners: Owners,
    write: &Write<'_>,
) -> Result<Merged, ApplyError> {
    let (ignored, api_version) = (write.ignored(), write.kind.api_version());
    let change = Change { node, api_version: &api_version, ignored: &ignored };
    let id = write.id(Operation::Apply);
    let attempt = |force: bool| {
        let mut owners = owners.clone();
        change.apply(live, config, &mut owners, &id, force).map(|merged| (merged, owners))
    };
    match attempt(force) {
        Err(ApplyError::Conflicts { conflicts }) if write.manager == last_applied::MANAGER => {
            match last_applied::allows(node, live, &conflicts) {
                Some(left) if left.is_empty() => attempt(true),
                Some(left) => Err(ApplyError::Conflicts { conflicts: left }),
                None => Err(ApplyError::Conflicts { conflicts }),
            }
        }
        outcome => outcome,
    }
}

/// Gives the live object's times back to a new object that differs in nothing else, so that a write which changes
/// nothing is none.
pub fn ignore_times(live: &Value, new: &mut Value) {
    let (old, young) = (entries::entries(live), entries::entries(new));
    if old == young || old.len() != young.len() || !same_but_managed_fields(live, new) {
        return;
    }
    // Entries are sorted by time, so equal ones may stand in another order.
    let timeless = |entries: &[Value]| {
        let mut entries: Vec<Value> = entries.to_vec();
        entries.iter_mut().filter_map(Value::as_object_mut).for_each(|entry| drop(entry.remove("time")));
        entries.sort_by_key(Value::to_string);
        entries
    };
    if timeless(old) == timeless(young) {
        entries::put_entries(new, old.to_vec());
    }
}

fn same_but_managed_fields(a: &Value, b: &Value) -> bool {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return false };
    let others = |map: &Map<String, Value>, key: &str| map.len() - usize::from(map.contains_key(key));
    let same = |a: &Map<String, Value>, b: &Map<String, Value>, but: &str| {
        others(a, but) == others(b, but) && a.iter().all(|(key, value)| key == but || b.get(key) == Some(value))
    };
    let metadata = match (a.get("metadata"), b.get("metadata")) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => same(a, b, "managedFields"),
        (a, b) => a == b,
    };
    metadata && same(a, b, "metadata")
}

/// The owners an update starts from: the request's if it brings any, else the live object's. `None` if they were
/// emptied.
fn starting_owners(live: Option<&Value>, given: Vec<Value>, write: &Write<'_>) -> Option<Owners> {
    if write.subresource.is_empty() {
        if let [Value::Object(only)] = given.as_slice()
            && only.is_empty()
        {
            return live.is_none().then(Owners::new);
        }
        if let Ok(owners) = entries::decode(given)
            && !owners.is_empty()
        {
            return Some(owners);
        }
    }
    let of_live = live.map_or(&[][..], entries::entries).to_vec();
    Some(entries::decode(of_live).unwrap_or_default())
}

/// What an update took, with its time, and no more updaters than the bound.
fn take(node: Node<'_>, live: &Value, new: &Value, owners: &mut Owners, write: &Write<'_>) {
    let (ignored, api_version) = (write.ignored(), write.kind.api_version());
    let change = Change { node, api_version: &api_version, ignored: &ignored };
    let id = write.id(Operation::Update);
    // Compared as somebody new, so that only what changed now gets the time of now.
    let current = ManagerId { manager: format!("{}\0", write.manager), ..id.clone() };
    if !change.update(live, new, owners, &current) {
        return;
    }
    strip(owners, &current);
    if let Some(mut taken) = owners.remove(&current) {
        if let Some(before) = owners.remove(&id) {
            taken.set.extend(before.set);
        }
        taken.time = Some(write.now.to_owned());
        owners.insert(id, taken);
    }
    cap_updaters(owners);
}

/// Fields that nobody owns, because everybody states them or nobody may.
static STRIPPED: LazyLock<Set> = LazyLock::new(|| {
    const METADATA: [&str; 9] = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let field = |name: &str| Element::Field(name.to_owned());
    let roots = ["apiVersion", "kind", "metadata"].map(|name| vec![field(name)]);
    let metadata = METADATA.map(|name| vec![field("metadata"), field(name)]);
    roots.into_iter().chain(metadata).collect()
});

fn strip(owners: &mut Owners, id: &ManagerId) {
    if let Some(owned) = owners.get_mut(id) {
        owned.set.subtract(&STRIPPED);
        if owned.set.is_empty() {
            owners.remove(id);
        }
    }
}

fn zero(kind: &GroupVersionKind) -> Value {
    json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {}})
}

fn without_managed_fields(object: &Value) -> Value {
    let mut object = object.clone();
    entries::take(&mut object);
    object
}

fn check_kind(config: &Value, write: &Write<'_>) -> Result<(), ApplyError> {
    let given = given_kind(config);
    if given == *write.kind { Ok(()) } else { Err(ApplyError::Kind { kind: given }) }
}

fn given_kind(config: &Value) -> GroupVersionKind {
    let word = |key: &str| config[key].as_str().unwrap_or_default();
    let (group, version) = word("apiVersion").split_once('/').unwrap_or(("", word("apiVersion")));
    GroupVersionKind::new(group, version, word("kind"))
}

fn typed_error(what: &'static str, object: &Value, write: &Write<'_>, reason: String) -> ApplyError {
    let empty = Map::new();
    let metadata = object["metadata"].as_object().unwrap_or(&empty);
    let word = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
    let object = format!("{}/{}; {}", word("namespace"), word("name"), write.kind);
    ApplyError::Typed { what, object, reason }
}
