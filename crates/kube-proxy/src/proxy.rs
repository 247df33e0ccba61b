//! The loop: a change of a Service or of its endpoints becomes one transaction; what changes while one runs is in
//! the next.

use std::{collections::BTreeMap, io, time::Duration};

use api::{core::v1::Service, discovery::v1::EndpointSlice};
use client::Client;
use controller_runtime::{Backoff, Change, Informers, Key, Lister, Subscription, Tasks};
use netlink::nft::{self, NftError};

use crate::{
    flows::{self, UdpDoors},
    rules::{self, Door, Rules},
    service::doors,
    sysctl,
};

/// The label by which a slice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Services that another proxy serves bear this label.
const OTHER_PROXY: &str = "service.kubernetes.io/service-proxy-name";

#[derive(Clone, Debug)]
pub struct Config {
    /// The nftables table that is ours alone.
    pub table: String,
    pub node_name: String,
    /// The addresses of pods; other clients are masqueraded.
    pub pod_cidr: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("set {setting}: {source}")]
    Sysctl { setting: &'static str, source: io::Error },
    #[error(transparent)]
    Nft(#[from] NftError),
}

/// Removes every rule of a proxy that has run with this table.
pub async fn tear_down(table: &str) -> Result<(), NftError> {
    nft::apply(&format!("table ip {table}\ndelete table ip {table}\n")).await
}

/// Keeps this node's rules in accordance with the cluster's Services until the tasks are stopped. The rules stay
/// then: Services go on working while the daemon restarts.
pub fn start(config: Config, client: Client, tasks: &Tasks) -> Result<(), ProxyError> {
    sysctl::prepare().map_err(|(setting, source)| ProxyError::Sysctl { setting, source })?;
    let informers = Informers::new(client, tasks.clone());
    let proxy = Proxy {
        config,
        services: informers.watch(),
        slices: informers.watch(),
        doors: BTreeMap::new(),
        programmed: None,
        udp: UdpDoors::default(),
    };
    tasks.spawn("kube-proxy", async move {
        informers.synced().await;
        proxy.run().await;
    });
    Ok(())
}

struct Proxy {
    config: Config,
    services: Lister<Service>,
    slices: Lister<EndpointSlice>,
    doors: BTreeMap<Key, Vec<Door>>,
    /// What the kernel has; none when that is not known.
    programmed: Option<Rules>,
    /// What tracked flows accord with.
    udp: UdpDoors,
}

impl Proxy {
    async fn run(mut self) {
        let (mut services, mut slices) = (self.services.subscribe(), self.slices.subscribe());
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
        // Whether or not there is a Service: rules of an earlier life must go.
        self.take_in(&mut services, &mut slices);
        loop {
            match self.program().await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    tracing::error!(%error, table = self.config.table, "packet rules could not be changed");
                    // The kernel may have part of it: the next attempt replaces all.
                    self.programmed = None;
                    tokio::time::sleep(backoff.next_delay()).await;
                    self.take_in(&mut services, &mut slices);
                    continue;
                }
            }
            tokio::select! {
                change = services.next() => self.on_service(&change),
                change = slices.next() => self.on_slice(&change),
            }
            self.take_in(&mut services, &mut slices);
        }
    }

    fn take_in(&mut self, services: &mut Subscription, slices: &mut Subscription) {
        while let Some(change) = services.try_next() {
            self.on_service(&change);
        }
        while let Some(change) = slices.try_next() {
            self.on_slice(&change);
        }
    }

    fn on_service(&mut self, change: &Change) {
        self.compute(&change.key);
    }

    /// A slice may be relabelled from one Service to another.
    fn on_slice(&mut self, change: &Change) {
        for entry in change.entries() {
            if let Some(name) = entry.header.label(SERVICE_NAME) {
                self.compute(&Key::new(entry.header.key.namespace.clone(), name));
            }
        }
    }

    fn compute(&mut self, key: &Key) {
        match self.doors_of(key) {
            Ok(doors) if doors.is_empty() => drop(self.doors.remove(key)),
            Ok(doors) => drop(self.doors.insert(key.clone(), doors)),
            // What cannot be read keeps its rules.
            Err(error) => tracing::error!(service = %key, %error, "service cannot be read"),
        }
    }

    fn doors_of(&self, key: &Key) -> Result<Vec<Door>, controller_runtime::DecodeError> {
        let Some(service) = self.services.fetch(key)? else { return Ok(Vec::new()) };
        if service.metadata.labels.as_ref().is_some_and(|l| l.contains_key(OTHER_PROXY)) {
            return Ok(Vec::new());
        }
        let selector = apimachinery::LabelSelector::from_map([(SERVICE_NAME, key.name.as_ref())]);
        let slices = self.slices.fetch_selected(&key.namespace, &selector)?;
        Ok(doors(&service, &slices, &self.config.node_name))
    }

    async fn program(&mut self) -> Result<(), NftError> {
        let mut wanted = Rules::default();
        self.doors.values().flatten().for_each(|door| wanted.add(door));
        let Config { table, pod_cidr, .. } = &self.config;
        let transaction = rules::step(table, pod_cidr, self.programmed.as_ref(), &mut wanted);
        if !transaction.is_empty() {
            nft::apply(&transaction).await?;
        }
        self.programmed = Some(wanted);
        self.flush().await;
        Ok(())
    }

    /// Ends the UDP flows that follow the rules from before. Only if a UDP door changed; the list may be long.
    async fn flush(&mut self) {
        let now = UdpDoors::of(self.doors.values().flatten());
        if now == self.udp {
            return;
        }
        let before = std::mem::replace(&mut self.udp, now.clone());
        match tokio::task::spawn_blocking(move || flows::flush(&before, &now)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(flows)) => tracing::debug!(flows, "stale UDP flows ended"),
            // They end by themselves when their clients pause.
            Ok(Err(error)) => tracing::error!(%error, "stale UDP flows cannot be ended"),
            Err(error) => tracing::error!(%error, "stale UDP flows cannot be ended"),
        }
    }
}
