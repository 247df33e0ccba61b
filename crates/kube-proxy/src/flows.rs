//! UDP flows whose translation is out of date. The kernel translates the first packet of a flow and repeats that for the
//! rest of it, and a UDP flow lasts while its client sends: to an endpoint that went, or to nobody, if there was none.

use std::collections::BTreeMap;

use netlink::{Conntrack, Flow};

use crate::{
    endpoints::Target,
    rules::{Door, Match, Protocol},
};

/// The UDP doors, and the endpoints a flow that came in there may keep: all that still serve, as upstream has it, so
/// that a change of traffic policy or an endpoint that terminates cuts no flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UdpDoors(BTreeMap<Match, Vec<Target>>);

/// Deletes what is stale now; answers how many flows. One listing, whatever the number of Services.
pub(crate) fn flush(before: &UdpDoors, now: &UdpDoors) -> netlink::Result<usize> {
    Conntrack::open()?.delete_matching(std::net::Ipv4Addr::UNSPECIFIED.into(), |flow| now.is_stale(before, flow))
}

impl UdpDoors {
    pub(crate) fn of<'a>(doors: impl Iterator<Item = &'a Door>) -> Self {
        let udp = doors.filter(|door| door.at.protocol() == Protocol::Udp);
        let mut found = Self::default();
        for door in udp {
            // As with the rules, the first of two that collide has it.
            found.0.entry(door.at).or_insert_with(|| door.serving.clone());
        }
        found
    }

    /// Whether a flow came in by a door and leads to none of its endpoints, or by a door that is no more.
    fn is_stale(&self, before: &Self, flow: &Flow) -> bool {
        let (std::net::IpAddr::V4(address), std::net::IpAddr::V4(source)) = (flow.destination, flow.reply_source)
        else {
            return false;
        };
        if i32::from(flow.protocol) != libc::IPPROTO_UDP {
            return false;
        }
        let (protocol, port) = (Protocol::Udp, flow.destination_port);
        let leads_to = Target { address: source, port: flow.reply_source_port };
        for door in [Match::Address { address, protocol, port }, Match::NodePort { protocol, port }] {
            if let Some(endpoints) = self.0.get(&door) {
                return !endpoints.contains(&leads_to);
            }
            if before.0.contains_key(&door) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn target(text: &str) -> Target {
        let (address, port) = text.split_once(':').unwrap();
        Target { address: address.parse().unwrap(), port: port.parse().unwrap() }
    }

    fn doors(endpoints: &[&str]) -> UdpDoors {
        let (protocol, port) = (Protocol::Udp, 53);
        let endpoints: Vec<Target> = endpoints.iter().map(|text| target(text)).collect();
        let cluster = Match::Address { address: "10.96.0.10".parse().unwrap(), protocol, port };
        let node = Match::NodePort { protocol, port: 30053 };
        UdpDoors([(cluster, endpoints.clone()), (node, endpoints)].into())
    }

    fn flow(protocol: i32, to: &str, answered_by: &str) -> Flow {
        let (to, from) = (target(to), target(answered_by));
        Flow {
            protocol: protocol as u8,
            source: "10.42.0.9".parse().unwrap(),
            source_port: 40_000,
            destination: to.address.into(),
            destination_port: to.port,
            reply_source: from.address.into(),
            reply_source_port: from.port,
        }
    }

    #[test]
    fn a_flow_is_stale_if_its_door_does_not_lead_there() {
        let (none, old, now) = (UdpDoors::default(), doors(&["10.42.0.3:53"]), doors(&["10.42.0.4:53"]));
        let udp = |to, by| flow(libc::IPPROTO_UDP, to, by);
        for to in ["10.96.0.10:53", "192.0.2.7:30053"] {
            assert!(now.is_stale(&old, &udp(to, "10.42.0.3:53")), "{to}: the endpoint went");
            assert!(now.is_stale(&old, &udp(to, "10.42.0.4:5353")), "{to}: another port of it");
            assert!(now.is_stale(&none, &udp(to, to)), "{to}: there was no endpoint");
            assert!(!now.is_stale(&old, &udp(to, "10.42.0.4:53")), "{to}: as it shall be");
            assert!(none.is_stale(&old, &udp(to, "10.42.0.3:53")), "{to}: the Service went");
            assert!(!now.is_stale(&old, &flow(libc::IPPROTO_TCP, to, "10.42.0.3:53")), "{to}: TCP ends by itself");
        }
        assert!(!now.is_stale(&old, &udp("10.96.0.10:54", "10.42.0.3:53")), "another port");
        assert!(!now.is_stale(&old, &udp("8.8.8.8:53", "8.8.8.8:53")), "no Service at all");
    }
}
