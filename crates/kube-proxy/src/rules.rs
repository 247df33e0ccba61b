//! The layout of the nftables table, and the transactions that bring it from one state to another.
//!
//! Sets are searched in a list per table, so one set per Service would make every transaction quadratic. There are
//! a few maps for all Services instead: a door's key leads to a verdict, `goto to-N`, where N is the number of
//! its targets; that chain draws a number below N and finds the target by key and number in one more map. Doors with
//! session affinity, which are few, have chains of their own.

mod transaction;

use std::{collections::BTreeMap, fmt, net::Ipv4Addr};

pub(crate) use transaction::step;

use crate::endpoints::Target;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// `None` for what these rules do not carry (SCTP).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Tcp { "tcp" } else { "udp" })
    }
}

/// Which packets a door is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Match {
    Address {
        address: Ipv4Addr,
        protocol: Protocol,
        port: u16,
    },
    /// The port on any address of this node.
    NodePort {
        protocol: Protocol,
        port: u16,
    },
}

impl Match {
    pub(crate) fn protocol(&self) -> Protocol {
        match self {
            Self::Address { protocol, .. } | Self::NodePort { protocol, .. } => *protocol,
        }
    }
}

/// The key as nft writes it.
impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, protocol, port } => write!(f, "{address} . {protocol} . {port}"),
            Self::NodePort { protocol, port } => write!(f, "{protocol} . {port}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Affinity {
    pub(crate) seconds: u32,
}

/// One way into a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) at: Match,
    pub(crate) targets: Vec<Target>,
    pub(crate) affinity: Option<Affinity>,
    /// Always hide the client's address, so that answers come back through this node. Otherwise only where the
    /// client is no pod.
    pub(crate) masquerade: bool,
    /// There are targets on other nodes which the traffic policy keeps out of reach: drop instead of refusing.
    pub(crate) drop_when_empty: bool,
    /// The endpoints that flows from before may go on with.
    pub(crate) serving: Vec<Target>,
}

/// Shared chains there are from the start for so many targets a door. More double them.
const MIN_CAPACITY: usize = 64;

/// Element to value, for each map and set of the table; and the chains that doors with affinity own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// By name of map or set; an element of a set has an empty value.
    pub(crate) elements: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// The most targets a door may have: there is a shared chain for each number.
    pub(crate) capacity: usize,
    /// Chains and sets of doors with affinity, as nft text, by the door's own name.
    pub(crate) own: BTreeMap<String, OwnChain>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { elements: BTreeMap::new(), capacity: MIN_CAPACITY, own: BTreeMap::new() }
    }
}

/// The kinds of shared chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FanOut {
    /// By address; masquerades clients outside the pod network.
    Cluster,
    /// By address; masquerades every client.
    Outside,
    /// By node port.
    NodePort { masquerade: bool },
}

impl FanOut {
    const ALL: [Self; 4] =
        [Self::Cluster, Self::Outside, Self::NodePort { masquerade: true }, Self::NodePort { masquerade: false }];

    pub(crate) fn chain(self, targets: usize) -> String {
        let kind = match self {
            Self::Cluster => "to",
            Self::Outside => "out",
            Self::NodePort { masquerade: true } => "node",
            Self::NodePort { masquerade: false } => "node-kept",
        };
        format!("{kind}-{targets}")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnChain {
    pub(crate) affinity: Affinity,
    pub(crate) masquerade: Masquerade,
    pub(crate) targets: Vec<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Masquerade {
    Always,
    Never,
    /// Clients outside the pod network.
    Outsiders,
}

pub(crate) const DOORS: &str = "doors";
pub(crate) const TARGETS: &str = "targets";
pub(crate) const NODE_PORTS: &str = "node-ports";
pub(crate) const NODE_PORT_TARGETS: &str = "node-port-targets";
pub(crate) const CLOSED: &str = "closed";
pub(crate) const CLOSED_NODE_PORTS: &str = "closed-node-ports";
pub(crate) const HAIRPIN: &str = "hairpin";

impl Rules {
    /// Adds what one door asks. A door that another Service has already (external addresses may collide) is left to
    /// the first.
    pub(crate) fn add(&mut self, door: &Door) {
        let key = door.at.to_string();
        let is_node_port = matches!(door.at, Match::NodePort { .. });
        let (doors, targets, closed) =
            if is_node_port { (NODE_PORTS, NODE_PORT_TARGETS, CLOSED_NODE_PORTS) } else { (DOORS, TARGETS, CLOSED) };
        let taken = |map: &str| self.elements.get(map).is_some_and(|m| m.contains_key(&key));
        if taken(doors) || taken(closed) {
            return;
        }
        for target in &door.targets {
            self.put(HAIRPIN, format!("{0} . {0}", target.address), String::new());
        }
        if door.targets.is_empty() {
            let verdict = if door.drop_when_empty { "drop" } else { "goto refuse" };
            self.put(closed, key, verdict.to_owned());
            return;
        }
        if let Some(affinity) = door.affinity {
            let name = format!("sticky-{}", key.replace(" . ", "-").replace('.', "-"));
            let masquerade = match door.at {
                Match::Address { .. } if !door.masquerade => Masquerade::Outsiders,
                _ if door.masquerade => Masquerade::Always,
                _ => Masquerade::Never,
            };
            self.put(doors, key, format!("goto {name}"));
            self.own.insert(name, OwnChain { affinity, masquerade, targets: door.targets.clone() });
            return;
        }
        let fan_out = match door.at {
            Match::NodePort { .. } => FanOut::NodePort { masquerade: door.masquerade },
            Match::Address { .. } if door.masquerade => FanOut::Outside,
            Match::Address { .. } => FanOut::Cluster,
        };
        let count = door.targets.len();
        self.capacity = self.capacity.max(count.next_power_of_two());
        for (slot, target) in door.targets.iter().enumerate() {
            self.put(targets, format!("{key} . {slot}"), format!("{} . {}", target.address, target.port));
        }
        self.put(doors, key, format!("goto {}", fan_out.chain(count)));
    }

    fn put(&mut self, map: &'static str, key: String, value: String) {
        self.elements.entry(map).or_default().insert(key, value);
    }
}

#[cfg(test)]
mod tests;
