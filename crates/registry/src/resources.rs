//! The table of all resources that are served.

use std::{collections::BTreeMap, sync::Arc};

use kinds::{Kind, Visitor};
use parking_lot::RwLock;

use crate::{BuiltIn, Resource};

type Key = (String, String, String);

/// Resources by group, version and plural. Shared; custom resources come and go while it is in use.
#[derive(Clone, Default)]
pub struct Resources(Arc<RwLock<BTreeMap<Key, Arc<dyn Resource>>>>);

impl Resources {
    /// All built-in kinds.
    pub fn built_in() -> Self {
        let resources = Self::default();
        kinds::visit(&mut BuiltIns(&resources));
        resources
    }

    pub fn insert(&self, resource: Arc<dyn Resource>) {
        let facts = resource.facts();
        let key = (facts.gvk.group.clone(), facts.gvk.version.clone(), facts.plural.clone());
        self.0.write().insert(key, resource);
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<dyn Resource>> {
        let key = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.0.read().get(&key).cloned()
    }

    /// By kind, as owner references and bodies name it.
    pub fn find_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<dyn Resource>> {
        let matches = |resource: &&Arc<dyn Resource>| {
            let gvk = &resource.facts().gvk;
            gvk.group == group && gvk.version == version && gvk.kind == kind
        };
        self.0.read().values().find(matches).cloned()
    }

    /// The resource whose objects lie at this key, in the version they are stored in.
    pub(crate) fn stored_at(&self, key: &[u8]) -> Option<Arc<dyn Resource>> {
        let lies = |resource: &&Arc<dyn Resource>| {
            let facts = resource.facts();
            !facts.storage_prefix.is_empty() && !facts.converts() && key.starts_with(facts.storage_prefix.as_bytes())
        };
        // `services/specs` and `services/endpoints` lie beside each other; none lies within another.
        self.0.read().values().find(lies).cloned()
    }

    /// All of them, by group, version and plural.
    pub fn all(&self) -> Vec<Arc<dyn Resource>> {
        self.0.read().values().cloned().collect()
    }
}

struct BuiltIns<'a>(&'a Resources);

impl Visitor for BuiltIns<'_> {
    fn visit<K: Kind>(&mut self) {
        self.0.insert(Arc::new(BuiltIn::<K>::new()));
    }
}
