//! Who owns whom, over every kind that can be listed and deleted. There is no graph kept: each kind's cache knows its
//! objects by owner, and the edges are asked for.

use std::sync::Arc;

use client::ApiResource;
use controller_runtime::{Cache, Entry, Informers, Key, Owner, Scope};

use crate::discovery::Served;

/// Kinds that own nothing, are owned by nothing, and are many.
const IGNORED: [(&str, &str); 2] = [("", "events"), ("events.k8s.io", "events")];

/// One kind.
pub(crate) struct Kind {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
    pub(crate) cache: Arc<Cache>,
}

/// An object: which kind (by its place in the graph), and which of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) kind: usize,
    pub(crate) key: Key,
}

pub(crate) struct Graph {
    pub(crate) kinds: Vec<Kind>,
}

impl Graph {
    /// Watches every kind. Those other controllers watch too are shared with them.
    pub(crate) fn new(informers: &Informers, served: Vec<Served>) -> Self {
        let wanted = served.into_iter().filter(|served| {
            let name = (served.resource.group.as_str(), served.resource.plural.as_str());
            ["list", "watch", "delete"].iter().all(|verb| served.can(verb)) && !IGNORED.contains(&name)
        });
        let kinds = wanted
            .map(|served| Kind {
                cache: informers.watch_resource(&served.resource, Scope::default()),
                resource: served.resource,
                namespaced: served.namespaced,
            })
            .collect();
        Self { kinds }
    }

    pub(crate) fn entry(&self, node: &Node) -> Option<Arc<Entry>> {
        self.kinds[node.kind].cache.get(&node.key)
    }

    /// What has an owner of this uid.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<(Node, Arc<Entry>)> {
        let of = |(kind, found): (usize, &Kind)| {
            let owned = found.cache.owned_by(uid).into_iter();
            owned.map(move |entry| (Node { kind, key: entry.header.key.clone() }, entry)).collect::<Vec<_>>()
        };
        self.kinds.iter().enumerate().flat_map(of).collect()
    }

    /// Where an owner would be; none if its kind is not known.
    pub(crate) fn locate(&self, owner: &Owner, namespace: &str) -> Option<Node> {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        let kind = self
            .kinds
            .iter()
            .position(|kind| kind.resource.group == group && kind.resource.kind.as_str() == &*owner.kind)?;
        let namespace = if self.kinds[kind].namespaced { namespace } else { "" };
        Some(Node { kind, key: Key::new(namespace, owner.name.clone()) })
    }
}
