//! Makes what is held agree with the Services that are there. Nothing is to be done where every Service was written by
//! this version; the store of an older one, or upstream's servers that died in the middle, leave something.

use std::{collections::BTreeSet, net::IpAddr};

use apimachinery::{Object, Status};
use store::{KeyValue, Op, Snapshot, Write, WriteError};

use super::{
    PREFIX,
    holdings::Holdings,
    ledger::{self, ADDRESSES, PortLedger, address_key, hold_address, parent, service_key},
};
use crate::{Registry, failure};

/// How often it begins anew because somebody else wrote meanwhile.
const MAX_ATTEMPTS: usize = 16;
/// Operations in one transaction; a Service has at most a check and two addresses.
const MAX_BATCH: usize = 96;
/// An address without a Service may be of one that is just being made, by upstream's way of two steps.
const GRACE_SECONDS: i64 = 60;

impl Registry {
    /// Repairs what Services hold. To be called before the first write; safe on several servers at once.
    pub async fn repair_services(&self) -> Result<(), Status> {
        let now = jiff::Timestamp::now();
        for _ in 0..MAX_ATTEMPTS {
            let snapshot = self.current().await?;
            if self.repair(&snapshot, now).await? {
                return Ok(());
            }
        }
        Err(Status::internal("the addresses of Services could not be repaired: others write them all the time"))
    }

    /// False if somebody else was faster.
    async fn repair(&self, snapshot: &Snapshot, now: jiff::Timestamp) -> Result<bool, Status> {
        let services = self.services();
        let created = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut ledger = PortLedger::read(snapshot, &services.ports);
        let mut ports_missing = !ledger.sound;
        let mut seen = BTreeSet::new();
        let mut batch = Vec::new();
        for stored in snapshot.walk(PREFIX, None) {
            let service = match Object::from_slice(&stored.value) {
                Ok(service) => service,
                Err(error) => {
                    tracing::warn!(%error, "a stored Service cannot be read; its addresses are not held");
                    continue;
                }
            };
            let held = Holdings::of(&service);
            for port in &held.ports {
                ports_missing |= ledger.set(*port, true);
            }
            let missing: Vec<IpAddr> = held
                .addresses
                .into_iter()
                .filter(|address| self.lacks(snapshot, *address, &service, &mut seen))
                .collect();
            if missing.is_empty() {
                continue;
            }
            batch.push(Op::Check { key: stored.key.clone(), expected: Some(stored.mod_revision) });
            batch.extend(missing.into_iter().map(|address| hold_address(address, &service, &created)));
            if batch.len() >= MAX_BATCH && !self.write_repair(std::mem::take(&mut batch)).await? {
                return Ok(false);
            }
        }
        if ports_missing {
            batch.push(ledger.write());
        }
        if !batch.is_empty() && !self.write_repair(batch).await? {
            return Ok(false);
        }
        for held in snapshot.walk(ADDRESSES, None) {
            if let Some(operations) = orphan(snapshot, held, now)
                && !self.write_repair(operations).await?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether nobody holds the address for the Service that has it.
    fn lacks(&self, snapshot: &Snapshot, address: IpAddr, service: &Object, seen: &mut BTreeSet<IpAddr>) -> bool {
        if !seen.insert(address) {
            let (namespace, name) = (service.namespace(), service.name());
            tracing::warn!(%address, namespace, name, "two Services have the same address: make one of them anew");
            return false;
        }
        snapshot.get(&address_key(address)).is_none()
    }

    async fn write_repair(&self, operations: Vec<Op>) -> Result<bool, Status> {
        match self.store().commit(Write::transaction(operations)).await {
            Ok(_) => Ok(true),
            Err(WriteError::Conflict { .. }) => Ok(false),
            Err(error) => Err(failure::of_store(&error)),
        }
    }
}

/// Takes away an address whose Service is gone, or does not have it.
fn orphan(snapshot: &Snapshot, held: &KeyValue, now: jiff::Timestamp) -> Option<Vec<Op>> {
    let (namespace, name) = parent(held)?;
    let key = service_key(&namespace, &name);
    let service = snapshot.get(&key);
    let address: IpAddr = std::str::from_utf8(&held.key[ADDRESSES.len()..]).ok()?.parse().ok()?;
    let object = Object::from_slice(&held.value).ok()?;
    let created: jiff::Timestamp = object.get_str(&["metadata", "creationTimestamp"])?.parse().ok()?;
    let has = |service: &Object| Holdings::of(service).addresses.contains(&address);
    let is_held =
        service.as_ref().is_some_and(|kv| Object::from_slice(&kv.value).map_or(true, |service| has(&service)));
    if is_held || now.duration_since(created).as_secs() < GRACE_SECONDS || !ledger::is_held(snapshot, address) {
        return None;
    }
    Some(vec![
        Op::Delete { key: held.key.clone(), expected: held.mod_revision },
        Op::Check { key: key.into(), expected: service.map(|service| service.mod_revision) },
    ])
}
