//! The endpoints of a Service, gathered from its slices.

use std::{collections::BTreeSet, net::Ipv4Addr};

use api::discovery::v1::EndpointSlice;

/// Where traffic for a port can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
}

/// The ready endpoints of one port: all, and those on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    pub(crate) all: Vec<Target>,
    pub(crate) local: Vec<Target>,
    /// Whatever serves anywhere, be it ready or not.
    pub(crate) serving: Vec<Target>,
}

/// The targets of the port of this name and protocol. Ready endpoints are used; while there are none, those that
/// still serve though they terminate (KEP-1669).
pub(crate) fn targets(slices: &[EndpointSlice], port_name: &str, protocol: &str, node: &str) -> Targets {
    let gather = |wanted: fn(&api::discovery::v1::EndpointConditions) -> bool, only_local: bool| {
        let mut found = BTreeSet::new();
        for slice in slices.iter().filter(|s| s.address_type == "IPv4") {
            let port = slice.ports.iter().flatten().find(|p| {
                p.name.as_deref().unwrap_or_default() == port_name && p.protocol.as_deref().unwrap_or("TCP") == protocol
            });
            let Some(port) = port.and_then(|p| u16::try_from(p.port?).ok()) else { continue };
            for endpoint in slice.endpoints.iter().flatten() {
                let is_local = endpoint.node_name.as_deref() == Some(node);
                let fits = wanted(&endpoint.conditions.clone().unwrap_or_default());
                if fits && (is_local || !only_local) {
                    let address = endpoint.addresses.first().and_then(|a| a.parse().ok());
                    found.extend(address.map(|address| Target { address, port }));
                }
            }
        }
        Vec::from_iter(found)
    };
    let ready_or_serving = |only_local| {
        let ready = gather(|c| c.ready.unwrap_or(true), only_local);
        if ready.is_empty() {
            gather(|c| c.serving.unwrap_or(false) && c.terminating.unwrap_or(false), only_local)
        } else {
            ready
        }
    };
    let serving = gather(|c| c.serving.unwrap_or(true), false);
    Targets { all: ready_or_serving(false), local: ready_or_serving(true), serving }
}
