//! ConfigMaps and Secrets the pods of this node refer to: one watch for each object, as long as a pod refers to it.
//! The node may read no others, and never lists them all.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use api::core::v1::{ConfigMap, Secret};
use client::Client;
use controller_runtime::{Cache, Informers, Key, Scope, Tasks};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

/// How long the first read may take before the pod says what it waits for and tries again.
const FIRST_READ: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    ConfigMap,
    Secret,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
        }
    }
}

/// An object by kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("failed to sync {kind} cache: timed out waiting for the {kind} \"{name}\"")]
    Late { kind: &'static str, name: String },
    #[error(transparent)]
    Decode(#[from] controller_runtime::DecodeError),
}

struct Watched {
    cache: Arc<Cache>,
    tasks: Tasks,
    holders: Arc<Mutex<HashSet<String>>>,
}

/// Told the uid of a pod one of whose references changed.
pub(crate) type Wake = Arc<dyn Fn(&str) + Send + Sync>;

/// Bounded by what the pods of this node refer to.
pub(crate) struct References {
    client: Client,
    tasks: Tasks,
    wake: Wake,
    watched: Mutex<HashMap<Reference, Watched>>,
}

impl References {
    pub(crate) fn new(client: Client, tasks: Tasks, wake: Wake) -> Self {
        Self { client, tasks, wake, watched: Mutex::default() }
    }

    /// Makes `wanted` the whole of what the pod refers to.
    pub(crate) fn hold(&self, uid: &str, wanted: &BTreeSet<Reference>) {
        let mut watched = self.watched.lock();
        for reference in wanted {
            let entry = watched.entry(reference.clone()).or_insert_with(|| self.start(reference));
            entry.holders.lock().insert(uid.to_owned());
        }
        watched.retain(|reference, entry| {
            let mut holders = entry.holders.lock();
            if !wanted.contains(reference) {
                holders.remove(uid);
            }
            if holders.is_empty() {
                entry.tasks.cancel();
            }
            !holders.is_empty()
        });
    }

    pub(crate) fn release(&self, uid: &str) {
        self.hold(uid, &BTreeSet::new());
    }

    fn start(&self, reference: &Reference) -> Watched {
        let tasks = self.tasks.child();
        let informers = Informers::new(self.client.clone(), tasks.clone());
        let scope = Scope {
            namespace: reference.namespace.clone(),
            fields: format!("metadata.name={}", reference.name),
            ..Scope::default()
        };
        let cache: Arc<Cache> = match reference.kind {
            Kind::ConfigMap => (*informers.watch_scoped::<ConfigMap>(scope)).clone(),
            Kind::Secret => (*informers.watch_scoped::<Secret>(scope)).clone(),
        };
        let holders = Arc::new(Mutex::new(HashSet::new()));
        let (mut changes, told, wake) = (cache.subscribe(), holders.clone(), self.wake.clone());
        let first = cache.clone();
        tasks.spawn("reference", async move {
            first.synced().await;
            // Who asked for it reads the first state by itself.
            while changes.try_next().is_some() {}
            loop {
                changes.next().await;
                let uids: Vec<String> = told.lock().iter().cloned().collect();
                uids.iter().for_each(|uid| wake(uid));
            }
        });
        Watched { cache, tasks, holders }
    }

    /// The object as last seen; `None` if there is none. The pod must hold the reference.
    async fn read<K: DeserializeOwned>(&self, reference: &Reference) -> Result<Option<Arc<K>>, ReadError> {
        let late = || ReadError::Late { kind: reference.kind.as_str(), name: reference.name.clone() };
        let cache = self.watched.lock().get(reference).map(|w| w.cache.clone()).ok_or_else(late)?;
        tokio::time::timeout(FIRST_READ, cache.synced()).await.map_err(|_| late())?;
        let key = Key::new(reference.namespace.as_str(), reference.name.as_str());
        Ok(cache.get(&key).map(|entry| entry.decode::<K>()).transpose()?.map(Arc::new))
    }

    pub(crate) async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Arc<ConfigMap>>, ReadError> {
        self.read(&Reference { kind: Kind::ConfigMap, namespace: namespace.to_owned(), name: name.to_owned() }).await
    }

    pub(crate) async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Arc<Secret>>, ReadError> {
        self.read(&Reference { kind: Kind::Secret, namespace: namespace.to_owned(), name: name.to_owned() }).await
    }
}
