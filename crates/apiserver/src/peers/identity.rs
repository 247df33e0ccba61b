//! The Lease by which an API server is known.

use apimachinery::{Object, Status};
use registry::{Body, DeleteOptions, ListOptions, View};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{ids, live::Live};

/// What upstream writes into the leases.
const LEASE_SECONDS: i64 = 3600;
const NAMESPACE: &str = "kube-system";
const LABEL: &str = "apiserver.kubernetes.io/identity";
const COMPONENT: &str = "kube-apiserver";
/// Somebody may write the lease meanwhile, a collector at most.
const MAX_ATTEMPTS: usize = 5;
const USUAL_PORT: u16 = 6443;
const LEASES: (&str, &str, &str) = ("coordination.k8s.io", "v1", "leases");

/// Who a server is. The name stays over restarts, the holder does not.
pub(super) struct Identity {
    hostname: String,
    name: String,
    holder: String,
}

impl Identity {
    /// Unlike Kubernetes, two servers of one machine are two: another port than the usual one is part of the name.
    pub(super) fn new(hostname: &str, port: u16) -> Self {
        let hashed = if port == USUAL_PORT { hostname.to_owned() } else { format!("{hostname}:{port}") };
        let hash = Sha256::digest(hashed.as_bytes());
        let name = format!("apiserver-{}", base32(&hash[..16]));
        let holder = format!("{name}_{}", ids::uuid());
        Self { hostname: hostname.to_owned(), name, holder }
    }

    /// Writes the lease anew.
    pub(super) async fn renew(&self, live: &Live) -> Result<(), Status> {
        let resource = live.resource(LEASES.0, LEASES.1, LEASES.2)?;
        let mut last = Ok(());
        for _ in 0..MAX_ATTEMPTS {
            let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
            let existing = live.get(LEASES, NAMESPACE, &self.name).await?;
            let lease = self.lease(existing.as_ref(), &now);
            last = match existing {
                None => {
                    let cx = live.context(NAMESPACE, "");
                    live.registry.create(&resource, &cx, Body::Tree(lease)).await.map(drop)
                }
                Some(_) => {
                    let cx = live.context(NAMESPACE, &self.name);
                    live.registry.update(&resource, &cx, Body::Tree(lease)).await.map(drop)
                }
            };
            match &last {
                Err(status) if crate::live::is_race(status) => {}
                _ => return last,
            }
        }
        last
    }

    /// Deletes the lease: this server stops.
    pub(super) async fn give_up(&self, live: &Live) -> Result<(), Status> {
        let resource = live.resource(LEASES.0, LEASES.1, LEASES.2)?;
        let (cx, options) = (live.context(NAMESPACE, &self.name), DeleteOptions::default());
        match live.registry.delete(&resource, &cx, &options).await {
            Err(status) if !crate::live::is_race(&status) => Err(status),
            _ => Ok(()),
        }
    }

    fn lease(&self, existing: Option<&Object>, now: &str) -> Object {
        let mut lease = existing.cloned().unwrap_or_else(|| {
            let empty = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": self.name, "namespace": NAMESPACE},
            });
            Object::from_value(empty).expect("it was written as an object")
        });
        let mut labels = lease.get(&["metadata", "labels"]).cloned().unwrap_or_else(|| json!({}));
        labels[LABEL] = COMPONENT.into();
        labels["kubernetes.io/hostname"] = self.hostname.as_str().into();
        lease.set(&["metadata", "labels"], labels);
        lease.set(&["spec", "holderIdentity"], self.holder.as_str());
        lease.set(&["spec", "leaseDurationSeconds"], LEASE_SECONDS);
        lease.set(&["spec", "renewTime"], now);
        lease
    }
}

/// Removes the leases of servers that have not renewed them for their whole duration.
pub(super) async fn collect_expired(live: &Live) -> Result<(), Status> {
    let resource = live.resource(LEASES.0, LEASES.1, LEASES.2)?;
    let options = ListOptions {
        label_selector: format!("{LABEL}={COMPONENT}"),
        resource_version: "0".to_owned(),
        ..ListOptions::default()
    };
    let listed = live.registry.list(&resource, &live.context(NAMESPACE, ""), &options, View::Object).await?;
    let list: Value = serde_json::from_slice(&listed.chunks.concat()).map_err(Status::internal)?;
    let now = jiff::Timestamp::now();
    for lease in list["items"].as_array().into_iter().flatten().filter(|lease| is_expired(lease, now)) {
        let name = lease["metadata"]["name"].as_str().unwrap_or_default();
        // Not if it was renewed meanwhile.
        let preconditions = json!({"preconditions": {"resourceVersion": lease["metadata"]["resourceVersion"]}});
        let options: DeleteOptions = serde_json::from_value(preconditions).map_err(Status::internal)?;
        match live.registry.delete(&resource, &live.context(NAMESPACE, name), &options).await {
            Err(status) if !crate::live::is_race(&status) => return Err(status),
            _ => tracing::info!(lease = name, "the lease of an API server that is gone was removed"),
        }
    }
    Ok(())
}

fn is_expired(lease: &Value, now: jiff::Timestamp) -> bool {
    let spec = &lease["spec"];
    let renewed = spec["renewTime"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let (Some(renewed), Some(seconds)) = (renewed, spec["leaseDurationSeconds"].as_i64()) else { return true };
    now.duration_since(renewed).as_secs() > seconds
}

/// Without padding, in small letters.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let letter = |start: usize| (start..start + 5).fold(0, |value, at| value << 1 | usize::from(bit(at)));
    (0..bytes.len() * 8).step_by(5).map(|start| char::from(ALPHABET[letter(start)])).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn names_are_upstreams() {
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
        let name = Identity::new("kind-control-plane", 6443).name;
        assert_eq!((name.len(), &name[..10]), ("apiserver-".len() + 26, "apiserver-"));
        assert_ne!(name, Identity::new("kind-control-plane", 6444).name);
        assert_eq!(name, Identity::new("kind-control-plane", 6443).name);
    }

    #[test]
    fn a_lease_is_over_after_its_duration() {
        let now: jiff::Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let lease = |renewed: &str| json!({"spec": {"renewTime": renewed, "leaseDurationSeconds": 3600}});
        assert!(!is_expired(&lease("2026-01-01T00:00:00.000000Z"), now));
        assert!(is_expired(&lease("2025-12-31T23:59:58.000000Z"), now));
        assert!(is_expired(&json!({"spec": {}}), now));
    }
}
