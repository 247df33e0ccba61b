//! `Endpoints`: the addresses behind a service, in the old form.

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use super::pod_spec::defaults::set_text;
use crate::print;
use crate::rules;
use crate::{Column, Facts, Kind, Now, UpdateRules};
use apimachinery::field::{Error, ErrorList, Path};

pub struct Endpoints;

impl Kind for Endpoints {
    type Object = v1::Endpoints;

    const FACTS: Facts = Facts {
        kind: "Endpoints",
        plural: "endpoints",
        singular: "endpoints",
        short_names: &["ep"],
        definition: "io.k8s.api.core.v1.Endpoints",
        storage: "services/endpoints",
        update: UpdateRules { create_on_update: true, unconditional: true },
        columns: &[
            Column::name(),
            Column::new("Endpoints", "string", "Ready addresses with their ports, the first few."),
            Column::age(),
        ],
        ..Facts::NAMESPACED
    };

    fn default(endpoints: &mut v1::Endpoints) {
        for subset in endpoints.subsets.iter_mut().flatten() {
            for port in subset.ports.iter_mut().flatten() {
                set_text(&mut port.protocol, "TCP");
            }
        }
    }

    fn validate(endpoints: &v1::Endpoints) -> ErrorList {
        let mut errors = ErrorList::new();
        for (index, subset) in rules::slice(&endpoints.subsets).iter().enumerate() {
            self::subset(subset, &Path::new("subsets").index(index), &mut errors);
        }
        errors
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        cells![print::name(object), addresses(object), print::age(object, now)]
    }
}

/// The first ready addresses, and how many more there are.
fn addresses(object: &Object) -> String {
    const SHOWN: usize = 3;
    let subsets = print::list(object, &["subsets"]);
    if subsets.is_empty() {
        return print::NONE.to_owned();
    }
    let all: Vec<String> = subsets.iter().flat_map(addresses_of_subset).collect();
    let shown = all[..all.len().min(SHOWN)].join(",");
    if all.len() > SHOWN { format!("{shown} + {} more...", all.len() - SHOWN) } else { shown }
}

fn addresses_of_subset(subset: &Value) -> Vec<String> {
    let list = |field: &str| subset.get(field).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let ips = || list("addresses").iter().map(|address| print::str_in(address, &["ip"]));
    if list("ports").is_empty() {
        return ips().map(str::to_owned).collect();
    }
    let with_port = |port: &Value| {
        let port = print::int_in(port, &["port"]);
        ips().map(|ip| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }).collect()
    };
    list("ports").iter().flat_map(|port| -> Vec<String> { with_port(port) }).collect()
}

fn subset(subset: &v1::EndpointSubset, path: &Path, errors: &mut ErrorList) {
    let (ready, not_ready) = (rules::slice(&subset.addresses), rules::slice(&subset.not_ready_addresses));
    if ready.is_empty() && not_ready.is_empty() {
        errors.push(Error::required(path, "must specify `addresses` or `notReadyAddresses`"));
    }
    for (addresses, field) in [(ready, "addresses"), (not_ready, "notReadyAddresses")] {
        for (index, address) in addresses.iter().enumerate() {
            let path = path.child(field).index(index);
            // What is no address is refused twice, in two sets of words.
            rules::ip(&address.ip, &path.child("ip"), errors);
            rules::endpoint_ip(&address.ip, &path.child("ip"), errors);
            let hostname = rules::text(&address.hostname);
            if !hostname.is_empty() {
                rules::label(hostname, &path.child("hostname"), errors);
            }
            if let Some(node) = &address.node_name {
                rules::subdomain(node, &path.child("nodeName"), errors);
            }
        }
    }
    let ports = rules::slice(&subset.ports);
    for (index, port) in ports.iter().enumerate() {
        let path = path.child("ports").index(index);
        match rules::text(&port.name) {
            "" if ports.len() > 1 => errors.push(Error::required(&path.child("name"), "")),
            "" => {}
            name => rules::label(name, &path.child("name"), errors),
        }
        rules::port_number(port.port.into(), &path.child("port"), errors);
        rules::protocol(rules::text(&port.protocol), &path.child("protocol"), errors);
        if let Some(protocol) = &port.app_protocol {
            rules::qualified_name(protocol, &path.child("appProtocol"), errors);
        }
    }
}
