//! Ranges of numbers of which each may be held once. What nobody asked for by name comes from the upper part of a
//! range first, so that the lower part stays free for those who do.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use rand::Rng;

/// Why something is not to be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) String);

/// Offsets within a range.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// Offsets from here on are given out first.
    dynamic: u64,
    size: u64,
}

impl Span {
    fn new(size: u64, dynamic: u64) -> Self {
        Self { dynamic: if dynamic < size { dynamic } else { 0 }, size }
    }

    fn free(self, held: impl Fn(u64) -> bool) -> Option<u64> {
        let upper = free_in(self.dynamic..=self.size.checked_sub(1)?, &held);
        // The first is left for whom it is meant.
        upper.or_else(|| free_in(1..=self.dynamic.checked_sub(1).filter(|last| *last > 0)?, &held))
    }
}

/// A free offset at or after a random one.
fn free_in(range: RangeInclusive<u64>, held: &impl Fn(u64) -> bool) -> Option<u64> {
    let start = rand::rng().random_range(range.clone());
    (start..=*range.end()).chain(*range.start()..start).find(|offset| !held(*offset))
}

/// The addresses of a network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    span: Span,
    network: IpAddr,
    bits: u8,
}

/// The most addresses that are given out of one network, however large.
const MAX_ADDRESSES: u64 = 1 << 20;

impl Addresses {
    pub(super) fn new(network: IpAddr, bits: u8) -> Self {
        let width: u32 = if network.is_ipv4() { 32 } else { 128 };
        let host_bits = width.saturating_sub(u32::from(bits));
        let size = if host_bits >= 20 { MAX_ADDRESSES } else { 1 << host_bits };
        // The network itself is no address; nor is IPv4's last, the broadcast.
        let usable = size.saturating_sub(1 + u64::from(network.is_ipv4()));
        let dynamic = (usable / 16).clamp(16, 256);
        let network = mask(network, host_bits);
        Self { span: Span::new(usable, dynamic), network, bits }
    }

    pub(super) fn is_ipv4(&self) -> bool {
        self.network.is_ipv4()
    }

    /// Refuses what is no address of the network.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Refused> {
        match self.offset(address) {
            Some(_) => Ok(()),
            None => Err(Refused(format!(
                "the provided IP ({address}) is not in the valid range. The range of valid IPs is {}/{}",
                self.network, self.bits
            ))),
        }
    }

    pub(super) fn free(&self, held: impl Fn(IpAddr) -> bool) -> Result<IpAddr, Refused> {
        let offset = self.span.free(|offset| held(self.at(offset)));
        offset.map(|offset| self.at(offset)).ok_or_else(|| Refused("range is full".to_owned()))
    }

    /// The first address, which the API server's own Service has.
    pub(super) fn first(&self) -> IpAddr {
        self.at(0)
    }

    fn at(&self, offset: u64) -> IpAddr {
        match self.network {
            IpAddr::V4(network) => {
                Ipv4Addr::from_bits(network.to_bits() + 1 + u32::try_from(offset).unwrap_or(0)).into()
            }
            IpAddr::V6(network) => Ipv6Addr::from_bits(network.to_bits() + 1 + u128::from(offset)).into(),
        }
    }

    fn offset(&self, address: IpAddr) -> Option<u64> {
        let above = match (self.network, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => u64::from(address.to_bits().checked_sub(first.to_bits())?),
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                u64::try_from(address.to_bits().checked_sub(first.to_bits())?).ok()?
            }
            _ => return None,
        };
        above.checked_sub(1).filter(|offset| *offset < self.span.size)
    }
}

fn mask(address: IpAddr, host_bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// The node ports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    span: Span,
    pub(super) first: u16,
    pub(super) last: u16,
}

impl Ports {
    pub(super) fn new(first: u16, last: u16) -> Self {
        let size = u64::from(last.saturating_sub(first)) + 1;
        Self { span: Span::new(size, (size / 32).clamp(16, 128)), first, last }
    }

    /// Refuses what is no node port.
    pub(super) fn check(&self, port: u16) -> Result<(), Refused> {
        if (self.first..=self.last).contains(&port) {
            return Ok(());
        }
        Err(Refused(format!(
            "provided port is not in the valid range. The range of valid ports is {}-{}",
            self.first, self.last
        )))
    }

    pub(super) fn free(&self, held: impl Fn(u16) -> bool) -> Result<u16, Refused> {
        let at = |offset: u64| u16::try_from(offset).map_or(self.last, |offset| self.first.saturating_add(offset));
        let offset = self.span.free(|offset| held(at(offset)));
        offset.map(at).ok_or_else(|| Refused("range is full".to_owned()))
    }
}
