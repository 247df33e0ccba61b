//! Networks, and the address by which others reach this machine.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    str::FromStr,
};

use anyhow::{Context, ensure};

/// A network: an address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub address: Ipv4Addr,
    pub prefix: u8,
}

impl Cidr {
    /// The address so many above the network's own.
    pub fn nth(self, n: u32) -> anyhow::Result<Ipv4Addr> {
        let size = 1_u64 << (32 - u32::from(self.prefix));
        ensure!(u64::from(n) < size, "{self} has no address number {n}");
        Ok(Ipv4Addr::from(u32::from(self.address) + n))
    }

    /// The first subnet of this prefix length.
    pub fn first_subnet(self, prefix: u8) -> anyhow::Result<Self> {
        ensure!(prefix >= self.prefix && prefix <= 30, "{self} has no subnet of prefix length {prefix}");
        Ok(Self { address: self.address, prefix })
    }

    pub fn contains(self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
        u32::from(address) & mask == u32::from(self.address)
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let form = || format!("{text:?} is no IPv4 network like 10.96.0.0/16");
        let (address, prefix) = text.split_once('/').with_context(form)?;
        let network = Self {
            address: address.parse().with_context(form)?,
            prefix: prefix.parse().ok().filter(|p| (1..=30).contains(p)).with_context(form)?,
        };
        ensure!(network.contains(network.address), "{text:?} has bits set beyond its prefix length");
        Ok(network)
    }
}

/// The address from which this machine speaks to others; no packet is sent. Loopback when there is no route.
pub(crate) fn primary() -> IpAddr {
    let ask = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        // An address of documentation: any beyond the local networks does.
        socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9))?;
        Ok::<_, std::io::Error>(socket.local_addr()?.ip())
    };
    ask().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_counted() {
        let network: Cidr = "10.96.0.0/16".parse().expect("valid");
        assert_eq!(network.nth(10).expect("there is"), Ipv4Addr::new(10, 96, 0, 10));
        assert!(network.nth(65_536).is_err());
        assert!(network.overlaps("10.96.4.0/24".parse().expect("valid")));
        assert!(!network.overlaps("10.97.0.0/16".parse().expect("valid")));
        for wrong in ["10.96.0.0", "10.96.0.1/16", "x/8", "10.0.0.0/33", "10.0.0.0/0"] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }
}
