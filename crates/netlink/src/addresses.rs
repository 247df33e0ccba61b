//! Addresses of links.

use std::{io, net::IpAddr};

use crate::{
    Error, Result, Socket,
    message::{Message, attribute, u32_at},
};

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
/// Bytes of `struct ifaddrmsg`.
const FIXED: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub link: u32,
    pub ip: IpAddr,
    pub prefix: u8,
}

pub(crate) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

pub(crate) fn family(ip: IpAddr) -> i32 {
    if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}

pub(crate) fn parse_ip(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

impl Socket {
    /// Adds an address; one that is there already is fine.
    pub fn add_address(&mut self, address: Address) -> Result<()> {
        let mut fixed = vec![family(address.ip) as u8, address.prefix, 0, 0];
        fixed.extend_from_slice(&address.link.to_ne_bytes());
        let flags = (libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
        let mut message = Message::new(libc::RTM_NEWADDR, flags, &fixed);
        message.attribute(IFA_LOCAL, &octets(address.ip)).attribute(IFA_ADDRESS, &octets(address.ip));
        if let IpAddr::V4(v4) = address.ip
            && address.prefix < 31
        {
            let broadcast = u32::from(v4) | (u32::MAX >> address.prefix);
            message.attribute(IFA_BROADCAST, &broadcast.to_be_bytes());
        }
        match self.change(message) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done.map_err(|source| Error::Netlink { action: "add an address", source }),
        }
    }

    pub fn addresses(&mut self) -> Result<Vec<Address>> {
        let message = Message::new(libc::RTM_GETADDR, libc::NLM_F_DUMP as u16, &[0; FIXED]);
        let answers =
            self.exchange(message, true).map_err(|source| Error::Netlink { action: "list addresses", source })?;
        Ok(answers
            .iter()
            .filter_map(|answer| {
                let body = &answer.body;
                let bytes = attribute(body, FIXED, IFA_LOCAL).or_else(|| attribute(body, FIXED, IFA_ADDRESS))?;
                Some(Address { link: u32_at(body, 4), ip: parse_ip(bytes)?, prefix: *body.get(1)? })
            })
            .collect())
    }
}
