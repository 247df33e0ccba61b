//! What Services hold that no two may: addresses of the cluster and ports of the nodes. The store says who holds what
//! (`ledger.rs`), for all API servers; here is what is chosen, and what is refused.

mod carry;
mod commit;
mod families;
mod holdings;
mod ledger;
mod pool;
mod repair;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use apimachinery::{
    GroupKind, Object, Status,
    field::{Error, ErrorList, Path},
};
use serde_json::Value;
use store::Snapshot;

use crate::Config;
use holdings::Holdings;
use ledger::PortLedger;
use pool::{Addresses, Ports, Refused};

pub(crate) use carry::carry_over;
pub(crate) use commit::CommitError;
pub(crate) use ledger::Claim;

const PREFIX: &[u8] = b"/registry/services/specs/";
/// Dry runs show node ports from beyond the usual range, so that nobody relies on them.
const DRY_RUN_PORT: u16 = 32_769;

/// The ranges of this cluster.
pub(crate) struct Services {
    addresses: Addresses,
    ports: Ports,
    /// All node ports are one key: in one process those who change it take turns instead of racing.
    turn: tokio::sync::Mutex<()>,
}

/// What is held at one moment, and what is taken on top of it.
struct Pools<'a> {
    services: &'a Services,
    snapshot: &'a Snapshot,
    ledger: PortLedger,
    taken: Holdings,
}

impl Pools<'_> {
    fn take_address(&mut self, address: IpAddr) -> Result<(), Refused> {
        self.services.addresses.check(address)?;
        if self.is_held(address) {
            return Err(Refused("provided IP is already allocated".to_owned()));
        }
        self.taken.addresses.push(address);
        Ok(())
    }

    fn next_address(&mut self) -> Result<IpAddr, Refused> {
        let address = self.services.addresses.free(|address| self.is_held(address))?;
        self.taken.addresses.push(address);
        Ok(address)
    }

    fn is_held(&self, address: IpAddr) -> bool {
        self.taken.addresses.contains(&address) || ledger::is_held(self.snapshot, address)
    }

    fn take_port(&mut self, port: u16) -> Result<(), Refused> {
        self.services.ports.check(port)?;
        if !self.ledger.set(port, true) {
            return Err(Refused("provided port is already allocated".to_owned()));
        }
        self.taken.ports.push(port);
        Ok(())
    }

    fn next_port(&mut self) -> Result<u16, Refused> {
        let port = self.services.ports.free(|port| self.ledger.holds(port))?;
        self.take_port(port).map(|()| port)
    }
}

impl Services {
    pub(crate) fn new(config: &Config) -> Self {
        let (network, bits) = config.service_cluster_ip_range;
        let (first, last) = config.service_node_ports;
        Self { addresses: Addresses::new(network, bits), ports: Ports::new(first, last), turn: <_>::default() }
    }

    /// Completes a Service with an address and node ports where it needs them, and says what its write has to take
    /// and to leave.
    pub(crate) fn claim(
        &self,
        snapshot: &Snapshot,
        dry_run: bool,
        new: &mut Object,
        old: Option<&Object>,
        now: &str,
    ) -> Result<Claim, Status> {
        let before = old.map(Holdings::of).unwrap_or_default();
        let mut errors = ErrorList::new();
        families::complete(new, old, self.addresses.is_ipv4(), &mut errors);
        refuse(new, &errors)?;
        let ledger = PortLedger::read(snapshot, &self.ports);
        let mut pools = Pools { services: self, snapshot, ledger, taken: Holdings::default() };
        fill(&mut pools, dry_run, new, &before)?;
        let taken = pools.taken;
        let left = before.minus(&Holdings::of(new));
        Ok(Claim { taken, left, service: named(new), now: now.to_owned() })
    }

    /// What goes with the deletion of a Service.
    pub(crate) fn release(&self, service: &Object) -> Claim {
        Claim { left: Holdings::of(service), service: named(service), ..Claim::default() }
    }
}

/// Only what says whose a claim is.
fn named(service: &Object) -> Object {
    let mut named = Object::default();
    named.set(&["metadata", "namespace"], service.namespace());
    named.set(&["metadata", "name"], service.name());
    named
}

fn refuse(service: &Object, errors: &ErrorList) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&GroupKind::new("", "Service"), service.name(), errors))
}

fn fill(pools: &mut Pools<'_>, dry_run: bool, service: &mut Object, before: &Holdings) -> Result<(), Status> {
    let mut errors = ErrorList::new();
    fill_address(pools, service, before, &mut errors)?;
    refuse(service, &errors)?;
    fill_ports(pools, dry_run, service, before, &mut errors)?;
    fill_health_check(pools, dry_run, service, before, &mut errors)?;
    refuse(service, &errors)
}

fn fill_address(
    pools: &mut Pools<'_>,
    service: &mut Object,
    before: &Holdings,
    errors: &mut ErrorList,
) -> Result<(), Status> {
    if !holdings::needs_address(service) {
        return Ok(());
    }
    let path = Path::new("spec").child("clusterIPs");
    let mut wanted: Vec<String> = holdings::cluster_ips(service);
    let first = service.get_str(&["spec", "clusterIP"]).unwrap_or_default();
    if !first.is_empty() && wanted.first().is_some_and(|listed| listed != first) {
        // The two fields contradict each other, which the rules of services refuse in their own words.
        return Ok(());
    }
    if wanted.is_empty() {
        let first = pools.services.addresses.first();
        let next = match is_kubernetes(service) {
            true => pools.take_address(first).map(|()| first),
            false => pools.next_address(),
        };
        let address =
            next.map_err(|Refused(why)| Status::internal(format!("failed to allocate a serviceIP: {why}")))?;
        wanted.push(address.to_string());
    } else {
        // Which of two contradicting addresses is meant is for validation to ask.
        let primary = service.get_str(&["spec", "clusterIP"]).unwrap_or_default();
        let consistent = primary.is_empty() || wanted[0] == primary;
        for text in wanted.iter().filter(|_| consistent) {
            let Ok(address) = text.parse::<IpAddr>() else { continue };
            if before.addresses.contains(&address) {
                continue;
            }
            if let Err(Refused(why)) = pools.take_address(address) {
                let why = format!("failed to allocate IP {address}: {why}");
                errors.push(Error::invalid(&path, wanted.clone(), why));
            }
        }
    }
    if service.get_str(&["spec", "clusterIP"]).unwrap_or_default().is_empty() {
        service.set(&["spec", "clusterIP"], wanted[0].clone());
    }
    service.set(&["spec", "clusterIPs"], wanted);
    Ok(())
}

/// The Service of the API server itself, whose address certificates name.
fn is_kubernetes(service: &Object) -> bool {
    service.namespace() == "default" && service.name() == "kubernetes"
}

fn fill_ports(
    pools: &mut Pools<'_>,
    dry_run: bool,
    service: &mut Object,
    before: &Holdings,
    errors: &mut ErrorList,
) -> Result<(), Status> {
    if !holdings::needs_node_ports(service) {
        return Ok(());
    }
    let mut ports = service.get(&["spec", "ports"]).and_then(Value::as_array).cloned().unwrap_or_default();
    // Node ports of this Service; one may serve the same port of several protocols.
    let mut own: Vec<(i64, u16)> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let Some(number) = holdings::node_port(port) else { continue };
        let shared = own.iter().any(|(_, known)| *known == number);
        own.push((port["port"].as_i64().unwrap_or_default(), number));
        if shared || before.ports.contains(&number) {
            continue;
        }
        let path = Path::new("spec").child("ports").index(index).child("nodePort");
        if let Err(Refused(why)) = pools.take_port(number) {
            errors.push(Error::invalid(&path, number, why));
        }
    }
    for port in &mut ports {
        if holdings::node_port(port).is_some() {
            continue;
        }
        let of = port["port"].as_i64().unwrap_or_default();
        let number = match own.iter().find(|(other, _)| *other == of) {
            Some((_, number)) => *number,
            None => next_port(pools, dry_run, own.len())?,
        };
        own.push((of, number));
        port["nodePort"] = number.into();
    }
    service.set(&["spec", "ports"], ports);
    Ok(())
}

fn next_port(pools: &mut Pools<'_>, dry_run: bool, known: usize) -> Result<u16, Status> {
    if dry_run {
        return Ok(DRY_RUN_PORT.saturating_add(u16::try_from(known).unwrap_or(u16::MAX)));
    }
    pools.next_port().map_err(|Refused(why)| Status::internal(format!("failed to allocate a nodePort: {why}")))
}

/// The port on which nodes tell a load balancer whether they have pods of the Service.
fn fill_health_check(
    pools: &mut Pools<'_>,
    dry_run: bool,
    service: &mut Object,
    before: &Holdings,
    errors: &mut ErrorList,
) -> Result<(), Status> {
    if !holdings::needs_health_check_port(service) {
        return Ok(());
    }
    let path = Path::new("spec").child("healthCheckNodePort");
    match holdings::health_check_port(service) {
        Some(number) if before.ports.contains(&number) => {}
        Some(number) => {
            if let Err(Refused(why)) = pools.take_port(number) {
                errors.push(Error::invalid(&path, number, why));
            }
        }
        None => {
            let number = next_port(pools, dry_run, 0)?;
            service.set(&["spec", "healthCheckNodePort"], number);
        }
    }
    Ok(())
}
