#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;

use super::pool::{Addresses, Ports, Refused};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_network_gives_out_every_address_once() {
    let mut pool = Addresses::new(ip("10.0.0.7"), 29);
    assert_eq!(pool.first(), Ok(ip("10.0.0.1")));
    let mut all: Vec<IpAddr> = (0..5).map(|_| pool.next().unwrap()).collect();
    all.sort();
    assert_eq!(all, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"].map(ip));
    assert_eq!(pool.next(), Err(Refused("range is full".into())));
    pool.give_back(ip("10.0.0.4"));
    assert_eq!(pool.next(), Ok(ip("10.0.0.4")));
}

#[test]
fn what_was_not_asked_for_comes_from_above() {
    let mut pool = Addresses::new(ip("10.0.0.0"), 24);
    for _ in 0..100 {
        assert!(pool.next().unwrap() > ip("10.0.0.16"));
    }
    let mut ports = Ports::new(30_000, 32_767);
    for _ in 0..100 {
        assert!(ports.next().unwrap() >= 30_086);
    }
}

#[test]
fn refusals_say_why() {
    let mut pool = Addresses::new(ip("10.0.0.0"), 24);
    assert_eq!(
        pool.take(ip("10.0.1.1")),
        Err(Refused(
            "the provided IP (10.0.1.1) is not in the valid range. The range of valid IPs is 10.0.0.0/24".into()
        ))
    );
    for edge in ["10.0.0.0", "10.0.0.255"] {
        assert!(pool.take(ip(edge)).is_err());
    }
    pool.take(ip("10.0.0.9")).unwrap();
    assert_eq!(pool.take(ip("10.0.0.9")), Err(Refused("provided IP is already allocated".into())));
    let mut ports = Ports::new(30_000, 32_767);
    assert_eq!(
        ports.take(80),
        Err(Refused("provided port is not in the valid range. The range of valid ports is 30000-32767".into()))
    );
}
