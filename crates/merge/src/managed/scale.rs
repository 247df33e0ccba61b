//! Owners of `replicas` as the scale subresource shows them, and back.

use apimachinery::GroupVersionKind;
use serde_json::Value;

use super::{
    entries::{self, EntryError, Owned, Owners},
    path::{Element, Path},
    set::Set,
};

/// Translates between an object's managed fields and those of its `Scale`.
#[derive(Clone, Copy, Debug)]
pub struct Scale<'a> {
    /// The object's kind.
    pub kind: &'a GroupVersionKind,
    /// Where the object keeps its replicas: `["spec", "replicas"]`.
    pub replicas: &'a [&'a str],
}

const SCALE_VERSION: &str = "autoscaling/v1";

impl Scale<'_> {
    fn path(&self) -> Path {
        self.replicas.iter().map(|name| Element::Field((*name).to_owned())).collect()
    }

    fn scale_path() -> Path {
        ["spec", "replicas"].map(|name| Element::Field(name.to_owned())).to_vec()
    }

    /// The managed fields of the scale of an object with these: whoever owns the replicas.
    pub fn of_parent(&self, parent: &[Value]) -> Result<Vec<Value>, EntryError> {
        let path = self.path();
        let owners: Owners = entries::decode(parent.to_vec())?
            .into_iter()
            .filter(|(_, owned)| owned.api_version == self.kind.api_version() && owned.set.contains(&path))
            .map(|(id, owned)| {
                let set: Set = [Self::scale_path()].into_iter().collect();
                (id, Owned { set, api_version: SCALE_VERSION.to_owned(), time: owned.time })
            })
            .collect();
        Ok(entries::encode(owners))
    }

    /// The managed fields of the object after its scale was written: who lost the replicas there loses them here,
    /// who took them there gets an entry.
    pub fn to_parent(&self, parent: &[Value], scale: &[Value]) -> Result<Vec<Value>, EntryError> {
        let path = self.path();
        let replicas: Set = [path.clone()].into_iter().collect();
        let mut scale: Owners = entries::decode(scale.to_vec())?;
        let mut owners = Owners::new();
        for (id, mut owned) in entries::decode(parent.to_vec())? {
            let kept = scale
                .keys()
                .find(|other| {
                    other.manager == id.manager
                        && other.operation == id.operation
                        && other.subresource == id.subresource
                })
                .cloned();
            if owned.set.contains(&path) {
                match kept {
                    Some(kept) => drop(scale.remove(&kept)),
                    None => drop(owned.set.subtract(&replicas)),
                }
            }
            if !owned.set.is_empty() {
                owners.insert(id, owned);
            }
        }
        for (mut id, owned) in scale {
            if !owned.set.is_empty() {
                if !id.api_version.is_empty() {
                    id.api_version = self.kind.api_version();
                }
                // Upstream loses the time here.
                let owned = Owned { set: replicas.clone(), api_version: self.kind.api_version(), time: None };
                owners.insert(id, owned);
            }
        }
        Ok(entries::encode(owners))
    }
}
