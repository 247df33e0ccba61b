//! `Endpoints`: the addresses behind a service, in the old form.

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use super::pod_spec::defaults::set_text;
use crate::print;
use crate::{Column, Facts, Kind, Now, UpdateRules};

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
