//! Several API servers on one store, as upstream has it: each holds a Lease in `kube-system` that says who it is, and
//! writes its address where the others see it. All of them keep the endpoints of the Service `kubernetes` to those that
//! live; one that died leaves them when it has been silent for [`SILENCE`].

mod identity;

use std::{collections::HashMap, net::IpAddr};

use apimachinery::Status;
use registry::Master;
use tokio::{
    sync::Mutex,
    time::{Duration, Instant, MissedTickBehavior},
};

use crate::{config::Config, server::ApiServer};
use identity::Identity;

/// How often a server says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A server that has said nothing for so long is taken for dead.
const SILENCE: Duration = Duration::from_secs(15);
/// The longest a server that stops tries to tell the others.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);
/// How often the leases of servers that are gone for good are looked for.
const COLLECTION: Duration = Duration::from_secs(3600);

/// What a server knows of the others.
pub(crate) struct Peers {
    identity: Identity,
    /// What each wrote last, and since when this server sees it so.
    seen: Mutex<HashMap<IpAddr, (u64, Instant)>>,
}

impl Peers {
    /// None where a server is alone on its store.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let hostname = config.hostname.as_deref()?;
        Some(Self { identity: Identity::new(hostname, config.advertise_port), seen: Mutex::default() })
    }

    /// Those that live, and those that are taken for dead.
    async fn judge(&self, own: IpAddr, masters: Vec<Master>) -> (Vec<IpAddr>, Vec<Master>) {
        let now = Instant::now();
        let mut seen = self.seen.lock().await;
        seen.retain(|address, _| masters.iter().any(|master| master.address == *address));
        let (mut live, mut dead) = (Vec::new(), Vec::new());
        for master in masters {
            let (revision, since) = seen.entry(master.address).or_insert((master.revision, now));
            if *revision != master.revision {
                (*revision, *since) = (master.revision, now);
            }
            if master.address != own && now.duration_since(*since) >= SILENCE {
                dead.push(master);
            } else {
                live.push(master.address);
            }
        }
        (live, dead)
    }
}

impl ApiServer {
    /// Makes this server known, and keeps it so.
    pub(crate) async fn join_peers(&self) -> Result<(), Status> {
        if self.inner.peers.is_none() {
            return Ok(());
        }
        self.heartbeat().await?;
        let server = self.clone();
        self.inner.tasks.spawn("peers", async move { server.keep_known().await });
        Ok(())
    }

    async fn keep_known(&self) {
        let mut beat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut collected = None;
        loop {
            if collected.is_none_or(|at: Instant| at.elapsed() >= COLLECTION) {
                match identity::collect_expired(&self.inner.live).await {
                    Ok(()) => collected = Some(Instant::now()),
                    Err(status) => tracing::debug!(error = status.message, "leases of API servers were not looked at"),
                }
            }
            beat.tick().await;
            if let Err(status) = self.heartbeat().await {
                tracing::warn!(error = status.message, "other API servers could not be told that this one lives");
            }
        }
    }

    async fn heartbeat(&self) -> Result<(), Status> {
        let Some(peers) = &self.inner.peers else { return Ok(()) };
        let own = self.inner.config.advertise_address;
        let renewed = peers.identity.renew(&self.inner.live).await;
        self.inner.live.registry.renew_master(own).await?;
        let (live, dead) = peers.judge(own, self.inner.live.registry.masters().await?).await;
        for master in dead {
            // Who speaks at the last moment lives.
            if self.inner.live.registry.remove_master(master).await? {
                tracing::info!(address = %master.address, "an API server is gone");
            }
        }
        self.point_to(&live).await?;
        renewed
    }

    /// Takes this server out of the endpoints: it stops. Best effort; without it the others find out by themselves.
    pub async fn leave(&self) {
        if self.inner.peers.is_none() {
            return;
        }
        let own = self.inner.config.advertise_address;
        let registry = &self.inner.live.registry;
        let left = async {
            if let Some(peers) = &self.inner.peers {
                peers.identity.give_up(&self.inner.live).await?;
            }
            let masters = registry.masters().await?;
            for master in masters.iter().filter(|master| master.address == own) {
                registry.remove_master(*master).await?;
            }
            let rest: Vec<IpAddr> = masters.iter().map(|master| master.address).filter(|a| *a != own).collect();
            if rest.is_empty() { Ok(()) } else { self.point_to(&rest).await }
        };
        match tokio::time::timeout(LEAVE_LIMIT, left).await {
            Ok(Ok(())) => {}
            Ok(Err(status)) => tracing::debug!(error = status.message, "this server could not take leave of others"),
            Err(_) => tracing::debug!("this server had no time to take leave of others"),
        }
    }
}
