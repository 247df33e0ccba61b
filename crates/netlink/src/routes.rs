//! Routes of the main table.

use std::{io, net::IpAddr};

use crate::{
    Error, Result, Socket,
    addresses::{family, octets, parse_ip},
    message::{Message, attribute, u32_at},
};

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
/// Bytes of `struct rtmsg`.
const FIXED: usize = 12;
const MAIN_TABLE: u8 = 254;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Network and prefix length; the default route has length 0.
    pub destination: (IpAddr, u8),
    pub gateway: Option<IpAddr>,
    pub link: u32,
}

impl Route {
    pub fn is_default(&self) -> bool {
        self.destination.1 == 0
    }
}

fn message(kind: u16, flags: i32, route: &Route) -> Message {
    let scope = if route.gateway.is_some() { libc::RT_SCOPE_UNIVERSE } else { libc::RT_SCOPE_LINK };
    let (network, prefix) = route.destination;
    let fixed =
        [family(network) as u8, prefix, 0, 0, MAIN_TABLE, libc::RTPROT_STATIC, scope, libc::RTN_UNICAST, 0, 0, 0, 0];
    let mut message = Message::new(kind, (libc::NLM_F_ACK | flags) as u16, &fixed);
    if prefix > 0 {
        message.attribute(RTA_DST, &octets(network));
    }
    if let Some(gateway) = route.gateway {
        message.attribute(RTA_GATEWAY, &octets(gateway));
    }
    message.number(RTA_OIF, route.link);
    message
}

impl Socket {
    /// Adds a route; one that is there already is fine.
    pub fn add_route(&mut self, route: &Route) -> Result<()> {
        match self.change(message(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL, route)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done.map_err(|source| Error::Netlink { action: "add a route", source }),
        }
    }

    pub fn delete_route(&mut self, route: &Route) -> Result<()> {
        match self.change(message(libc::RTM_DELROUTE, 0, route)) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            done => done.map_err(|source| Error::Netlink { action: "delete a route", source }),
        }
    }

    /// The unicast routes of the main table, of both families.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for (family, zero) in [(libc::AF_INET, IpAddr::from([0u8; 4])), (libc::AF_INET6, IpAddr::from([0u8; 16]))] {
            let mut fixed = [0u8; FIXED];
            fixed[0] = family as u8;
            let request = Message::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP as u16, &fixed);
            let answers =
                self.exchange(request, true).map_err(|source| Error::Netlink { action: "list routes", source })?;
            for body in answers.iter().map(|answer| &answer.body) {
                if body.get(4) != Some(&MAIN_TABLE) || body.get(7) != Some(&libc::RTN_UNICAST) {
                    continue;
                }
                let network = attribute(body, FIXED, RTA_DST).and_then(parse_ip).unwrap_or(zero);
                routes.push(Route {
                    destination: (network, body.get(1).copied().unwrap_or(0)),
                    gateway: attribute(body, FIXED, RTA_GATEWAY).and_then(parse_ip),
                    link: attribute(body, FIXED, RTA_OIF).map_or(0, |b| u32_at(b, 0)),
                });
            }
        }
        Ok(routes)
    }
}
