//! Amounts of resources: requests and limits of containers, of whole pods, of nodes.

use std::collections::BTreeMap;

use api::Quantity as Wire;
use api::core::v1::{PodSpec, ResourceRequirements};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::{Quantity, validation};

use crate::{quantities, rules};

const HUGE_PAGES: &str = "hugepages-";
const EXTENDED_MESSAGE: &str = "doesn't follow extended resource name standard";
/// Names without a prefix that mean something somewhere.
const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
/// Things that are counted, not measured.
const COUNTED: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

fn is_huge_page(name: &str) -> bool {
    name.starts_with(HUGE_PAGES)
}

/// Resources that Kubernetes itself gives a meaning to.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && validation::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether requests may be below limits.
fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// Names of resources anywhere.
pub(crate) fn resource_name(name: &str, path: &Path, errors: &mut ErrorList) {
    let judged = validation::qualified_name(name);
    if judged.is_empty() && !name.contains('/') && !STANDARD.contains(&name) && !is_huge_page(name) {
        let why = "must be a standard resource type or fully qualified";
        errors.push(Error::invalid(path, name, why));
    }
    rules::invalid_each(name, judged, path, errors);
}

fn container_resource_name(name: &str, path: &Path, errors: &mut ErrorList) {
    resource_name(name, path, errors);
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_page(name) {
            errors.push(Error::invalid(path, name, "must be a standard resource for containers"));
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.push(Error::invalid(path, name, EXTENDED_MESSAGE));
    }
}

/// Not negative, and whole where the resource is counted.
pub(crate) fn resource_quantity(name: &str, quantity: &Wire, path: &Path, errors: &mut ErrorList) {
    rules::quantity_not_negative(quantity, path, errors);
    let Ok(amount) = quantity.0.parse::<Quantity>() else { return };
    if (COUNTED.contains(&name) || is_extended(name)) && amount.milli() % 1000 != 0 {
        errors.push(Error::invalid_printed(path, format!("{{{amount}}}"), "must be an integer"));
    }
}

/// Huge pages are asked for whole.
fn whole_pages(name: &str, quantity: &Wire, path: &Path, errors: &mut ErrorList) {
    let Some(size) = name.strip_prefix(HUGE_PAGES) else { return };
    let (Ok(page), Ok(amount)) = (size.parse::<Quantity>(), quantity.0.parse::<Quantity>()) else { return };
    if page.units() > 0 && (amount.units() % page.units() != 0 || !amount.is_integer()) {
        let why = format!("{amount} is not positive integer multiple of {name}");
        errors.push(Error::invalid(path, quantity.0.clone(), why));
    }
}

/// Requests and limits of a container. `claims` are the names the pod gives its resource claims.
pub(super) fn of_container(requirements: &ResourceRequirements, claims: &[&str], path: &Path, errors: &mut ErrorList) {
    amounts(requirements, container_resource_name, path, errors);
    for (index, claim) in rules::slice(&requirements.claims).iter().enumerate() {
        let at = path.child("claims").index(index);
        if claim.name.is_empty() {
            errors.push(Error::required(&at, ""));
            continue;
        }
        let earlier = &rules::slice(&requirements.claims)[..index];
        let request = rules::text(&claim.request);
        if !request.is_empty() {
            rules::label(request, &at.child("request"), errors);
        }
        // Who names the claim alone means all its requests.
        let overlaps = |e: &api::core::v1::ResourceClaim| {
            let other = rules::text(&e.request);
            e.name == claim.name && (other.is_empty() || request.is_empty() || other == request)
        };
        if let Some(other) = earlier.iter().find(|e| overlaps(e)) {
            let same = !request.is_empty() && !rules::text(&other.request).is_empty();
            let shown = if same { format!("{}/{request}", claim.name) } else { claim.name.clone() };
            errors.push(Error::duplicate(&at, shown));
        }
        if !claims.contains(&claim.name.as_str()) {
            let mut error = Error::not_found(&at, claim.name.clone());
            let mut known = claims.to_vec();
            known.sort_unstable();
            let known = if known.is_empty() { " which is empty".to_owned() } else { format!(": {}", known.join(", ")) };
            error.detail = format!("must be one of the names in pod.spec.resourceClaims{known}");
            errors.push(error);
        }
    }
}

/// Amounts on their own, such as a pod's overhead.
pub(super) fn list(amounts: &BTreeMap<String, Wire>, path: &Path, errors: &mut ErrorList) {
    for (name, quantity) in amounts {
        let at = path.key(name);
        container_resource_name(name, &at, errors);
        resource_quantity(name, quantity, &at, errors);
    }
}

type NameJudge = fn(&str, &Path, &mut ErrorList);

fn amounts(requirements: &ResourceRequirements, judge_name: NameJudge, path: &Path, errors: &mut ErrorList) {
    let none = BTreeMap::new();
    let limits = requirements.limits.as_ref().unwrap_or(&none);
    let requests = requirements.requests.as_ref().unwrap_or(&none);
    for (amounts, at) in [(limits, path.child("limits")), (requests, path.child("requests"))] {
        for (name, quantity) in amounts {
            let at = at.key(name);
            judge_name(name, &at, errors);
            resource_quantity(name, quantity, &at, errors);
            whole_pages(name, quantity, &at, errors);
        }
    }
    for (name, request) in requests {
        request_within_limit(name, request, limits.get(name), path, errors);
    }
    let mut names = limits.keys().chain(requests.keys());
    let has_huge_pages = names.clone().any(|name| is_huge_page(name));
    if has_huge_pages && !names.any(|name| matches!(name.as_str(), "cpu" | "memory")) {
        errors.push(Error::forbidden(path, "HugePages require cpu or memory"));
    }
}

fn request_within_limit(name: &str, request: &Wire, limit: Option<&Wire>, path: &Path, errors: &mut ErrorList) {
    let Some(limit) = limit else {
        if !may_overcommit(name) {
            let why = "Limit must be set for non overcommitable resources";
            errors.push(Error::required(&path.child("limits"), why));
        }
        return;
    };
    let (Ok(asked), Ok(most)) = (request.0.parse::<Quantity>(), limit.0.parse::<Quantity>()) else { return };
    let why = if !may_overcommit(name) && asked != most {
        format!("must be equal to {name} limit of {}", limit.0)
    } else if asked > most {
        format!("must be less than or equal to {name} limit of {}", limit.0)
    } else {
        return;
    };
    errors.push(Error::invalid(&path.child("requests"), request.0.clone(), why));
}

/// Requests and limits of the pod as a whole, and how they fit those of its containers.
pub(super) fn pod_level(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let Some(whole) = &spec.resources else { return };
    if !rules::slice(&whole.claims).is_empty() {
        errors.push(Error::forbidden(&path.child("claims"), "claims cannot be set for Resources at pod-level"));
    }
    amounts(whole, pod_resource_name, path, errors);
    let parts = PodSpec { resources: None, overhead: None, ..spec.clone() };
    for (name, sum) in api::resources::pod_requests(&parts) {
        let request = whole.requests.as_ref().and_then(|requests| requests.get(&name));
        let Some(Ok(request)) = request.map(|request| request.0.parse::<Quantity>()) else { continue };
        if quantities::is_pod_level(&name) && sum > request {
            let why = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.push(Error::invalid(&path.child("requests").key(&name), request.to_string(), why));
        }
    }
    for (list, field) in
        [(&spec.containers, "containers"), (spec.init_containers.as_ref().unwrap_or(&Vec::new()), "initContainers")]
    {
        for (index, ctr) in list.iter().enumerate() {
            let limits = ctr.resources.iter().flat_map(|r| r.limits.iter().flatten());
            for (name, limit) in limits {
                let most = whole.limits.as_ref().and_then(|limits| limits.get(name));
                let Some(Ok(most)) = most.map(|most| most.0.parse::<Quantity>()) else { continue };
                if limit.0.parse::<Quantity>().is_ok_and(|limit| limit > most) {
                    let at = Path::new("spec").child(field).index(index).children(&["resources", "limits"]).key(name);
                    let why = format!("must be less than or equal to pod limits of {most}");
                    errors.push(Error::invalid(&at, limit.0.clone(), why));
                }
            }
        }
    }
}

fn pod_resource_name(name: &str, path: &Path, errors: &mut ErrorList) {
    resource_name(name, path, errors);
    if !quantities::is_pod_level(name) {
        errors.push(Error::not_supported(path, name, &["cpu", "hugepages-*", "memory"]));
    }
}
