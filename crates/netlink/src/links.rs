//! Links: bridges, and pairs of virtual cables with one end in another namespace.

use std::{io, os::fd::AsRawFd};

use crate::{
    Error, Namespace, Result, Socket,
    message::{Answer, Message, attribute, u32_at},
};

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_PROTINFO: u16 = 12;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const NESTED: u16 = 0x8000;
/// Bytes of `struct ifinfomsg`.
const FIXED: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub up: bool,
    pub mtu: u32,
    pub mac: Vec<u8>,
    /// Index of the bridge this is a port of; 0 if none.
    pub master: u32,
}

/// A cable between this namespace and another.
#[derive(Debug)]
pub struct Veth<'a> {
    pub name: &'a str,
    /// The bridge the near end is plugged into.
    pub master: Option<u32>,
    pub mtu: Option<u32>,
    pub peer_name: &'a str,
    pub peer_namespace: &'a Namespace,
    pub peer_mac: Option<[u8; 6]>,
}

fn fixed(family: i32, index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut bytes = vec![family as u8, 0, 0, 0];
    bytes.extend_from_slice(&index.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&change.to_ne_bytes());
    bytes
}

const UP: u32 = libc::IFF_UP as u32;
const ACK: u16 = libc::NLM_F_ACK as u16;
const CREATE: u16 = (libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;

fn checked(name: &str) -> Result<&str> {
    let fits = !name.is_empty() && name.len() < libc::IFNAMSIZ;
    if fits && !name.contains(|c: char| c == '/' || c.is_whitespace()) {
        Ok(name)
    } else {
        Err(Error::BadName { name: name.to_owned() })
    }
}

impl Link {
    fn parse(answer: &Answer) -> Self {
        let body = &answer.body;
        let name = attribute(body, FIXED, IFLA_IFNAME).unwrap_or_default();
        Self {
            index: u32_at(body, 4),
            name: String::from_utf8_lossy(name).trim_end_matches('\0').to_owned(),
            up: u32_at(body, 8) & UP != 0,
            mtu: attribute(body, FIXED, IFLA_MTU).map_or(0, |b| u32_at(b, 0)),
            mac: attribute(body, FIXED, IFLA_ADDRESS).unwrap_or_default().to_vec(),
            master: attribute(body, FIXED, IFLA_MASTER).map_or(0, |b| u32_at(b, 0)),
        }
    }
}

impl Socket {
    pub fn link(&mut self, name: &str) -> Result<Option<Link>> {
        let mut message = Message::new(libc::RTM_GETLINK, 0, &fixed(libc::AF_UNSPEC, 0, 0, 0));
        message.text(IFLA_IFNAME, checked(name)?);
        match self.exchange(message, false) {
            Ok(answers) => Ok(answers.first().map(Link::parse)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(source) => Err(Error::Link { action: "look up link", name: name.to_owned(), source }),
        }
    }

    pub fn links(&mut self) -> Result<Vec<Link>> {
        let message = Message::new(libc::RTM_GETLINK, libc::NLM_F_DUMP as u16, &fixed(libc::AF_UNSPEC, 0, 0, 0));
        let answers = self.exchange(message, true).map_err(|source| Error::Netlink { action: "list links", source })?;
        Ok(answers.iter().map(Link::parse).collect())
    }

    /// Makes a bridge, up, unless it exists; answers it either way.
    pub fn ensure_bridge(&mut self, name: &str, mac: Option<[u8; 6]>) -> Result<Link> {
        let mut message = Message::new(libc::RTM_NEWLINK, CREATE, &fixed(libc::AF_UNSPEC, 0, UP, UP));
        message.text(IFLA_IFNAME, checked(name)?);
        if let Some(mac) = mac {
            message.attribute(IFLA_ADDRESS, &mac);
        }
        message.nested(IFLA_LINKINFO, |m| {
            m.text(IFLA_INFO_KIND, "bridge");
        });
        match self.change(message) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(Error::Link { action: "create bridge", name: name.to_owned(), source }),
        }
        let link = self.link(name)?.ok_or_else(|| Error::NoSuchLink { name: name.to_owned() })?;
        if !link.up {
            self.set_up(link.index)?;
        }
        Ok(link)
    }

    /// Makes the pair, the near end up and in its bridge, the far end in its namespace and still down:
    /// the kernel answers ENOTCONN to a peer that is to be up at once.
    pub fn create_veth(&mut self, veth: &Veth<'_>) -> Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, CREATE, &fixed(libc::AF_UNSPEC, 0, UP, UP));
        message.text(IFLA_IFNAME, checked(veth.name)?);
        if let Some(mtu) = veth.mtu {
            message.number(IFLA_MTU, mtu);
        }
        if let Some(master) = veth.master {
            message.number(IFLA_MASTER, master);
        }
        let peer_name = checked(veth.peer_name)?;
        message.nested(IFLA_LINKINFO, |m| {
            m.text(IFLA_INFO_KIND, "veth").nested(IFLA_INFO_DATA, |m| {
                m.nested(VETH_INFO_PEER, |m| {
                    m.raw(&fixed(libc::AF_UNSPEC, 0, 0, 0)).text(IFLA_IFNAME, peer_name);
                    if let Some(mtu) = veth.mtu {
                        m.number(IFLA_MTU, mtu);
                    }
                    if let Some(mac) = veth.peer_mac {
                        m.attribute(IFLA_ADDRESS, &mac);
                    }
                    m.number(IFLA_NET_NS_FD, veth.peer_namespace.as_raw_fd() as u32);
                });
            });
        });
        self.change(message).map_err(|source| Error::Link { action: "create veth", name: veth.name.to_owned(), source })
    }

    pub fn set_up(&mut self, index: u32) -> Result<()> {
        let message = Message::new(libc::RTM_NEWLINK, ACK, &fixed(libc::AF_UNSPEC, index, UP, UP));
        self.change(message).map_err(|source| Error::Netlink { action: "bring a link up", source })
    }

    /// Lets a bridge port send frames back where they came from, so that a pod reaches itself through a Service.
    pub fn set_hairpin(&mut self, index: u32) -> Result<()> {
        let mut message = Message::new(libc::RTM_SETLINK, ACK, &fixed(libc::AF_BRIDGE, index, 0, 0));
        message.nested(IFLA_PROTINFO | NESTED, |m| {
            m.attribute(IFLA_BRPORT_MODE, &[1]);
        });
        self.change(message).map_err(|source| Error::Netlink { action: "set hairpin mode", source })
    }

    /// Deletes a link. Tens of milliseconds under the kernel's one network lock: not for hot paths.
    pub fn delete_link(&mut self, index: u32) -> Result<()> {
        let message = Message::new(libc::RTM_DELLINK, ACK, &fixed(libc::AF_UNSPEC, index, 0, 0));
        match self.change(message) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            done => done.map_err(|source| Error::Netlink { action: "delete a link", source }),
        }
    }
}
