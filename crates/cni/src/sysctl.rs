//! Kernel switches a pod network needs, in the network namespace of the process.

use std::{fs, io, path::Path};

use crate::{Error, Result};

/// One neighbour table serves all namespaces; each pod takes about two entries.
const NEIGHBOURS: u64 = 16_384;

fn set(name: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys/net").join(name);
    let failed = |action| {
        let path = path.clone();
        move |source| Error::Io { action, path, source }
    };
    if fs::read_to_string(&path).map_err(failed("read"))?.trim() == value {
        return Ok(());
    }
    fs::write(&path, value).map_err(failed("write"))
}

fn set_if_present(name: &str, value: &str) -> Result<()> {
    match set(name, value) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

pub(crate) fn apply(bridge: &str) -> Result<()> {
    set("ipv4/ip_forward", "1")?;
    // Replies between pods of one bridge must pass netfilter to be translated back.
    set_if_present("bridge/bridge-nf-call-iptables", "1")?;
    set_if_present(&format!("ipv4/conf/{bridge}/route_localnet"), "1")?;
    let limit = "ipv4/neigh/default/gc_thresh3";
    let current = fs::read_to_string(Path::new("/proc/sys/net").join(limit)).ok();
    if current.and_then(|text| text.trim().parse::<u64>().ok()).is_some_and(|now| now < NEIGHBOURS) {
        set_if_present(limit, &NEIGHBOURS.to_string())?;
    }
    Ok(())
}
