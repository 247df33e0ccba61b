//! Limits the kernel is seen to hold, and limits that are refused.

use cri::{RuntimeService as _, v1};
use futures::{FutureExt as _, future::LocalBoxFuture};

use crate::node::{
    Node, container_config, create, eventually, exec, hierarchy, is_v2, output, run_sandbox, sandbox_config, start,
};

fn limited(name: &str, script: &str, resources: v1::LinuxContainerResources) -> v1::ContainerConfig {
    let mut config = container_config(name, script);
    config.linux.as_mut().unwrap().resources = Some(resources);
    config
}

pub(crate) fn processors_and_processes_are_limited(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let of = sandbox_config("one", &node.folder.path().join("logs"));
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let quota = v1::LinuxContainerResources { cpu_quota: 5_000, cpu_period: 100_000, ..Default::default() };
        let busy = create(&runtime, &sandbox, limited("busy", "while :; do :; done", quota.clone()), &of).await;
        start(&runtime, &busy).await;
        let stat = hierarchy("cpu").join(node.config().cgroup_root.strip_prefix("/").unwrap());
        let stat = stat.join("kubepods/pod-one").join(&busy).join("cpu.stat");
        let read = |key: &str| -> u64 {
            let text = std::fs::read_to_string(&stat).unwrap();
            let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok());
            value.unwrap_or_else(|| panic!("no {key} in {text}"))
        };
        eventually("the kernel throttles the container", async || read("nr_throttled") >= 3).await;
        assert!(read("nr_throttled") <= read("nr_periods"));
        let fork = |max: &str| v1::LinuxContainerResources {
            unified: [("pids.max".to_owned(), max.to_owned())].into(),
            ..Default::default()
        };
        let pids_max = format!("cat {}", hierarchy("pids").join("pids.max").display());
        let few = create(&runtime, &sandbox, limited("few", "sleep 1000", fork("5")), &of).await;
        start(&runtime, &few).await;
        assert_eq!(output(&runtime, &few, &pids_max).await, "5");
        let many = "for n in 1 2 3 4 5 6; do sleep 100 & done; wait";
        let refused = exec(&runtime, &few, many).await;
        assert!(String::from_utf8_lossy(&refused.stderr).contains("can't fork"), "{refused:?}");
        let request = v1::UpdateContainerResourcesRequest {
            container_id: few.clone(),
            linux: Some(fork("50")),
            ..Default::default()
        };
        runtime.update_container_resources(request).await.unwrap();
        assert_eq!(output(&runtime, &few, &pids_max).await, "50");
    }
    .boxed_local()
}

pub(crate) fn limits_that_cannot_be_held_are_refused(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let of = sandbox_config("one", &node.folder.path().join("logs"));
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let unified = |key: &str| v1::LinuxContainerResources {
            unified: [(key.to_owned(), "1".to_owned())].into(),
            ..Default::default()
        };
        let pages = |limit| v1::LinuxContainerResources {
            hugepage_limits: vec![v1::HugepageLimit { page_size: "2MB".into(), limit }],
            ..Default::default()
        };
        let create_with = async |resources| {
            let request = v1::CreateContainerRequest {
                pod_sandbox_id: sandbox.clone(),
                config: Some(limited("main", "sleep 1000", resources)),
                sandbox_config: Some(of.clone()),
            };
            runtime.create_container(request).await
        };
        let error = create_with(unified("cgroup.procs")).await.unwrap_err();
        assert!(error.message().starts_with("unified: \"cgroup.procs\" is not"), "{error}");
        if is_v2() {
            return;
        }
        let error = create_with(unified("memory.high")).await.unwrap_err();
        assert!(error.message().contains("unified: \"memory.high\" cannot be set"), "{error}");
        let mounted = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        if !mounted.lines().any(|line| line.contains(" - cgroup ") && line.contains("hugetlb")) {
            let error = create_with(pages(1 << 21)).await.unwrap_err();
            assert!(error.message().starts_with("hugepage_limits: pages of 2MB"), "{error}");
        }
        let id = create_with(pages(0)).await.unwrap().container_id;
        start(&runtime, &id).await;
        let request = v1::UpdateContainerResourcesRequest {
            container_id: id,
            linux: Some(unified("memory.high")),
            ..Default::default()
        };
        assert!(runtime.update_container_resources(request).await.is_err());
    }
    .boxed_local()
}
