//! Ownership as arithmetic of sets: who loses what when an object changes, and what nobody wants any more.

use schema::Node;
use serde_json::Value;

use super::{
    conflict::{ApplyError, Conflict},
    entries::{ManagerId, Owned, Owners},
    set::Set,
    typed::{Comparison, compare, field_set, merge, remove},
};

/// One object's change under the schema that describes it.
pub(super) struct Change<'a> {
    pub(super) node: Node<'a>,
    pub(super) api_version: &'a str,
    /// Fields that this write does not touch whatever it says.
    pub(super) ignored: &'a Set,
}

impl Change<'_> {
    /// Records an update: `id` owns what it changed, the others do no more. True if anything changed.
    pub(super) fn update(&self, live: &Value, new: &Value, owners: &mut Owners, id: &ManagerId) -> bool {
        let changes = self.compare(live, new);
        if changes.is_same() {
            return false;
        }
        self.yielded(&changes, owners, id);
        let mut set = owners.remove(id).map(|owned| owned.set).unwrap_or_default();
        set.subtract(&changes.removed);
        set.extend(changes.modified);
        set.extend(changes.added);
        set.subtract_below(self.ignored);
        if !set.is_empty() {
            owners.insert(id.clone(), Owned { set, api_version: self.api_version.to_owned(), time: None });
        }
        true
    }

    /// Merges a configuration; `None` if the object stays as it is.
    pub(super) fn apply(
        &self,
        live: &Value,
        config: &Value,
        owners: &mut Owners,
        id: &ManagerId,
        force: bool,
    ) -> Result<Option<Value>, ApplyError> {
        let merged = merge(self.node, live, config);
        let mut set = field_set(self.node, config);
        set.subtract_below(self.ignored);
        let time = owners.get(id).and_then(|owned| owned.time.clone());
        let owned = Owned { set, api_version: self.api_version.to_owned(), time };
        let last = owners.insert(id.clone(), owned);
        let new = self.pruned(merged, owners, last.map(|owned| owned.set));
        let changes = self.compare(live, &new);
        let conflicts = conflicts(&changes, owners, id);
        if !force && !conflicts.is_empty() {
            return Err(ApplyError::Conflicts { conflicts });
        }
        self.yielded(&changes, owners, id);
        Ok((new != *live).then_some(new))
    }

    fn compare(&self, live: &Value, new: &Value) -> Comparison {
        compare(self.node, live, new).without(self.ignored)
    }

    /// Takes from the other owners what changed, and from all what is gone.
    fn yielded(&self, changes: &Comparison, owners: &mut Owners, id: &ManagerId) {
        for (_, owned) in owners.iter_mut().filter(|(other, _)| *other != id) {
            for lost in [&changes.modified, &changes.added, &changes.removed] {
                owned.set.subtract(lost);
            }
        }
        owners.retain(|_, owned| !owned.set.is_empty());
    }

    /// Removes what the manager applied last time, unless it or somebody else still wants it.
    fn pruned(&self, merged: Value, owners: &Owners, last: Option<Set>) -> Value {
        let Some(last) = last.filter(|set| !set.is_empty()) else { return merged };
        let named = |set: Set| set.with_named_fields(Some(self.node));
        let last = named(last);
        let pruned = remove(self.node, &merged, &last);
        let owned = owners.values().fold(Set::new(), |all, owned| all.union(owned.set.clone()));
        let everything = named(field_set(self.node, &merged));
        // What went with its parent but is owned comes back.
        let kept = named(field_set(self.node, &pruned)).union(named(owned));
        let pruned = remove(self.node, &merged, &everything.clone().difference(&kept));
        // So does what nobody owns and was not in the last configuration either.
        let gone = everything.difference(&named(field_set(self.node, &pruned)));
        remove(self.node, &merged, &gone.intersection(&last))
    }
}

fn conflicts(changes: &Comparison, owners: &Owners, id: &ManagerId) -> Vec<Conflict> {
    let touched = changes.modified.clone().union(changes.added.clone());
    let others = owners.iter().filter(|(other, _)| *other != id);
    others
        .flat_map(|(other, owned)| {
            let paths = owned.set.intersection(&touched).paths();
            paths.into_iter().map(|path| Conflict { manager: other.clone(), path })
        })
        .collect()
}
