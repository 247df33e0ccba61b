//! Rules as nft text: the whole table, or the step from one state to the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{
    CLOSED, CLOSED_NODE_PORTS, DOORS, FanOut, HAIRPIN, Masquerade, NODE_PORT_TARGETS, NODE_PORTS, OwnChain, Rules,
    TARGETS,
};

/// Elements in one `add element` command; nft reads a line at a time into memory.
const ELEMENTS_A_COMMAND: usize = 500;
/// Upstream's masquerade mark.
const MARK: &str = "0x4000";

/// The step from what the kernel has to `new`; empty when they are alike. Without `old`, or when `new` needs more
/// shared chains, the whole table is replaced in one step: nft 1.0.6 cannot add a rule that looks up in a map of an
/// earlier transaction.
pub(crate) fn step(table: &str, pod_cidr: &str, old: Option<&Rules>, new: &mut Rules) -> String {
    match old {
        Some(old) if new.capacity <= old.capacity => {
            new.capacity = old.capacity;
            update(table, pod_cidr, old, new)
        }
        _ => replace(table, pod_cidr, new),
    }
}

fn replace(table: &str, pod_cidr: &str, rules: &Rules) -> String {
    let mut text = format!("table ip {table}\ndelete table ip {table}\n{}", skeleton(table));
    for fan_out in FanOut::ALL {
        for count in 1..=rules.capacity {
            shared_chain(&mut text, table, pod_cidr, fan_out, count);
        }
    }
    own_chains(&mut text, table, pod_cidr, rules, &Rules::default());
    for (map, elements) in &rules.elements {
        elements_command(&mut text, "add", table, map, elements.iter().map(|(k, v)| element(k, v)));
    }
    text
}

fn update(table: &str, pod_cidr: &str, old: &Rules, new: &Rules) -> String {
    let mut text = String::new();
    own_chains(&mut text, table, pod_cidr, new, old);
    let maps: BTreeSet<&&str> = old.elements.keys().chain(new.elements.keys()).collect();
    let empty = BTreeMap::new();
    for map in maps {
        let (was, is) = (old.elements.get(*map).unwrap_or(&empty), new.elements.get(*map).unwrap_or(&empty));
        let gone = was.iter().filter(|(key, value)| is.get(*key) != Some(value)).map(|(key, _)| key.clone());
        elements_command(&mut text, "delete", table, map, gone);
        let come = is.iter().filter(|(key, value)| was.get(*key) != Some(value)).map(|(k, v)| element(k, v));
        elements_command(&mut text, "add", table, map, come);
    }
    for name in old.own.keys().filter(|name| !new.own.contains_key(*name)) {
        own_chain_delete(&mut text, table, name, &old.own[name]);
    }
    text
}

fn element(key: &str, value: &str) -> String {
    if value.is_empty() { key.to_owned() } else { format!("{key} : {value}") }
}

fn elements_command(text: &mut String, verb: &str, table: &str, map: &str, elements: impl Iterator<Item = String>) {
    let elements: Vec<String> = elements.collect();
    for chunk in elements.chunks(ELEMENTS_A_COMMAND) {
        line(text, format_args!("{verb} element ip {table} {map} {{ {} }}", chunk.join(", ")));
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes all");
    text.push('\n');
}

fn skeleton(table: &str) -> String {
    format!(
        "table ip {table} {{
  map {DOORS} {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map {TARGETS} {{ typeof ip daddr . meta l4proto . th dport . numgen random mod 2 : ip daddr . th dport; }}
  map {NODE_PORTS} {{ type inet_proto . inet_service : verdict; }}
  map {NODE_PORT_TARGETS} {{ typeof meta l4proto . th dport . numgen random mod 2 : ip daddr . th dport; }}
  map {CLOSED} {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map {CLOSED_NODE_PORTS} {{ type inet_proto . inet_service : verdict; }}
  set {HAIRPIN} {{ type ipv4_addr . ipv4_addr; }}
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmp port-unreachable
  }}
  chain doors-nat {{
    ip daddr . meta l4proto . th dport vmap @{DOORS}
    fib daddr type local meta l4proto . th dport vmap @{NODE_PORTS}
  }}
  chain doors-filter {{
    ct state new ip daddr . meta l4proto . th dport vmap @{CLOSED}
    ct state new fib daddr type local meta l4proto . th dport vmap @{CLOSED_NODE_PORTS}
  }}
  chain spoofed {{
    type filter hook prerouting priority raw; policy accept;
    iifname != \"lo\" ip daddr 127.0.0.0/8 drop
  }}
  chain nat-prerouting {{ type nat hook prerouting priority dstnat; policy accept; jump doors-nat; }}
  chain nat-output {{ type nat hook output priority -100; policy accept; jump doors-nat; }}
  chain filter-input {{ type filter hook input priority -110; policy accept; jump doors-filter; }}
  chain filter-forward {{ type filter hook forward priority -110; policy accept; jump doors-filter; }}
  chain filter-output {{ type filter hook output priority -110; policy accept; jump doors-filter; }}
  chain nat-postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & {MARK} == {MARK} meta mark set meta mark and 0xffffbfff masquerade fully-random
    ct status dnat ip saddr . ip daddr @{HAIRPIN} masquerade fully-random
  }}
}}
"
    )
}

/// Sends a connection to one of `count` targets.
fn shared_chain(text: &mut String, table: &str, pod_cidr: &str, fan_out: FanOut, count: usize) {
    let chain = fan_out.chain(count);
    line(text, format_args!("add chain ip {table} {chain}"));
    let masquerade = match fan_out {
        FanOut::Cluster => Masquerade::Outsiders,
        FanOut::Outside | FanOut::NodePort { masquerade: true } => Masquerade::Always,
        FanOut::NodePort { masquerade: false } => Masquerade::Never,
    };
    mark(text, table, &chain, pod_cidr, masquerade);
    let (key, map) = match fan_out {
        FanOut::NodePort { .. } => ("", NODE_PORT_TARGETS),
        _ => ("ip daddr . ", TARGETS),
    };
    line(
        text,
        format_args!(
            "add rule ip {table} {chain} meta l4proto {{ tcp, udp }} dnat ip to {key}meta l4proto . th dport . numgen \
             random mod {count} map @{map}"
        ),
    );
}

/// The chains of doors with affinity that `new` has and `old` has not, or not as they shall be.
fn own_chains(text: &mut String, table: &str, pod_cidr: &str, new: &Rules, old: &Rules) {
    for (name, own) in &new.own {
        match old.own.get(name) {
            Some(before) if before == own => {}
            before => own_chain(text, table, pod_cidr, name, own, before),
        }
    }
}

fn mark(text: &mut String, table: &str, chain: &str, pod_cidr: &str, masquerade: Masquerade) {
    let condition = match masquerade {
        Masquerade::Never => return,
        Masquerade::Always => String::new(),
        Masquerade::Outsiders => format!("ip saddr != {pod_cidr} "),
    };
    line(text, format_args!("add rule ip {table} {chain} {condition}meta mark set meta mark or {MARK}"));
}

/// A target's own chain and set of clients are named by its address, so that clients stay with targets that stay.
fn target_name(name: &str, target: &crate::endpoints::Target) -> String {
    format!("{name}-{}-{}", target.address.to_string().replace('.', "-"), target.port)
}

fn own_chain(text: &mut String, table: &str, pod_cidr: &str, name: &str, own: &OwnChain, before: Option<&OwnChain>) {
    line(text, format_args!("add chain ip {table} {name}"));
    line(text, format_args!("flush chain ip {table} {name}"));
    mark(text, table, name, pod_cidr, own.masquerade);
    // A set's timeout cannot be changed in place.
    let renewed = before.filter(|b| b.affinity != own.affinity);
    for target in renewed.into_iter().flat_map(|b| &b.targets) {
        own_target_delete(text, table, &target_name(name, target));
    }
    for target in &own.targets {
        let chain = target_name(name, target);
        let seconds = own.affinity.seconds;
        line(
            text,
            format_args!("add set ip {table} {chain} {{ type ipv4_addr; flags dynamic,timeout; timeout {seconds}s; }}"),
        );
        line(text, format_args!("add chain ip {table} {chain}"));
        line(text, format_args!("flush chain ip {table} {chain}"));
        line(text, format_args!("add rule ip {table} {chain} update @{chain} {{ ip saddr }}"));
        line(
            text,
            format_args!(
                "add rule ip {table} {chain} meta l4proto {{ tcp, udp }} dnat ip to {}:{}",
                target.address, target.port
            ),
        );
        line(text, format_args!("add rule ip {table} {name} ip saddr @{chain} goto {chain}"));
    }
    let slots: Vec<String> =
        own.targets.iter().enumerate().map(|(slot, t)| format!("{slot} : goto {}", target_name(name, t))).collect();
    line(
        text,
        format_args!("add rule ip {table} {name} numgen random mod {} vmap {{ {} }}", slots.len(), slots.join(", ")),
    );
    let kept = before.filter(|b| b.affinity == own.affinity);
    for target in kept.into_iter().flat_map(|b| &b.targets).filter(|t| !own.targets.contains(t)) {
        own_target_delete(text, table, &target_name(name, target));
    }
}

fn own_target_delete(text: &mut String, table: &str, chain: &str) {
    line(text, format_args!("flush chain ip {table} {chain}"));
    line(text, format_args!("delete chain ip {table} {chain}"));
    line(text, format_args!("delete set ip {table} {chain}"));
}

fn own_chain_delete(text: &mut String, table: &str, name: &str, own: &OwnChain) {
    line(text, format_args!("flush chain ip {table} {name}"));
    line(text, format_args!("delete chain ip {table} {name}"));
    for target in &own.targets {
        own_target_delete(text, table, &target_name(name, target));
    }
}
