//! `Service`: one name and address for several pods.

mod defaults;
mod strategy;
mod validate;
mod validate_update;

use std::collections::BTreeSet;

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::{Column, Facts, Kind, Now, Subresource, UpdateRules};
use crate::{names, print};
use apimachinery::field::ErrorList;

pub struct Service;

impl Kind for Service {
    type Object = v1::Service;

    const RETURNS_DELETED: bool = true;

    const FACTS: Facts = Facts {
        kind: "Service",
        plural: "services",
        singular: "service",
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[Subresource::Proxy, Subresource::Status],
        definition: "io.k8s.api.core.v1.Service",
        storage: "services/specs",
        name_rule: names::service,
        update: UpdateRules { create_on_update: true, unconditional: true },
        selectable: &["spec.clusterIP", "spec.type"],
        columns: &[
            Column::name(),
            Column::new("Type", "string", "How the service can be reached."),
            Column::new("Cluster-IP", "string", "Address within the cluster."),
            Column::new("External-IP", "string", "Address for the outside."),
            Column::new("Port(s)", "string", "Ports with node ports and protocols."),
            Column::age(),
            Column::wide("Selector", "string", "Labels by which the pods are found."),
        ],
        ..Facts::NAMESPACED
    };

    fn default(service: &mut v1::Service) {
        defaults::spec(service.spec.get_or_insert_default());
        defaults::status(service);
    }

    fn prepare_for_create(service: &mut v1::Service) {
        strategy::prepare_for_create(service);
    }

    fn prepare_for_update(new: &mut v1::Service, old: &v1::Service) {
        strategy::prepare_for_update(new, old);
    }

    fn validate(service: &v1::Service) -> ErrorList {
        validate::service(service)
    }

    fn validate_update(new: &v1::Service, old: &v1::Service) -> ErrorList {
        validate_update::update(new, old)
    }

    fn validate_status_update(new: &v1::Service, old: &v1::Service) -> ErrorList {
        validate_update::status(new, old)
    }

    fn warnings(service: &v1::Service) -> Vec<String> {
        validate::warnings(service)
    }

    fn field(object: &Object, field: &str) -> Option<String> {
        match field {
            "spec.clusterIP" => Some(print::text(object, &["spec", "clusterIP"]).to_owned()),
            "spec.type" => Some(print::text(object, &["spec", "type"]).to_owned()),
            _ => None,
        }
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        let cluster_ip = print::list(object, &["spec", "clusterIPs"]).first().and_then(Value::as_str);
        cells![
            print::name(object),
            print::text(object, &["spec", "type"]),
            cluster_ip.unwrap_or(print::NONE),
            external_ip(object),
            ports(object),
            print::age(object, now),
            print::labels(object.get(&["spec", "selector"])),
        ]
    }
}

fn external_ip(object: &Object) -> String {
    let external_ips: Vec<&str> =
        print::list(object, &["spec", "externalIPs"]).iter().filter_map(Value::as_str).collect();
    match print::text(object, &["spec", "type"]) {
        "ClusterIP" | "NodePort" => print::or(&external_ips.join(","), print::NONE).to_owned(),
        "LoadBalancer" => {
            let mut ips = vec![load_balancer(object)];
            ips.retain(|ip| !ip.is_empty());
            ips.extend(external_ips.into_iter().map(str::to_owned));
            print::or(&ips.join(","), "<pending>").to_owned()
        }
        "ExternalName" => print::text(object, &["spec", "externalName"]).to_owned(),
        _ => print::UNKNOWN.to_owned(),
    }
}

/// Addresses the load balancer has reported, each once, in order.
fn load_balancer(object: &Object) -> String {
    let ingress = print::list(object, &["status", "loadBalancer", "ingress"]).iter();
    let addresses: BTreeSet<&str> = ingress
        .map(|i| print::or(print::str_in(i, &["ip"]), print::str_in(i, &["hostname"])))
        .filter(|address| !address.is_empty())
        .collect();
    addresses.into_iter().collect::<Vec<_>>().join(",")
}

fn ports(object: &Object) -> String {
    let port = |port: &Value| {
        let (number, protocol) = (print::int_in(port, &["port"]), print::str_in(port, &["protocol"]));
        match print::int_in(port, &["nodePort"]) {
            0 => format!("{number}/{protocol}"),
            node_port => format!("{number}:{node_port}/{protocol}"),
        }
    };
    let ports: Vec<String> = print::list(object, &["spec", "ports"]).iter().map(port).collect();
    print::or(&ports.join(","), print::NONE).to_owned()
}

/// Whether the service has ways in from outside the cluster, and so a policy for them.
fn is_externally_accessible(spec: &v1::ServiceSpec) -> bool {
    match spec.type_.as_deref() {
        Some("LoadBalancer" | "NodePort") => true,
        Some("ClusterIP") => spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty()),
        _ => false,
    }
}
