//! The heartbeat: a Lease renewed every ten seconds.

use std::{sync::Arc, time::Duration};

use api::{
    coordination::v1::{Lease, LeaseSpec},
    core::v1::Node,
    jiff::Timestamp,
    meta::{MicroTime, ObjectMeta, OwnerReference},
};
use client::{ApiError, PostParams};
use controller_runtime::Key;

use crate::agent::Agent;

const NAMESPACE: &str = "kube-node-lease";
/// The others think the node dead after this.
const DURATION_SECONDS: i32 = 40;
const INTERVAL: Duration = Duration::from_secs(10);
/// After a failure, and while there is no lease yet.
const RETRY: Duration = Duration::from_millis(500);

/// Renews the lease, for ever.
pub(crate) async fn renew_lease(agent: Arc<Agent>) {
    let mut held: Option<Lease> = None;
    loop {
        let delay = match renew(&agent, held.take()).await {
            Ok(lease) => {
                held = Some(lease);
                INTERVAL
            }
            Err(error) => {
                tracing::warn!(%error, "the node's lease could not be renewed; trying again");
                RETRY
            }
        };
        tokio::time::sleep(delay).await;
    }
}

async fn renew(agent: &Agent, held: Option<Lease>) -> Result<Lease, client::Error> {
    let api = agent.client.namespaced::<Lease>(NAMESPACE);
    let name = &agent.config.node_name;
    let lease = match held {
        Some(lease) => Some(lease),
        None => api.get_opt(name).await?,
    };
    let Some(mut lease) = lease else {
        return match api.create(&PostParams::default(), &fresh(agent)).await {
            Err(error) if error.is_already_exists() => api.get(name).await,
            other => other,
        };
    };
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(name.clone());
    spec.lease_duration_seconds = Some(DURATION_SECONDS);
    spec.renew_time = Some(micro(Timestamp::now()));
    if lease.metadata.owner_references.as_ref().is_none_or(Vec::is_empty) {
        lease.metadata.owner_references = owner(agent);
    }
    api.replace(name, &PostParams::default(), &lease).await
}

/// The API keeps microseconds.
fn micro(time: Timestamp) -> MicroTime {
    MicroTime(Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time))
}

fn fresh(agent: &Agent) -> Lease {
    let name = agent.config.node_name.clone();
    Lease {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(NAMESPACE.to_owned()),
            owner_references: owner(agent),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name),
            lease_duration_seconds: Some(DURATION_SECONDS),
            renew_time: Some(micro(Timestamp::now())),
            ..LeaseSpec::default()
        }),
    }
}

/// The lease goes with its node.
fn owner(agent: &Agent) -> Option<Vec<OwnerReference>> {
    let node: Node = agent.node.fetch(&Key::cluster(agent.config.node_name.as_str())).ok()??;
    Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: agent.config.node_name.clone(),
        uid: node.metadata.uid?,
        ..OwnerReference::default()
    }])
}
