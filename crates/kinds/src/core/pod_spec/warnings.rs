//! Uses of pod fields that are accepted and probably not meant.

use std::collections::{BTreeMap, HashMap, HashSet};

use api::core::v1::{Container, PodSpec, PodTemplateSpec, Volume};
use apimachinery::Quantity;
use apimachinery::field::{Path, quote};

use crate::rules;

/// Labels of nodes that have newer names.
const OLD_NODE_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
];

pub(crate) fn template(template: &PodTemplateSpec, path: &Path) -> Vec<String> {
    let metadata = template.metadata.clone().unwrap_or_default();
    let spec = template.spec.clone().unwrap_or_default();
    pod(&spec, metadata.annotations.as_ref(), &path.child("spec"), &path.child("metadata"))
}

pub(crate) fn pod(
    spec: &PodSpec,
    annotations: Option<&BTreeMap<String, String>>,
    path: &Path,
    metadata: &Path,
) -> Vec<String> {
    let mut warnings = Vec::new();
    node_labels(spec, path, &mut warnings);
    for (index, volume) in rules::slice(&spec.volumes).iter().enumerate() {
        self::volume(volume, &path.child("volumes").index(index), &mut warnings);
    }
    pull_secrets(spec, &path.child("imagePullSecrets"), &mut warnings);
    let lists = [(rules::slice(&spec.init_containers), "initContainers"), (&spec.containers, "containers")];
    for (containers, field) in lists {
        for (index, ctr) in containers.iter().enumerate() {
            container(ctr, &path.child(field).index(index), &mut warnings);
        }
    }
    null_selectors(spec, path, &mut warnings);
    for key in annotations.into_iter().flatten().map(|(key, _)| key) {
        if key.starts_with("seccomp.security.alpha.kubernetes.io/")
            || key.starts_with("container.seccomp.security.alpha.kubernetes.io/")
        {
            let at = metadata.child("annotations").key(key);
            warnings.push(format!("{at}: non-functional in v1.27+; use the \"seccompProfile\" field instead"));
        }
    }
    warnings
}

fn node_labels(spec: &PodSpec, path: &Path, warnings: &mut Vec<String>) {
    for key in spec.node_selector.iter().flatten().map(|(key, _)| key) {
        if let Some((_, why)) = OLD_NODE_LABELS.iter().find(|(old, _)| old == key) {
            warnings.push(format!("{}: {why}", path.child("nodeSelector").key(key)));
        }
    }
    for (index, constraint) in rules::slice(&spec.topology_spread_constraints).iter().enumerate() {
        if let Some((key, why)) = OLD_NODE_LABELS.iter().find(|(old, _)| *old == constraint.topology_key) {
            let at = path.child("topologySpreadConstraints").index(index).child("topologyKey");
            warnings.push(format!("{at}: {key} is {why}"));
        }
    }
}

/// A null selector selects nothing, where nearly everybody expects everything.
fn null_selectors(spec: &PodSpec, path: &Path, warnings: &mut Vec<String>) {
    const WHY: &str = "a null labelSelector results in matching no pod";
    for (index, constraint) in rules::slice(&spec.topology_spread_constraints).iter().enumerate() {
        if constraint.label_selector.is_none() {
            let at = path.child("topologySpreadConstraints").index(index);
            warnings.push(format!("{}: {WHY}", at.child("labelSelector")));
        }
    }
    let Some(affinity) = &spec.affinity else { return };
    let near = affinity.pod_affinity.as_ref().map(|a| {
        let preferred = &a.preferred_during_scheduling_ignored_during_execution;
        ("podAffinity", &a.required_during_scheduling_ignored_during_execution, preferred)
    });
    let far = affinity.pod_anti_affinity.as_ref().map(|a| {
        let preferred = &a.preferred_during_scheduling_ignored_during_execution;
        ("podAntiAffinity", &a.required_during_scheduling_ignored_during_execution, preferred)
    });
    for (field, required, preferred) in [near, far].into_iter().flatten() {
        let path = path.children(&["affinity", field]);
        for (index, term) in rules::slice(required).iter().enumerate() {
            if term.label_selector.is_none() {
                let at = path.child("requiredDuringSchedulingIgnoredDuringExecution").index(index);
                warnings.push(format!("{}: {WHY}", at.child("labelSelector")));
            }
        }
        for (index, term) in rules::slice(preferred).iter().enumerate() {
            if term.pod_affinity_term.label_selector.is_none() {
                let at = path.child("preferredDuringSchedulingIgnoredDuringExecution").index(index);
                warnings.push(format!("{}: {WHY}", at.children(&["podAffinityTerm", "labelSelector"])));
            }
        }
    }
}

fn volume(volume: &Volume, path: &Path, warnings: &mut Vec<String>) {
    let old = [
        (
            volume.photon_persistent_disk.is_some(),
            "photonPersistentDisk",
            "deprecated in v1.11, non-functional in v1.16+",
        ),
        (volume.git_repo.is_some(), "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
        (volume.scale_io.is_some(), "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        (volume.flocker.is_some(), "flocker", "deprecated in v1.22, non-functional in v1.25+"),
        (volume.storageos.is_some(), "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
        (volume.quobyte.is_some(), "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
        (volume.glusterfs.is_some(), "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        (volume.cephfs.is_some(), "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        (volume.rbd.is_some(), "rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ];
    for (is_set, field, why) in old {
        if is_set {
            warnings.push(format!("{}: {why}", path.child(field)));
        }
    }
    let sizes = [
        (volume.empty_dir.as_ref().and_then(|source| source.size_limit.as_ref()), "emptyDir.sizeLimit"),
        (
            volume
                .ephemeral
                .as_ref()
                .and_then(|source| source.volume_claim_template.as_ref())
                .and_then(|template| template.spec.resources.as_ref()?.requests.as_ref()?.get("storage")),
            "ephemeral.volumeClaimTemplate.spec.resources.requests[storage]",
        ),
    ];
    for (size, field) in sizes {
        if let Some(size) = size.filter(|size| is_fractional(&size.0)) {
            warnings.push(format!("{path}.{field}: {}", fractional(&size.0)));
        }
    }
}

fn is_fractional(quantity: &str) -> bool {
    quantity.parse::<Quantity>().is_ok_and(|quantity| !quantity.is_integer())
}

fn fractional(quantity: &str) -> String {
    format!("fractional byte value {} is invalid, must be an integer", quote(quantity))
}

fn pull_secrets(spec: &PodSpec, path: &Path, warnings: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for (index, secret) in rules::slice(&spec.image_pull_secrets).iter().enumerate() {
        let at = path.index(index).child("name");
        if secret.name.is_empty() {
            warnings.push(format!("{at}: invalid empty name {}", quote(&secret.name)));
        } else if !seen.insert(secret.name.as_str()) {
            warnings.push(format!("{at}: duplicate name {}", quote(&secret.name)));
        }
    }
}

fn container(ctr: &Container, path: &Path, warnings: &mut Vec<String>) {
    let resources = ctr.resources.clone().unwrap_or_default();
    for (amounts, field) in [(&resources.limits, "limits"), (&resources.requests, "requests")] {
        for name in ["memory", "ephemeral-storage"] {
            let quantity = amounts.as_ref().and_then(|amounts| amounts.get(name));
            if let Some(quantity) = quantity.filter(|quantity| is_fractional(&quantity.0)) {
                let at = path.children(&["resources", field]).key(name);
                warnings.push(format!("{at}: {}", fractional(&quantity.0)));
            }
        }
    }
    hidden_variables(ctr, &path.child("env"), warnings);
    for (index, port) in rules::slice(&ctr.ports).iter().enumerate() {
        let host_ip = rules::text(&port.host_ip);
        if !host_ip.is_empty() && port.host_port.unwrap_or_default() == 0 {
            warnings.push(format!(
                "{}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{host_ip}}}",
                path.child("ports").index(index),
                rules::text(&port.name),
                port.container_port,
                rules::text(&port.protocol),
            ));
        }
    }
}

fn hidden_variables(ctr: &Container, path: &Path, warnings: &mut Vec<String>) {
    let mut values: HashMap<&str, &str> = HashMap::new();
    for (index, variable) in rules::slice(&ctr.env).iter().enumerate() {
        let value = rules::text(&variable.value);
        if let Some(before) = values.insert(&variable.name, value) {
            // A value that extends the one before is a common way to build paths.
            if !value.contains(&format!("$({})", variable.name)) || value == before {
                let at = path.index(index);
                warnings.push(format!("{at}: hides previous definition of {}", quote(&variable.name)));
            }
        }
    }
}
