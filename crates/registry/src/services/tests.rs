#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{cell::RefCell, collections::BTreeSet, net::IpAddr};

use super::pool::{Addresses, Ports, Refused};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_network_gives_out_every_address_once() {
    let network = Addresses::new(ip("10.0.0.7"), 29);
    let held = RefCell::new(BTreeSet::from([network.first()]));
    let next = || {
        let address = network.free(|address| held.borrow().contains(&address))?;
        held.borrow_mut().insert(address);
        Ok::<_, Refused>(address)
    };
    let mut all: Vec<IpAddr> = (0..5).map(|_| next().unwrap()).collect();
    all.sort();
    assert_eq!(all, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"].map(ip));
    assert_eq!(next(), Err(Refused("range is full".into())));
    held.borrow_mut().remove(&ip("10.0.0.4"));
    assert_eq!(next(), Ok(ip("10.0.0.4")));
}

#[test]
fn what_was_not_asked_for_comes_from_above() {
    let network = Addresses::new(ip("10.0.0.0"), 24);
    let ports = Ports::new(30_000, 32_767);
    for _ in 0..100 {
        assert!(network.free(|_| false).unwrap() > ip("10.0.0.16"));
        assert!(ports.free(|_| false).unwrap() >= 30_086);
    }
}

#[test]
fn refusals_say_why() {
    let network = Addresses::new(ip("10.0.0.0"), 24);
    assert_eq!(
        network.check(ip("10.0.1.1")),
        Err(Refused(
            "the provided IP (10.0.1.1) is not in the valid range. The range of valid IPs is 10.0.0.0/24".into()
        ))
    );
    for edge in ["10.0.0.0", "10.0.0.255"] {
        assert!(network.check(ip(edge)).is_err());
    }
    assert_eq!(network.check(ip("10.0.0.9")), Ok(()));
    assert_eq!(
        Ports::new(30_000, 32_767).check(80),
        Err(Refused("provided port is not in the valid range. The range of valid ports is 30000-32767".into()))
    );
}
