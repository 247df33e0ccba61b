//! What Services hold that no two may: addresses of the cluster and ports of the nodes. Kept in memory, read anew
//! from the stored Services at start; whoever fails to write gives back what it took.

mod carry;
mod families;
mod holdings;
mod pool;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

use apimachinery::{
    GroupKind, Object, Status,
    field::{Error, ErrorList, Path},
};
use parking_lot::Mutex;
use serde_json::Value;
use store::Snapshot;

use crate::Config;
use holdings::Holdings;
use pool::{Addresses, Ports, Refused};

pub(crate) use carry::carry_over;

const PREFIX: &[u8] = b"/registry/services/specs/";
/// Dry runs show node ports from beyond the usual range, so that nobody relies on them.
const DRY_RUN_PORT: u16 = 32_769;

pub(crate) struct Services {
    pools: Arc<Mutex<Pools>>,
}

struct Pools {
    addresses: Addresses,
    ports: Ports,
}

impl Pools {
    fn take(&mut self, held: &Holdings) {
        held.addresses.iter().for_each(|address| drop(self.addresses.take(*address)));
        held.ports.iter().for_each(|port| drop(self.ports.take(*port)));
    }

    fn give_back(&mut self, held: &Holdings) {
        held.addresses.iter().for_each(|address| self.addresses.give_back(*address));
        held.ports.iter().for_each(|port| self.ports.give_back(*port));
    }
}

/// Set aside for a write; given back unless the write is done.
#[derive(Default)]
pub(crate) struct Reservation {
    pools: Option<Arc<Mutex<Pools>>>,
    /// Taken for the write.
    taken: Holdings,
    /// No longer held once the write is done.
    left: Holdings,
}

impl Reservation {
    /// The write is done.
    pub(crate) fn keep(mut self) {
        if let Some(pools) = self.pools.take() {
            pools.lock().give_back(&self.left);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(pools) = self.pools.take() {
            pools.lock().give_back(&self.taken);
        }
    }
}

impl Services {
    /// Reads what the stored Services hold.
    pub(crate) fn new(config: &Config, snapshot: &Snapshot) -> Self {
        let (network, bits) = config.service_cluster_ip_range;
        let (first, last) = config.service_node_ports;
        let mut pools = Pools { addresses: Addresses::new(network, bits), ports: Ports::new(first, last) };
        for stored in snapshot.walk(PREFIX, None) {
            match Object::from_slice(&stored.value) {
                Ok(service) => pools.take(&Holdings::of(&service)),
                Err(error) => tracing::warn!(%error, "a stored Service cannot be read; its addresses are not held"),
            }
        }
        Self { pools: Arc::new(Mutex::new(pools)) }
    }

    /// Completes a Service with an address and node ports where it needs them, and takes those it asks for.
    pub(crate) fn reserve(&self, dry_run: bool, new: &mut Object, old: Option<&Object>) -> Result<Reservation, Status> {
        let before = old.map(Holdings::of).unwrap_or_default();
        let mut pools = self.pools.lock();
        let mut errors = ErrorList::new();
        families::complete(new, old, pools.addresses.is_ipv4(), &mut errors);
        refuse(new, &errors)?;
        let mut taken = Holdings::default();
        let result = fill(&mut pools, dry_run, new, &before, &mut taken);
        drop(pools);
        let left = before.minus(&Holdings::of(new));
        let reservation = Reservation { pools: Some(self.pools.clone()), taken, left };
        result?;
        if dry_run {
            // What was taken goes back at once.
            drop(reservation);
            return Ok(Reservation::default());
        }
        Ok(reservation)
    }

    /// A Service is gone.
    pub(crate) fn release(&self, service: &Object) {
        self.pools.lock().give_back(&Holdings::of(service));
    }
}

fn refuse(service: &Object, errors: &ErrorList) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&GroupKind::new("", "Service"), service.name(), errors))
}

fn fill(
    pools: &mut Pools,
    dry_run: bool,
    service: &mut Object,
    before: &Holdings,
    taken: &mut Holdings,
) -> Result<(), Status> {
    let mut errors = ErrorList::new();
    fill_address(pools, service, before, taken, &mut errors)?;
    refuse(service, &errors)?;
    fill_ports(pools, dry_run, service, before, taken, &mut errors)?;
    fill_health_check(pools, dry_run, service, before, taken, &mut errors)?;
    refuse(service, &errors)
}

fn fill_address(
    pools: &mut Pools,
    service: &mut Object,
    before: &Holdings,
    taken: &mut Holdings,
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
        let next = if is_kubernetes(service) { pools.addresses.first() } else { pools.addresses.next() };
        let address =
            next.map_err(|Refused(why)| Status::internal(format!("failed to allocate a serviceIP: {why}")))?;
        taken.addresses.push(address);
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
            match pools.addresses.take(address) {
                Ok(()) => taken.addresses.push(address),
                Err(Refused(why)) => {
                    let why = format!("failed to allocate IP {address}: {why}");
                    errors.push(Error::invalid(&path, wanted.clone(), why));
                }
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
    pools: &mut Pools,
    dry_run: bool,
    service: &mut Object,
    before: &Holdings,
    taken: &mut Holdings,
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
        match pools.ports.take(number) {
            Ok(()) => taken.ports.push(number),
            Err(Refused(why)) => errors.push(Error::invalid(&path, number, why)),
        }
    }
    for port in &mut ports {
        if holdings::node_port(port).is_some() {
            continue;
        }
        let of = port["port"].as_i64().unwrap_or_default();
        let number = match own.iter().find(|(other, _)| *other == of) {
            Some((_, number)) => *number,
            None => next_port(pools, dry_run, own.len(), taken)?,
        };
        own.push((of, number));
        port["nodePort"] = number.into();
    }
    service.set(&["spec", "ports"], ports);
    Ok(())
}

fn next_port(pools: &mut Pools, dry_run: bool, known: usize, taken: &mut Holdings) -> Result<u16, Status> {
    if dry_run {
        return Ok(DRY_RUN_PORT.saturating_add(u16::try_from(known).unwrap_or(u16::MAX)));
    }
    let number =
        pools.ports.next().map_err(|Refused(why)| Status::internal(format!("failed to allocate a nodePort: {why}")))?;
    taken.ports.push(number);
    Ok(number)
}

/// The port on which nodes tell a load balancer whether they have pods of the Service.
fn fill_health_check(
    pools: &mut Pools,
    dry_run: bool,
    service: &mut Object,
    before: &Holdings,
    taken: &mut Holdings,
    errors: &mut ErrorList,
) -> Result<(), Status> {
    if !holdings::needs_health_check_port(service) {
        return Ok(());
    }
    let path = Path::new("spec").child("healthCheckNodePort");
    match holdings::health_check_port(service) {
        Some(number) if before.ports.contains(&number) => {}
        Some(number) => match pools.ports.take(number) {
            Ok(()) => taken.ports.push(number),
            Err(Refused(why)) => errors.push(Error::invalid(&path, number, why)),
        },
        None => {
            let number = next_port(pools, dry_run, 0, taken)?;
            service.set(&["spec", "healthCheckNodePort"], number);
        }
    }
    Ok(())
}
