//! A range of IPv4 addresses for pods.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use crate::Error;

/// The first host address is the gateway; network and broadcast are never given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    network: u32,
    prefix: u8,
}

impl Range {
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.network + 1)
    }

    pub(crate) fn first(&self) -> u32 {
        self.network + 2
    }

    pub(crate) fn last(&self) -> u32 {
        (self.network | (u32::MAX >> self.prefix)) - 1
    }

    pub fn contains(&self, ip: Ipv4Addr) -> bool {
        u32::from(ip) & !(u32::MAX >> self.prefix) == self.network
    }
}

impl FromStr for Range {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::BadRange { text: text.to_owned() };
        let (ip, prefix) = text.split_once('/').ok_or_else(bad)?;
        let ip: Ipv4Addr = ip.parse().map_err(|_| bad())?;
        let prefix: u8 = prefix.parse().map_err(|_| bad())?;
        if !(8..=29).contains(&prefix) {
            return Err(bad());
        }
        Ok(Self { network: u32::from(ip) & !(u32::MAX >> prefix), prefix })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.network), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_range_knows_its_ends() {
        let range: Range = "10.42.3.9/24".parse().unwrap();
        assert_eq!(range.to_string(), "10.42.3.0/24");
        assert_eq!(range.gateway(), Ipv4Addr::new(10, 42, 3, 1));
        assert_eq!(Ipv4Addr::from(range.first()), Ipv4Addr::new(10, 42, 3, 2));
        assert_eq!(Ipv4Addr::from(range.last()), Ipv4Addr::new(10, 42, 3, 254));
        assert!(range.contains(Ipv4Addr::new(10, 42, 3, 77)) && !range.contains(Ipv4Addr::new(10, 42, 4, 1)));
        for bad in ["10.0.0.0", "10.0.0.0/30", "x/24", "10.0.0.0/99"] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
    }
}
