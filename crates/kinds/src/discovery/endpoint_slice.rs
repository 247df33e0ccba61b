//! `EndpointSlice`: some of the addresses behind a service.

mod validate;

use api::discovery::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::rules;
use crate::{Column, Facts, Kind, Now};
use apimachinery::field::{ErrorList, Path};

pub struct EndpointSlice;

impl Kind for EndpointSlice {
    type Object = v1::EndpointSlice;

    const FACTS: Facts = Facts {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        plural: "endpointslices",
        singular: "endpointslice",
        definition: "io.k8s.api.discovery.v1.EndpointSlice",
        storage: "endpointslices",
        generation: true,
        columns: &[
            Column::name(),
            Column::new("AddressType", "string", "What kind of addresses the slice holds."),
            Column::new("Ports", "string", "The first few ports."),
            Column::new("Endpoints", "string", "The first few addresses."),
            Column::age(),
        ],
        ..Facts::NAMESPACED
    };

    fn default(slice: &mut v1::EndpointSlice) {
        for port in slice.ports.iter_mut().flatten() {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
        for endpoint in slice.endpoints.iter_mut().flatten() {
            endpoint.conditions.get_or_insert_default();
        }
    }

    fn validate(slice: &v1::EndpointSlice) -> ErrorList {
        validate::endpoint_slice(slice)
    }

    fn validate_update(new: &v1::EndpointSlice, old: &v1::EndpointSlice) -> ErrorList {
        let mut errors = validate::endpoint_slice(new);
        rules::immutable(&new.address_type, &old.address_type, &Path::new("addressType"), &mut errors);
        errors
    }

    fn warnings(slice: &v1::EndpointSlice) -> Vec<String> {
        let of_names = slice.address_type == "FQDN";
        of_names.then(|| "spec.addressType: FQDN endpoints are deprecated".to_owned()).into_iter().collect()
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        let ports = print::list(object, &["ports"]).iter().map(|port| match port.get("port").and_then(Value::as_i64) {
            Some(port) => port.to_string(),
            None => "*".to_owned(),
        });
        let addresses = print::list(object, &["endpoints"])
            .iter()
            .flat_map(|endpoint| endpoint.get("addresses").and_then(Value::as_array).into_iter().flatten())
            .map(|address| address.as_str().unwrap_or_default().to_owned());
        cells![
            print::name(object),
            print::text(object, &["addressType"]),
            first_few(&ports.collect::<Vec<_>>()),
            first_few(&addresses.collect::<Vec<_>>()),
            print::age(object, now),
        ]
    }
}

fn first_few(items: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = items[..items.len().min(SHOWN)].join(",");
    match items.len() {
        0 => "<unset>".to_owned(),
        n if n > SHOWN => format!("{shown} + {} more...", n - SHOWN),
        _ => shown,
    }
}
