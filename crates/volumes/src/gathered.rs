//! What volumes need from the API, named before and handed over at set-up, so that set-up itself only touches disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use api::core::v1::{ConfigMap, Pod, Secret, Volume};
use apimachinery::Quantity;

/// How long a token lives where the volume does not say.
const DEFAULT_TOKEN_SECONDS: i64 = 3600;

/// Something a volume reads, in the pod's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    ConfigMap(String),
    Secret(String),
    /// A token bound to the pod. An empty audience means the API server's own.
    Token {
        audience: String,
        expiration_seconds: i64,
    },
}

/// A service account token, never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What was read. `None` says the object was looked for and does not exist, which optional volumes accept.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    pub config_maps: HashMap<String, Option<std::sync::Arc<ConfigMap>>>,
    pub secrets: HashMap<String, Option<std::sync::Arc<Secret>>>,
    pub tokens: HashMap<Need, Token>,
}

/// What limits default to in the downward API: the node's allocatable amounts.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    pub allocatable: BTreeMap<String, Quantity>,
}

/// Everything the pod's volumes read.
pub fn needs(pod: &Pod) -> BTreeSet<Need> {
    pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()).flat_map(volume_needs).collect()
}

/// What one volume reads.
pub fn volume_needs(volume: &Volume) -> Vec<Need> {
    let mut needs = Vec::new();
    if let Some(source) = &volume.config_map {
        needs.push(Need::ConfigMap(source.name.clone()));
    }
    if let Some(source) = &volume.secret {
        needs.push(Need::Secret(source.secret_name.clone().unwrap_or_default()));
    }
    for source in volume.projected.iter().flat_map(|p| p.sources.iter().flatten()) {
        if let Some(source) = &source.config_map {
            needs.push(Need::ConfigMap(source.name.clone()));
        }
        if let Some(source) = &source.secret {
            needs.push(Need::Secret(source.name.clone()));
        }
        if let Some(token) = &source.service_account_token {
            needs.push(token_need(token));
        }
    }
    needs
}

pub(crate) fn token_need(source: &api::core::v1::ServiceAccountTokenProjection) -> Need {
    Need::Token {
        audience: source.audience.clone().unwrap_or_default(),
        expiration_seconds: source.expiration_seconds.unwrap_or(DEFAULT_TOKEN_SECONDS),
    }
}
