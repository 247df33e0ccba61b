//! Who holds what, in the store, so that every API server sees the same: an address is held by an `IPAddress` of that
//! name, node ports by the bits of one `RangeAllocation`. Names, keys and contents are upstream's, so that its servers
//! and these respect each other. They are written in the transaction that writes the Service: no death in the middle
//! leaves one without the other.

use std::net::IpAddr;

use apimachinery::Object;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use store::{KeyValue, Op, Revision, Snapshot};

use super::{holdings::Holdings, pool::Ports};
use crate::{encode::Unstamped, prepare::new_uid};

pub(super) const ADDRESSES: &[u8] = b"/registry/ipaddresses/";
const PORTS: &[u8] = b"/registry/ranges/servicenodeports";

pub(super) fn address_key(address: IpAddr) -> Vec<u8> {
    [ADDRESSES, address.to_string().as_bytes()].concat()
}

pub(super) fn service_key(namespace: &str, name: &str) -> Vec<u8> {
    [super::PREFIX, namespace.as_bytes(), b"/", name.as_bytes()].concat()
}

pub(super) fn is_held(snapshot: &Snapshot, address: IpAddr) -> bool {
    snapshot.get(&address_key(address)).is_some()
}

/// The namespace and name of the Service that an address belongs to.
pub(super) fn parent(address: &KeyValue) -> Option<(String, String)> {
    let object = Object::from_slice(&address.value).ok()?;
    let of = |field: &str| object.get_str(&["spec", "parentRef", field]).map(str::to_owned);
    (of("resource")? == "services").then_some((of("namespace")?, of("name")?))
}

/// Takes an address for a Service.
pub(super) fn hold_address(address: IpAddr, service: &Object, now: &str) -> Op {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let object = Object::from_value(json!({
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": address.to_string(),
            "uid": new_uid(),
            "creationTimestamp": now,
            "labels": {
                "ipaddress.kubernetes.io/ip-family": family,
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {"parentRef": {
            "resource": "services", "namespace": service.namespace(), "name": service.name(),
        }},
    }));
    let object = Unstamped::new(&object.unwrap_or_default());
    Op::Create {
        key: address_key(address).into(),
        value: store::Value::built(move |revision| object.stamp(revision.0)),
    }
}

/// Gives an address back, if it is this Service's.
pub(super) fn release_address(snapshot: &Snapshot, address: IpAddr, service: &Object) -> Option<Op> {
    let held = snapshot.get(&address_key(address))?;
    let (namespace, name) = parent(&held)?;
    let own = namespace == service.namespace() && name == service.name();
    own.then(|| Op::Delete { key: held.key.clone(), expected: held.mod_revision })
}

/// The node ports that are held.
#[derive(Clone, Debug)]
pub(super) struct PortLedger {
    first: u16,
    last: u16,
    /// One for each port, the first in the lowest bit of the first byte.
    bits: Vec<u8>,
    stored: Option<Revision>,
    /// Whether what is stored is of this range and can be read.
    pub(super) sound: bool,
}

impl PortLedger {
    pub(super) fn read(snapshot: &Snapshot, ports: &Ports) -> Self {
        let (first, last) = (ports.first, ports.last);
        let stored = snapshot.get(PORTS);
        let bits = stored.as_ref().and_then(|stored| bits_of(&stored.value, &range(first, last)));
        let sound = bits.is_some() || stored.is_none();
        let stored = stored.map(|kv| kv.mod_revision);
        let mut ledger = Self { first, last, bits: bits.unwrap_or_default(), stored, sound };
        if !sound {
            // What cannot be read is replaced by what the Services say; never by nothing.
            let services = snapshot.walk(super::PREFIX, None).filter_map(|kv| Object::from_slice(&kv.value).ok());
            for port in services.flat_map(|service| Holdings::of(&service).ports) {
                ledger.set(port, true);
            }
        }
        ledger
    }

    pub(super) fn holds(&self, port: u16) -> bool {
        self.place(port).is_some_and(|(byte, bit)| self.bits.get(byte).is_some_and(|bits| bits & bit != 0))
    }

    /// Whether this changed anything.
    pub(super) fn set(&mut self, port: u16, held: bool) -> bool {
        let Some((byte, bit)) = self.place(port) else { return false };
        let before = self.holds(port);
        if self.bits.len() <= byte {
            self.bits.resize(byte + 1, 0);
        }
        if held {
            self.bits[byte] |= bit;
        } else {
            self.bits[byte] &= !bit;
        }
        before != held
    }

    fn place(&self, port: u16) -> Option<(usize, u8)> {
        let offset = port.checked_sub(self.first).filter(|_| port <= self.last)?;
        Some((usize::from(offset / 8), 1 << (offset % 8)))
    }

    /// Writes it, if nobody else did meanwhile.
    pub(super) fn write(&self) -> Op {
        let significant = self.bits.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let big_endian: Vec<u8> = self.bits[..significant].iter().rev().copied().collect();
        let value = json!({
            "kind": "RangeAllocation",
            "apiVersion": "v1",
            "metadata": {},
            "range": range(self.first, self.last),
            "data": STANDARD.encode(big_endian),
        })
        .to_string();
        match self.stored {
            Some(expected) => Op::Update { key: PORTS.into(), expected, value: value.into() },
            None => Op::Create { key: PORTS.into(), value: value.into() },
        }
    }
}

fn range(first: u16, last: u16) -> String {
    format!("{first}-{last}")
}

fn bits_of(stored: &[u8], range: &str) -> Option<Vec<u8>> {
    let tree: Value = serde_json::from_slice(stored).ok()?;
    if tree.get("range")?.as_str()? != range {
        return None;
    }
    let data = tree.get("data").and_then(Value::as_str).unwrap_or_default();
    let mut bits = STANDARD.decode(data).ok()?;
    bits.reverse();
    Some(bits)
}

/// What goes with the write of a Service: what it takes and what it leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claim {
    pub(super) taken: Holdings,
    pub(super) left: Holdings,
    pub(super) service: Object,
    pub(super) now: String,
}

impl Claim {
    pub(super) fn has_ports(&self) -> bool {
        !self.taken.ports.is_empty() || !self.left.ports.is_empty()
    }

    /// The operations, as things are in this snapshot; none if somebody else has taken what was to be taken.
    pub(super) fn operations(&self, snapshot: &Snapshot, ports: &Ports) -> Option<Vec<Op>> {
        let mut operations = Vec::new();
        for address in &self.taken.addresses {
            if is_held(snapshot, *address) {
                return None;
            }
            operations.push(hold_address(*address, &self.service, &self.now));
        }
        let released = self.left.addresses.iter();
        operations.extend(released.filter_map(|address| release_address(snapshot, *address, &self.service)));
        if self.has_ports() {
            let mut ledger = PortLedger::read(snapshot, ports);
            let mut changed = false;
            for port in &self.left.ports {
                changed |= ledger.set(*port, false);
            }
            for port in &self.taken.ports {
                if !ledger.set(*port, true) {
                    return None;
                }
                changed = true;
            }
            if changed {
                operations.push(ledger.write());
            }
        }
        Some(operations)
    }
}
