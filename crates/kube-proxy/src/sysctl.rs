//! Kernel settings without which the rules do not work.

use std::{fs, io};

/// Each with the value needed. The last is there only where bridges pass their frames to netfilter at all.
const NEEDED: [(&str, &str); 3] = [
    ("/proc/sys/net/ipv4/ip_forward", "1"),
    // Node ports on 127.0.0.1. Packets from elsewhere to loopback addresses are dropped by our table.
    ("/proc/sys/net/ipv4/conf/all/route_localnet", "1"),
    ("/proc/sys/net/bridge/bridge-nf-call-iptables", "1"),
];

/// Sets what is not set. Names the setting that cannot be.
pub(crate) fn prepare() -> Result<(), (&'static str, io::Error)> {
    for (path, value) in NEEDED {
        match fs::read_to_string(path) {
            Ok(current) if current.trim() == value => {}
            Ok(_) => fs::write(path, value).map_err(|e| (path, e))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err((path, e)),
        }
    }
    Ok(())
}
