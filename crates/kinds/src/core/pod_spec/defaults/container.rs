//! Defaults of containers: images, ports, environment, probes.

use api::core::v1::{
    Container, ContainerPort, EnvVar, EphemeralContainer, HTTPGetAction, Lifecycle, Probe, ResourceFieldSelector,
};

use super::{set_number, set_text};
use crate::quantities;

const MESSAGE_PATH: &str = "/dev/termination-log";

/// Containers and ephemeral containers have the same fields and no type in common.
macro_rules! defaults {
    ($container:expr) => {{
        let container = $container;
        if container.image_pull_policy.as_deref().unwrap_or_default().is_empty() {
            let policy = image_pull_policy(container.image.as_deref().unwrap_or_default());
            container.image_pull_policy = Some(policy.to_owned());
        }
        set_text(&mut container.termination_message_path, MESSAGE_PATH);
        set_text(&mut container.termination_message_policy, "File");
        quantities::canonicalize_requirements(container.resources.get_or_insert_default());
        container.ports.iter_mut().flatten().for_each(port);
        container.env.iter_mut().flatten().for_each(env);
        for probe in [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe] {
            probe.iter_mut().for_each(probe_defaults);
        }
        container.lifecycle.iter_mut().for_each(lifecycle);
        for flag in [&mut container.stdin, &mut container.stdin_once, &mut container.tty] {
            *flag = flag.filter(|set| *set);
        }
        for mount in container.volume_mounts.iter_mut().flatten() {
            mount.read_only = mount.read_only.filter(|set| *set);
        }
    }};
}

pub(super) fn container(container: &mut Container) {
    defaults!(container);
}

pub(super) fn ephemeral_container(container: &mut EphemeralContainer) {
    defaults!(container);
}

/// An image that may change behind its name, having the tag `latest` or none, is pulled every time.
pub(super) fn image_pull_policy(image: &str) -> &'static str {
    if tag(image) == Some("latest") { "Always" } else { "IfNotPresent" }
}

/// The tag of a reference, `latest` where it has neither tag nor digest. Nothing for what is no reference.
fn tag(image: &str) -> Option<&str> {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let last_segment = name.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match name[last_segment..].find(':') {
        Some(at) => (&name[..last_segment + at], Some(&name[last_segment + at + 1..])),
        None => (name, None),
    };
    let is_tag = |tag: &str| {
        tag.len() <= 128
            && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    if !is_image_name(name) || tag.is_some_and(|tag| !is_tag(tag)) {
        return None;
    }
    match (tag, digest) {
        (None, None) => Some("latest"),
        (tag, _) => tag,
    }
}

/// Lower case path segments, after an optional host that may have capitals and a port.
fn is_image_name(name: &str) -> bool {
    let mut segments: Vec<&str> = name.split('/').collect();
    let is_host = |s: &str| s.contains(['.', ':']) || s == "localhost" || s.bytes().any(|b| b.is_ascii_uppercase());
    if segments.len() > 1 && is_host(segments[0]) {
        let host = segments.remove(0);
        if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b)) {
            return false;
        }
    }
    segments.iter().all(|segment| {
        let bytes = segment.as_bytes();
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(b))
    })
}

fn port(port: &mut ContainerPort) {
    set_text(&mut port.protocol, "TCP");
    port.host_port = port.host_port.filter(|port| *port != 0);
}

fn env(variable: &mut EnvVar) {
    let Some(source) = &mut variable.value_from else { return };
    if let Some(field) = &mut source.field_ref {
        set_text(&mut field.api_version, "v1");
    }
    if let Some(file) = &mut source.file_key_ref {
        file.optional.get_or_insert(false);
    }
    source.resource_field_ref.iter_mut().for_each(divisor);
}

/// A divisor always shows; 0 stands for 1.
pub(super) fn divisor(field: &mut ResourceFieldSelector) {
    let divisor = field.divisor.get_or_insert_with(|| api::Quantity("0".to_owned()));
    quantities::canonicalize_one(divisor);
}

fn probe_defaults(probe: &mut Probe) {
    set_number(&mut probe.timeout_seconds, 1);
    set_number(&mut probe.period_seconds, 10);
    set_number(&mut probe.success_threshold, 1);
    set_number(&mut probe.failure_threshold, 3);
    probe.initial_delay_seconds = probe.initial_delay_seconds.filter(|seconds| *seconds != 0);
    probe.http_get.iter_mut().for_each(http_get);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn lifecycle(lifecycle: &mut Lifecycle) {
    for handler in [&mut lifecycle.post_start, &mut lifecycle.pre_stop] {
        handler.iter_mut().filter_map(|handler| handler.http_get.as_mut()).for_each(http_get);
    }
}

fn http_get(action: &mut HTTPGetAction) {
    set_text(&mut action.path, "/");
    set_text(&mut action.scheme, "HTTP");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_moving_images_are_always_pulled() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1", "IfNotPresent"),
            ("host:5000/nginx", "Always"),
            ("host:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:aa", "IfNotPresent"),
            ("nginx:latest@sha256:aa", "Always"),
            ("Nginx", "IfNotPresent"),
            ("", "IfNotPresent"),
        ] {
            assert_eq!(image_pull_policy(image), policy, "{image}");
        }
    }
}
