//! Mounts that appear later, on either side, and mounts that are read-only all the way down.

use std::path::Path;

use cri::{RuntimeService as _, v1};
use futures::{FutureExt as _, future::LocalBoxFuture};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::node::{Node, container_config, create, eventually, exec, output, run_sandbox, sandbox_config, start};

fn with_mount(name: &str, mount: v1::Mount) -> v1::ContainerConfig {
    let mut config = container_config(name, "sleep 1000");
    config.mounts = vec![v1::Mount { container_path: "/mnt".into(), ..mount }];
    config
}

fn tmpfs(on: &Path) {
    std::fs::create_dir_all(on).unwrap();
    mount(Some("t"), on, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
}

/// A folder that is a mount of its own and passes mounts on.
fn shared(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    mount(Some(folder), folder, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    mount(None::<&str>, folder, None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
}

pub(crate) fn mounts_propagate_as_asked(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let of = sandbox_config("one", &node.folder.path().join("logs"));
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let volume = node.folder.path().join("volume");
        shared(&volume);
        let of_volume = |propagation: v1::MountPropagation| v1::Mount {
            host_path: volume.display().to_string(),
            propagation: propagation as i32,
            ..Default::default()
        };
        let private = with_mount("private", of_volume(v1::MountPropagation::PropagationPrivate));
        let receiving = with_mount("receiving", of_volume(v1::MountPropagation::PropagationHostToContainer));
        let mut sending = with_mount("sending", of_volume(v1::MountPropagation::PropagationBidirectional));
        sending.linux.as_mut().unwrap().security_context.as_mut().unwrap().privileged = true;
        let mut ids = Vec::new();
        for config in [private, receiving, sending] {
            let id = create(&runtime, &sandbox, config, &of).await;
            start(&runtime, &id).await;
            ids.push(id);
        }
        tmpfs(&volume.join("later"));
        std::fs::write(volume.join("later/file"), "x").unwrap();
        assert_ne!(exec(&runtime, &ids[0], "cat /mnt/later/file").await.exit_code, 0, "private");
        assert_eq!(output(&runtime, &ids[1], "cat /mnt/later/file").await, "x");
        assert_eq!(output(&runtime, &ids[2], "cat /mnt/later/file").await, "x");
        output(&runtime, &ids[2], "mkdir /mnt/inner && mount -t tmpfs t /mnt/inner && touch /mnt/inner/y").await;
        assert!(volume.join("inner/y").exists(), "the host sees what the container mounted");
        assert_eq!(output(&runtime, &ids[1], "ls /mnt/inner").await, "y");
        assert_eq!(output(&runtime, &ids[0], "ls /mnt/inner").await, "");
        for id in ids {
            runtime.remove_container(v1::RemoveContainerRequest { container_id: id }).await.unwrap();
        }
        eventually("the volume can be unmounted", async || {
            let all = [volume.join("inner"), volume.join("later"), volume.clone()];
            all.iter().for_each(|on| umount2(on.as_path(), MntFlags::MNT_DETACH).unwrap_or_default());
            !volume.join("inner/y").exists()
        })
        .await;
        let plain = node.folder.path().join("plain");
        std::fs::create_dir(&plain).unwrap();
        for (propagation, wanted) in [
            (v1::MountPropagation::PropagationHostToContainer, "not a shared or slave mount"),
            (v1::MountPropagation::PropagationBidirectional, "not a shared mount"),
        ] {
            let host_path = plain.display().to_string();
            let config =
                with_mount("x", v1::Mount { host_path, propagation: propagation as i32, ..Default::default() });
            let request = v1::CreateContainerRequest {
                pod_sandbox_id: sandbox.clone(),
                config: Some(config),
                sandbox_config: Some(of.clone()),
            };
            let error = runtime.create_container(request).await.unwrap_err();
            assert!(error.message().contains(wanted), "{error}");
        }
    }
    .boxed_local()
}

pub(crate) fn read_only_may_go_all_the_way_down(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let of = sandbox_config("one", &node.folder.path().join("logs"));
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let volume = node.folder.path().join("volume");
        tmpfs(&volume.join("below"));
        let host_path = volume.display().to_string();
        let plain = v1::Mount { host_path, readonly: true, ..Default::default() };
        let deep = v1::Mount { recursive_read_only: true, ..plain.clone() };
        for (name, mount, below) in [("plain", plain.clone(), 0), ("deep", deep.clone(), 1)] {
            let id = create(&runtime, &sandbox, with_mount(name, mount), &of).await;
            start(&runtime, &id).await;
            assert_eq!(exec(&runtime, &id, "touch /mnt/x").await.exit_code, 1, "{name}");
            assert_eq!(exec(&runtime, &id, "touch /mnt/below/x").await.exit_code, below, "{name}");
        }
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox,
            config: Some(with_mount("odd", v1::Mount { readonly: false, ..deep })),
            sandbox_config: Some(of),
        };
        let error = runtime.create_container(request).await.unwrap_err();
        assert_eq!(error.message(), "mount \"/mnt\" is recursive_read_only and not readonly");
        umount2(volume.join("below").as_path(), MntFlags::MNT_DETACH).unwrap();
    }
    .boxed_local()
}
