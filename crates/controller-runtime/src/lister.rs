//! Typed reads of a cache.

use std::{marker::PhantomData, ops::Deref, sync::Arc};

use apimachinery::LabelSelector;
use serde::de::DeserializeOwned;

use crate::{Cache, Entry, Key};

/// The server sent an object that is not of the kind it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{key} cannot be decoded: {source}")]
pub struct DecodeError {
    pub key: Key,
    pub source: serde_json::Error,
}

/// A cache known to hold `K`s. Typed objects are made on each call and are large: ask headers first. Cheap to
/// clone. What it answers may lag behind the server.
pub struct Lister<K> {
    cache: Arc<Cache>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Lister<K> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), kind: PhantomData }
    }
}

impl<K> Deref for Lister<K> {
    type Target = Arc<Cache>;

    fn deref(&self) -> &Arc<Cache> {
        &self.cache
    }
}

impl<K> Lister<K> {
    pub fn new(cache: Arc<Cache>) -> Self {
        Self { cache, kind: PhantomData }
    }

    /// Entries of a namespace (of all, if it is empty) whose labels match.
    pub fn select(&self, namespace: &str, selector: &LabelSelector) -> Vec<Arc<Entry>> {
        let candidates = if namespace.is_empty() { self.cache.entries() } else { self.cache.in_namespace(namespace) };
        candidates.into_iter().filter(|entry| entry.header.matches(selector)).collect()
    }
}

impl<K: DeserializeOwned> Lister<K> {
    /// The object of this key, decoded.
    pub fn fetch(&self, key: &Key) -> Result<Option<K>, DecodeError> {
        self.cache.get(key).map(|entry| entry.decode()).transpose()
    }

    pub fn fetch_in(&self, namespace: &str, name: &str) -> Result<Option<K>, DecodeError> {
        self.fetch(&Key::new(namespace, name))
    }

    /// Every object, decoded.
    pub fn fetch_all(&self) -> Result<Vec<K>, DecodeError> {
        decode_all(&self.cache.entries())
    }

    /// The objects of a namespace (of all, if it is empty) whose labels match, decoded.
    pub fn fetch_selected(&self, namespace: &str, selector: &LabelSelector) -> Result<Vec<K>, DecodeError> {
        decode_all(&self.select(namespace, selector))
    }
}

fn decode_all<K: DeserializeOwned>(entries: &[Arc<Entry>]) -> Result<Vec<K>, DecodeError> {
    entries.iter().map(|entry| entry.decode()).collect()
}
