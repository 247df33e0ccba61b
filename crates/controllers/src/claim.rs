//! Which objects an owner controls: those it made, orphans its selector matches, and not those it no longer matches.

use std::sync::Arc;

use api::meta::{LabelSelector as WireSelector, ObjectMeta, OwnerReference};
use apimachinery::{LabelSelector, Operator, Requirement};
use client::{Api, ApiError, Patch, PatchParams};
use controller_runtime::{Cache, Entry, Error, Key};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

/// A selector as the API writes it; none if it has an operator nobody knows.
pub(crate) fn selector(wire: &WireSelector) -> Option<LabelSelector> {
    let mut requirements = Vec::new();
    for (key, value) in wire.match_labels.iter().flatten() {
        requirements.push(Requirement { key: key.clone(), operator: Operator::In, values: vec![value.clone()] });
    }
    for expression in wire.match_expressions.iter().flatten() {
        let operator = match expression.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => return None,
        };
        requirements.push(Requirement {
            key: expression.key.clone(),
            operator,
            values: expression.values.clone().unwrap_or_default(),
        });
    }
    Some(LabelSelector::new(requirements))
}

/// What to do about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Keep,
    Adopt,
    Release,
    Ignore,
}

/// Pure: what the owner of `uid` should do about an object.
pub(crate) fn judge(entry: &Entry, uid: &str, owner_deleting: bool, selector: &LabelSelector) -> Claim {
    let header = &entry.header;
    match header.controller() {
        Some(owner) if &*owner.uid == uid => {
            if header.matches(selector) {
                Claim::Keep
            } else if owner_deleting {
                Claim::Ignore
            } else {
                Claim::Release
            }
        }
        Some(_) => Claim::Ignore,
        None if owner_deleting || header.deleting || !header.matches(selector) => Claim::Ignore,
        None => Claim::Adopt,
    }
}

/// An owner and what it may claim.
pub(crate) struct Claimer<'a, O> {
    pub(crate) owners: &'a Api<O>,
    pub(crate) metadata: &'a ObjectMeta,
    pub(crate) reference: OwnerReference,
    pub(crate) selector: &'a LabelSelector,
}

/// The claimed objects, and whether some were only now adopted or released, which the cache does not show yet.
pub(crate) struct Claimed {
    pub(crate) entries: Vec<Arc<Entry>>,
    /// Resource versions of the patches made.
    pub(crate) patched: Vec<Option<String>>,
}

impl<O: Clone + DeserializeOwned + std::fmt::Debug + client::Resource> Claimer<'_, O> {
    /// Claims among the objects of `cache` in the owner's namespace.
    pub(crate) async fn claim<T>(&self, cache: &Cache, objects: &Api<T>) -> Result<Claimed, Error>
    where
        T: Clone + DeserializeOwned + Serialize + std::fmt::Debug + client::Resource,
    {
        let uid = self.metadata.uid.as_deref().unwrap_or_default();
        let deleting = self.metadata.deletion_timestamp.is_some();
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        let mut claimed = Claimed { entries: Vec::new(), patched: Vec::new() };
        let mut may_adopt = None;
        for entry in cache.owned_by(uid).into_iter().chain(cache.orphans(namespace)) {
            match judge(&entry, uid, deleting, self.selector) {
                Claim::Keep => claimed.entries.push(entry),
                Claim::Ignore => {}
                Claim::Release => claimed.patched.extend(self.release(&entry, objects).await?),
                Claim::Adopt => {
                    if may_adopt.is_none() {
                        may_adopt = Some(self.still_lives().await?);
                    }
                    if may_adopt == Some(true)
                        && let Some(version) = self.adopt(&entry, objects).await?
                    {
                        claimed.patched.push(version);
                        claimed.entries.push(entry);
                    }
                }
            }
        }
        Ok(claimed)
    }

    /// Asks the server, because a cache that lags would adopt for an owner that is gone.
    async fn still_lives(&self) -> Result<bool, Error> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let fresh = self.owners.get_opt(name).await?;
        Ok(fresh
            .is_some_and(|fresh| fresh.meta().uid == self.metadata.uid && fresh.meta().deletion_timestamp.is_none()))
    }

    async fn adopt<T>(&self, entry: &Entry, objects: &Api<T>) -> Result<Option<Option<String>>, Error>
    where
        T: Clone + DeserializeOwned + std::fmt::Debug + client::Resource,
    {
        let patch = json!({"metadata": {"ownerReferences": [self.reference], "uid": &*entry.header.uid}});
        patch_owner(entry, objects, patch).await
    }

    async fn release<T>(&self, entry: &Entry, objects: &Api<T>) -> Result<Option<Option<String>>, Error>
    where
        T: Clone + DeserializeOwned + std::fmt::Debug + client::Resource,
    {
        let gone = json!({"$patch": "delete", "uid": self.reference.uid});
        let patch = json!({"metadata": {"ownerReferences": [gone], "uid": &*entry.header.uid}});
        patch_owner(entry, objects, patch).await
    }
}

/// None if the object is gone or another of that name, which needs nothing more.
async fn patch_owner<T>(
    entry: &Entry,
    objects: &Api<T>,
    patch: serde_json::Value,
) -> Result<Option<Option<String>>, Error>
where
    T: Clone + DeserializeOwned + std::fmt::Debug + client::Resource,
{
    match objects.patch(&entry.header.key.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
        Ok(object) => Ok(Some(object.meta().resource_version.clone())),
        Err(error) if error.is_not_found() || error.is_invalid() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The owners of `kind` whose selector matches an object that nobody controls: they may want to adopt it.
pub(crate) fn orphan_keys<O>(
    owners: &Cache,
    object: &Entry,
    selector_of: impl Fn(&O) -> Option<LabelSelector>,
) -> Vec<Key>
where
    O: DeserializeOwned,
{
    if object.header.controller().is_some() {
        return Vec::new();
    }
    owners
        .in_namespace(&object.header.key.namespace)
        .iter()
        .filter(|entry| {
            let owner = entry.decode::<O>().ok();
            owner.and_then(|owner| selector_of(&owner)).is_some_and(|s| !s.is_everything() && object.header.matches(&s))
        })
        .map(|entry| entry.header.key.clone())
        .collect()
}
