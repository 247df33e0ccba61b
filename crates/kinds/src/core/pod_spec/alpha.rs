//! Fields behind feature gates that are off: upstream forgets them on the way in, and so do we.

use api::core::v1::{EphemeralContainer, KeyToPath, PodSpec, Probe, Volume, VolumeMount};

pub(crate) fn drop_fields(spec: &mut PodSpec) {
    for volume in spec.volumes.iter_mut().flatten() {
        self::volume(volume);
    }
    for ctr in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        ctr.volume_mounts.iter_mut().flatten().for_each(mount);
        [&mut ctr.liveness_probe, &mut ctr.readiness_probe, &mut ctr.startup_probe]
            .into_iter()
            .flatten()
            .for_each(probe);
        let hooks = ctr.lifecycle.iter_mut().flat_map(|l| [&mut l.post_start, &mut l.pre_stop]).flatten();
        hooks.flat_map(|hook| &mut hook.http_get).for_each(|action| action.protocol = None);
    }
    let mounts = |ctr: &mut EphemeralContainer| ctr.volume_mounts.iter_mut().flatten().for_each(mount);
    spec.ephemeral_containers.iter_mut().flatten().for_each(mounts);
}

/// `HTTPProbeProtocol`, and the connection mode of gRPC probes.
fn probe(probe: &mut Probe) {
    if let Some(action) = &mut probe.http_get {
        action.protocol = None;
    }
    if let Some(action) = &mut probe.grpc {
        action.mode = None;
    }
}

/// `VolumeBindMountOptions`.
fn mount(mount: &mut VolumeMount) {
    mount.bind_mount_options = None;
}

/// `EmptyDirVolumeMode` and `AtomicWriteVolumeUserFields`.
fn volume(volume: &mut Volume) {
    if let Some(source) = &mut volume.empty_dir {
        source.mode = None;
    }
    if let Some(source) = &mut volume.secret {
        source.default_user = None;
        files(&mut source.items);
    }
    if let Some(source) = &mut volume.config_map {
        source.default_user = None;
        files(&mut source.items);
    }
    if let Some(source) = &mut volume.downward_api {
        source.default_user = None;
        source.items.iter_mut().flatten().for_each(|file| file.user = None);
    }
    let Some(source) = &mut volume.projected else { return };
    source.default_user = None;
    for projection in source.sources.iter_mut().flatten() {
        if let Some(source) = &mut projection.secret {
            files(&mut source.items);
        }
        if let Some(source) = &mut projection.config_map {
            files(&mut source.items);
        }
        if let Some(source) = &mut projection.downward_api {
            source.items.iter_mut().flatten().for_each(|file| file.user = None);
        }
        if let Some(source) = &mut projection.service_account_token {
            source.user = None;
        }
        if let Some(source) = &mut projection.cluster_trust_bundle {
            source.user = None;
        }
        if let Some(source) = &mut projection.pod_certificate {
            source.user = None;
        }
    }
}

fn files(items: &mut Option<Vec<KeyToPath>>) {
    items.iter_mut().flatten().for_each(|item| item.user = None);
}
