//! UDP flows to host ports whose translation is out of date. The kernel translates the first packet of a flow and repeats
//! that for the rest of it, and a UDP flow lasts while its client sends: to a pod that went, or to nobody, if there was
//! none.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use netlink::{Conntrack, Flow, Socket};

use crate::{HostPort, Protocol};

/// The protocol's number in IP.
const UDP: u8 = 17;

/// Ends flows to these ports that lead elsewhere than to the pod, which has just got them.
pub(crate) fn flush_strays(ports: &[HostPort], pod: Ipv4Addr) -> netlink::Result<usize> {
    if !ports.iter().any(|port| port.protocol == Protocol::Udp) {
        return Ok(0);
    }
    let local: BTreeSet<IpAddr> = Socket::open()?.addresses()?.into_iter().map(|address| address.ip).collect();
    // All of 127.0.0.0/8 is local, whatever addresses loopback has.
    let is_local = |ip: IpAddr| ip.is_loopback() || local.contains(&ip);
    delete(|flow| is_local(flow.destination) && is_to(ports, flow) && flow.reply_source != IpAddr::V4(pod))
}

/// Ends flows through these ports to the pod, which is going.
pub(crate) fn flush_own(ports: &[HostPort], pod: Ipv4Addr) -> netlink::Result<usize> {
    if !ports.iter().any(|port| port.protocol == Protocol::Udp) {
        return Ok(0);
    }
    delete(|flow| is_to(ports, flow) && flow.reply_source == IpAddr::V4(pod))
}

fn delete(stale: impl Fn(&Flow) -> bool) -> netlink::Result<usize> {
    Conntrack::open()?.delete_matching(Ipv4Addr::UNSPECIFIED.into(), stale)
}

fn is_to(ports: &[HostPort], flow: &Flow) -> bool {
    let udp = ports.iter().filter(|port| port.protocol == Protocol::Udp && flow.protocol == UDP);
    let mut same = udp.filter(|port| port.host_port == flow.destination_port);
    same.any(|port| port.host_ip.is_none_or(|ip| flow.destination == IpAddr::V4(ip)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn flow(protocol: u8, destination: &str, port: u16) -> Flow {
        let destination = destination.parse().unwrap();
        Flow {
            protocol,
            source: "172.30.0.3".parse().unwrap(),
            destination,
            source_port: 40_000,
            destination_port: port,
            reply_source: destination,
            reply_source_port: port,
        }
    }

    #[test]
    fn only_flows_to_the_port_are_meant() {
        let port = |protocol, host_ip: Option<&str>| HostPort {
            protocol,
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host_port: 53,
            container_port: 5353,
        };
        let any = [port(Protocol::Udp, None)];
        let one = [port(Protocol::Tcp, None), port(Protocol::Udp, Some("172.30.0.2"))];
        assert!(is_to(&any, &flow(UDP, "172.30.0.7", 53)));
        assert!(!is_to(&any, &flow(UDP, "172.30.0.7", 54)));
        assert!(!is_to(&any, &flow(6, "172.30.0.7", 53)));
        assert!(is_to(&one, &flow(UDP, "172.30.0.2", 53)));
        assert!(!is_to(&one, &flow(UDP, "172.30.0.7", 53)));
    }
}
