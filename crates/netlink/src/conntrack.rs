//! Tracked connections. A UDP flow keeps its old translation until its entry is deleted.

use std::net::IpAddr;

use crate::{
    Error, Namespace, Result, Socket,
    addresses::{family, parse_ip},
    message::{Message, attribute},
};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = 1;
const DELETE: u16 = 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const NESTED: u16 = 0x8000;
/// Bytes of `struct nfgenmsg`.
const FIXED: usize = 4;

/// One tracked flow as its first packet saw it, and where the replies come from (the translated destination).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    pub protocol: u8,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub source_port: u16,
    pub destination_port: u16,
    pub reply_source: IpAddr,
    pub reply_source_port: u16,
}

pub struct Conntrack {
    socket: Socket,
}

fn tuple(body: &[u8]) -> Option<(u8, IpAddr, IpAddr, u16, u16)> {
    let ip = attribute(body, 0, CTA_TUPLE_IP)?;
    let protocol = attribute(body, 0, CTA_TUPLE_PROTO)?;
    let address = |v4: u16, v6: u16| attribute(ip, 0, v4).or_else(|| attribute(ip, 0, v6)).and_then(parse_ip);
    let port = |kind| attribute(protocol, 0, kind).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
    Some((
        *attribute(protocol, 0, CTA_PROTO_NUM)?.first()?,
        address(1, 3)?,
        address(2, 4)?,
        port(CTA_PROTO_SRC_PORT),
        port(CTA_PROTO_DST_PORT),
    ))
}

impl Conntrack {
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open_family(libc::NETLINK_NETFILTER)? })
    }

    pub fn open_in(namespace: &Namespace) -> Result<Self> {
        namespace.run(Self::open)?
    }

    fn dump(&mut self, of: i32) -> Result<Vec<Vec<u8>>> {
        let message = Message::new(SUBSYSTEM | GET, libc::NLM_F_DUMP as u16, &[of as u8, 0, 0, 0]);
        let answers = self
            .socket
            .exchange(message, true)
            .map_err(|source| Error::Netlink { action: "list tracked connections", source })?;
        Ok(answers.into_iter().map(|answer| answer.body).collect())
    }

    fn parse(body: &[u8]) -> Option<Flow> {
        let (protocol, source, destination, source_port, destination_port) =
            tuple(attribute(body, FIXED, CTA_TUPLE_ORIG)?)?;
        let (_, reply_source, _, reply_source_port, _) = tuple(attribute(body, FIXED, CTA_TUPLE_REPLY)?)?;
        Some(Flow { protocol, source, destination, source_port, destination_port, reply_source, reply_source_port })
    }

    /// Deletes the flows that `stale` picks; answers how many. One listing, whatever the number of services.
    pub fn delete_matching(&mut self, ip: IpAddr, stale: impl Fn(&Flow) -> bool) -> Result<usize> {
        let mut deleted = 0;
        for body in self.dump(family(ip))? {
            let Some(flow) = Self::parse(&body) else { continue };
            let Some(original) = attribute(&body, FIXED, CTA_TUPLE_ORIG) else { continue };
            if !stale(&flow) {
                continue;
            }
            let fixed = [body[0], 0, 0, 0];
            let mut message = Message::new(SUBSYSTEM | DELETE, libc::NLM_F_ACK as u16, &fixed);
            message.attribute(CTA_TUPLE_ORIG | NESTED, original);
            if let Some(zone) = attribute(&body, FIXED, CTA_ZONE) {
                message.attribute(CTA_ZONE, zone);
            }
            match self.socket.change(message) {
                Ok(()) => deleted += 1,
                // It ended between the listing and now.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(source) => return Err(Error::Netlink { action: "delete a tracked connection", source }),
            }
        }
        Ok(deleted)
    }

    /// Deletes the UDP flows towards an address and port (0: any port).
    pub fn flush_udp(&mut self, destination: IpAddr, port: u16) -> Result<usize> {
        self.delete_matching(destination, |flow| {
            i32::from(flow.protocol) == libc::IPPROTO_UDP
                && flow.destination == destination
                && (port == 0 || flow.destination_port == port)
        })
    }
}
