//! The informers of one component: one list and watch per kind and scope, however many ask.

use std::{collections::HashMap, sync::Arc};

use client::{ApiResource, Client};
use futures::future::join_all;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use crate::{Cache, Lister, Tasks, reflector};

/// Which objects of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Empty for all namespaces.
    pub namespace: String,
    /// A label selector as in `labelSelector=`.
    pub labels: String,
    /// A field selector as in `fieldSelector=`.
    pub fields: String,
    /// Only metadata (`PartialObjectMetadata`); entries then decode as that.
    pub metadata_only: bool,
}

/// Cheap to clone; clones share their caches.
#[derive(Clone)]
pub struct Informers {
    client: Client,
    tasks: Tasks,
    caches: Arc<Mutex<HashMap<Wanted, Arc<Cache>>>>,
}

type Wanted = (String, Scope);

impl Informers {
    /// Informers that read with `client`'s identity, and end with `tasks`.
    pub fn new(client: Client, tasks: Tasks) -> Self {
        Self { client, tasks, caches: Arc::default() }
    }

    /// All objects of a kind.
    pub fn watch<K>(&self) -> Lister<K>
    where
        K: client::Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.watch_scoped(Scope::default())
    }

    /// Some objects of a kind.
    pub fn watch_scoped<K>(&self, scope: Scope) -> Lister<K>
    where
        K: client::Resource<DynamicType = ()> + DeserializeOwned,
    {
        Lister::new(self.watch_resource(&ApiResource::erase::<K>(&()), scope))
    }

    /// A kind known by name only.
    pub fn watch_resource(&self, resource: &ApiResource, scope: Scope) -> Arc<Cache> {
        let path = reflector::path(resource, &scope.namespace);
        let mut caches = self.caches.lock();
        if let Some(cache) = caches.get(&(path.clone(), scope.clone())) {
            return cache.clone();
        }
        let cache = Arc::new(Cache::new(format!("{}.{}", resource.plural, resource.group)));
        let reflector = reflector::Reflector::new(self.client.clone(), path.clone(), scope.clone(), cache.clone());
        self.tasks.spawn(&format!("informer {}", resource.plural), reflector.run());
        caches.insert((path, scope), cache.clone());
        cache
    }

    /// Returns when every informer asked for so far has its first list.
    pub async fn synced(&self) {
        let caches: Vec<Arc<Cache>> = self.caches.lock().values().cloned().collect();
        join_all(caches.iter().map(|cache| cache.synced())).await;
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}
