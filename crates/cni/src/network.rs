//! The network of one node: set up once, pods attached and detached, taken down whole.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use netlink::{Address, Namespace, Route, Socket, Veth, nft};

use crate::{Error, HostPort, Range, Reservation, Result, flows, ipam::Addresses, rules, sysctl};

/// The pod's end of the cable.
const POD_INTERFACE: &str = "eth0";
/// Loopback has this index in every namespace.
const LOOPBACK: u32 = 1;

#[derive(Debug, Clone)]
pub struct Config {
    /// The bridge's name; `knarr0` unless several nodes share a network namespace.
    pub bridge: String,
    /// The nftables table (family ip); `knarr-cni` by default.
    pub table: String,
    pub range: Range,
    /// Destinations reached with the pod's own address: the ranges of other nodes.
    pub not_masqueraded: Vec<Range>,
    pub mtu: Option<u32>,
    /// Folder for reservations.
    pub state: PathBuf,
}

impl Config {
    pub fn new(range: Range, state: PathBuf) -> Self {
        Self {
            bridge: "knarr0".into(),
            table: "knarr-cni".into(),
            range,
            not_masqueraded: Vec::new(),
            mtu: None,
            state,
        }
    }
}

/// What a pod got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attachment {
    pub ip: Ipv4Addr,
    pub gateway: Ipv4Addr,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    bridge: u32,
    addresses: Mutex<Addresses>,
    /// Transactions on the host ports go in the order of the reservations.
    rules: tokio::sync::Mutex<()>,
}

fn mac_of(ip: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ip.octets();
    [0x0a, 0x58, a, b, c, d]
}

fn host_interface(sandbox: &str) -> String {
    let id: String = sandbox.chars().filter(char::is_ascii_alphanumeric).take(11).collect();
    format!("veth{id}")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::TaskDied)?
}

/// Without it a UDP client that goes on sending is answered only after a pause; the pod has its ports all the same.
async fn flush(sandbox: &str, work: impl FnOnce() -> netlink::Result<usize> + Send + 'static) {
    match blocking(move || Ok(work()?)).await {
        Ok(ended) => tracing::debug!(sandbox, ended, "stale UDP flows to host ports"),
        Err(error) => tracing::warn!(sandbox, %error, "stale UDP flows to host ports could not be ended"),
    }
}

impl Network {
    /// Makes bridge, rules and switches as they must be, whatever was there; keeps reservations of earlier lives.
    pub async fn start(config: Config) -> Result<Self> {
        let (config, bridge, addresses) = blocking(move || {
            let mut socket = Socket::open()?;
            let gateway = config.range.gateway();
            let bridge = socket.ensure_bridge(&config.bridge, Some(mac_of(gateway)))?.index;
            socket.add_address(Address { link: bridge, ip: IpAddr::V4(gateway), prefix: config.range.prefix() })?;
            sysctl::apply(&config.bridge)?;
            let addresses = Addresses::open(&config.state, config.range)?;
            Ok((config, bridge, addresses))
        })
        .await?;
        let mut text = rules::table(&config.table, &config.bridge, config.range, &config.not_masqueraded);
        for (ip, reservation) in addresses.reservations() {
            text.push_str(&rules::add_ports(&config.table, &reservation.host_ports, *ip));
        }
        nft::apply(&text).await?;
        let addresses = Mutex::new(addresses);
        let inner = Inner { config, bridge, addresses, rules: tokio::sync::Mutex::new(()) };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.inner.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The address of a sandbox, if it has one.
    pub fn address(&self, sandbox: &str) -> Option<Ipv4Addr> {
        self.addresses().of(sandbox)
    }

    /// Gives a sandbox, whose network namespace is new, its interface, address and host ports. On failure nothing stays
    /// reserved.
    pub async fn attach(&self, sandbox: &str, namespace: Namespace, host_ports: Vec<HostPort>) -> Result<Attachment> {
        let ip = self.reserve(sandbox, &host_ports)?;
        let attached = self.plug(sandbox, namespace, ip, &host_ports).await;
        if attached.is_err()
            && let Err(error) = self.detach(sandbox).await
        {
            tracing::warn!(sandbox, %error, "cannot give back the network of a sandbox that failed");
        }
        attached
    }

    fn reserve(&self, sandbox: &str, host_ports: &[HostPort]) -> Result<Ipv4Addr> {
        let mut addresses = self.addresses();
        for (_, other) in addresses.reservations().filter(|(_, r)| r.sandbox != sandbox) {
            let clash = host_ports.iter().find(|port| other.host_ports.iter().any(|o| o.clashes(port)));
            if let Some(port) = clash {
                return Err(Error::PortTaken {
                    port: port.host_port,
                    protocol: port.protocol.name(),
                    sandbox: other.sandbox.clone(),
                });
            }
        }
        addresses.reserve(Reservation { sandbox: sandbox.to_owned(), host_ports: host_ports.to_vec() })
    }

    async fn plug(
        &self,
        sandbox: &str,
        namespace: Namespace,
        ip: Ipv4Addr,
        host_ports: &[HostPort],
    ) -> Result<Attachment> {
        let network = self.clone();
        let name = host_interface(sandbox);
        blocking(move || network.cable(&name, &namespace, ip)).await?;
        if !host_ports.is_empty() {
            let _order = self.inner.rules.lock().await;
            nft::apply(&rules::add_ports(&self.inner.config.table, host_ports, ip)).await?;
            let ports = host_ports.to_vec();
            flush(sandbox, move || flows::flush_strays(&ports, ip)).await;
        }
        Ok(Attachment { ip, gateway: self.inner.config.range.gateway() })
    }

    fn cable(&self, name: &str, namespace: &Namespace, ip: Ipv4Addr) -> Result<()> {
        let config = &self.inner.config;
        let mut host = Socket::open()?;
        host.create_veth(&Veth {
            name,
            master: Some(self.inner.bridge),
            mtu: config.mtu,
            peer_name: POD_INTERFACE,
            peer_namespace: namespace,
            peer_mac: Some(mac_of(ip)),
        })?;
        if let Some(link) = host.link(name)? {
            host.set_hairpin(link.index)?;
        }
        let mut pod = Socket::open_in(namespace)?;
        pod.set_up(LOOPBACK)?;
        let link =
            pod.link(POD_INTERFACE)?.ok_or_else(|| netlink::Error::NoSuchLink { name: POD_INTERFACE.into() })?.index;
        pod.add_address(Address { link, ip: IpAddr::V4(ip), prefix: config.range.prefix() })?;
        pod.set_up(link)?;
        let gateway = Some(IpAddr::V4(config.range.gateway()));
        pod.add_route(&Route { destination: (Ipv4Addr::UNSPECIFIED.into(), 0), gateway, link })?;
        Ok(())
    }

    /// Gives back the address and host ports of a sandbox. The cable goes with the sandbox's namespace: deleting it would
    /// hold the kernel's network lock for tens of milliseconds. Idempotent.
    pub async fn detach(&self, sandbox: &str) -> Result<()> {
        let _order = self.inner.rules.lock().await;
        let mapped = self
            .addresses()
            .reservations()
            .find(|(_, r)| r.sandbox == sandbox && !r.host_ports.is_empty())
            .map(|(ip, r)| (*ip, r.host_ports.clone()));
        if let Some((ip, ports)) = mapped {
            let text = rules::remove_ports(&self.inner.config.table, &ports, ip);
            // After a failed set-up the elements may not be there.
            if let Err(error) = nft::apply(&text).await {
                tracing::debug!(sandbox, %error, "host ports were not there to remove");
            }
            flush(sandbox, move || flows::flush_own(&ports, ip)).await;
        }
        self.addresses().release(sandbox).map(|_| ())
    }

    /// Gives back what sandboxes hold that no longer exist.
    pub async fn retain(&self, sandboxes: &BTreeSet<String>) -> Result<()> {
        let gone: Vec<String> = self
            .addresses()
            .reservations()
            .map(|(_, reservation)| reservation.sandbox.clone())
            .filter(|sandbox| !sandboxes.contains(sandbox))
            .collect();
        for sandbox in gone {
            self.detach(&sandbox).await?;
        }
        Ok(())
    }
}

/// Removes the bridge, the cables in it, the rules and the reservations. What is not there is fine.
pub async fn teardown_all(config: &Config) -> Result<()> {
    let bridge = config.bridge.clone();
    blocking(move || {
        let mut socket = Socket::open()?;
        let Some(bridge) = socket.link(&bridge)? else { return Ok(()) };
        for port in socket.links()?.iter().filter(|link| link.master == bridge.index) {
            socket.delete_link(port.index)?;
        }
        Ok(socket.delete_link(bridge.index)?)
    })
    .await?;
    let table = &config.table;
    nft::apply(&format!("table ip {table}\ndelete table ip {table}\n")).await?;
    match std::fs::remove_dir_all(&config.state) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Io { action: "remove", path: config.state.clone(), source })
        }
        _ => Ok(()),
    }
}
