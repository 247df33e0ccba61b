//! The scenarios, one function each, in one table.

use cri::{RuntimeService as _, v1};
use futures::{FutureExt as _, StreamExt as _, future::LocalBoxFuture};

use crate::node::{
    Node, Scenario, container_config, create, eventually, exec, exited, is_v2, log_lines, output, run_sandbox,
    sandbox_config, start, status,
};
use crate::{
    limits::{limits_that_cannot_be_held_are_refused, processors_and_processes_are_limited},
    mounts::{mounts_propagate_as_asked, read_only_may_go_all_the_way_down},
    stream::sessions_and_terminals,
    system_calls::{
        a_profile_of_the_node_denies_and_allows, broken_profiles_are_told, the_default_profile_confines_all_processes,
    },
};

macro_rules! table {
    ($($name:ident),* $(,)?) => { vec![$((stringify!($name), $name as Scenario)),*] };
}

pub(crate) fn all() -> Vec<(&'static str, Scenario)> {
    table![
        a_pod_lives_and_dies,
        a_restarted_daemon_finds_everything,
        after_a_reboot_all_is_exited_and_can_go,
        limits_hold_and_memory_kills_are_told,
        commands_end_in_time_or_are_killed,
        logs_rotate,
        security_settings_hold,
        pods_talk_and_host_ports_lead_to_them,
        shared_and_host_namespaces,
        failures_are_told_and_leave_nothing,
        sessions_and_terminals,
        the_default_profile_confines_all_processes,
        a_profile_of_the_node_denies_and_allows,
        broken_profiles_are_told,
        processors_and_processes_are_limited,
        limits_that_cannot_be_held_are_refused,
        mounts_propagate_as_asked,
        read_only_may_go_all_the_way_down,
    ]
}

fn a_pod_lives_and_dies(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let runtime = node.runtime().await;
        let mut events = runtime.get_container_events(v1::GetEventsRequest {}).await.unwrap();
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let sandbox = run_sandbox(&runtime, &of).await;
        let id = create(&runtime, &sandbox, container_config("main", "echo out; echo err >&2; sleep 0.2; exit 7"), &of)
            .await;
        assert_eq!(status(&runtime, &id).await.state, v1::ContainerState::ContainerCreated as i32);
        start(&runtime, &id).await;
        let ended = exited(&runtime, &id).await;
        assert_eq!((ended.exit_code, ended.reason.as_str()), (7, "Error"), "{}", ended.message);
        let mut lines = log_lines(&logs, "main");
        lines.sort();
        assert_eq!(lines, ["stderr F err", "stdout F out"]);
        let long = create(
            &runtime,
            &sandbox,
            container_config("long", "trap 'exit 0' TERM; echo set; while :; do sleep 0.05; done"),
            &of,
        )
        .await;
        start(&runtime, &long).await;
        eventually("the trap is set", async || !log_lines(&logs, "long").is_empty()).await;
        assert_eq!(output(&runtime, &long, "hostname").await, "one");
        eventually("the shim is small", async || private_kib(shim_pid(node, &sandbox)) <= SHIM_KIB).await;
        assert_eq!(output(&runtime, &long, "cat /etc/resolv.conf").await, "nameserver 10.96.0.10");
        assert_eq!(exec(&runtime, &long, "exit 3").await.exit_code, 3);
        let stop = v1::StopContainerRequest { container_id: long.clone(), timeout: 60 };
        runtime.stop_container(stop).await.unwrap();
        assert_eq!(exited(&runtime, &long).await.exit_code, 0);
        let request = v1::StopPodSandboxRequest { pod_sandbox_id: sandbox.clone() };
        runtime.stop_pod_sandbox(request.clone()).await.unwrap();
        runtime.stop_pod_sandbox(request).await.unwrap();
        let request = v1::RemovePodSandboxRequest { pod_sandbox_id: sandbox.clone() };
        runtime.remove_pod_sandbox(request.clone()).await.unwrap();
        runtime.remove_pod_sandbox(request).await.unwrap();
        assert!(runtime.list_containers(v1::ListContainersRequest::default()).await.unwrap().containers.is_empty());
        let mut kinds = Vec::new();
        while let Some(event) = events.next().now_or_never().flatten() {
            let event = event.unwrap();
            if event.container_id == long {
                kinds.push(event.container_event_type);
            }
        }
        assert_eq!(kinds, [0, 1, 2, 3], "created, started, stopped, deleted");
        eventually("nothing is left of the pod", async || runtime.images().list().unwrap().len() == 1).await;
    }
    .boxed_local()
}

fn a_restarted_daemon_finds_everything(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let script = "echo started; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo going; exit 5";
        let main = create(&runtime, &sandbox, container_config("main", script), &of).await;
        let fast = create(&runtime, &sandbox, container_config("fast", "sleep 0.3; exit 9"), &of).await;
        start(&runtime, &main).await;
        start(&runtime, &fast).await;
        let before = status(&runtime, &main).await;
        drop(runtime);
        // It ends while no daemon runs.
        let record = node.config().root.join("containers").join(&fast).join("status.json");
        eventually("the shim writes the end down", async || {
            std::fs::read_to_string(&record).is_ok_and(|text| !text.contains("\"finished_at\":0"))
        })
        .await;
        let runtime = node.next_runtime().await;
        let after = status(&runtime, &main).await;
        assert_eq!((after.state, after.started_at), (before.state, before.started_at), "it was not restarted");
        assert_eq!(status(&runtime, &fast).await.exit_code, 9);
        let request = v1::PodSandboxStatusRequest { pod_sandbox_id: sandbox.clone(), verbose: false };
        let found = runtime.pod_sandbox_status(request).await.unwrap().status.unwrap();
        assert_eq!(found.state, v1::PodSandboxState::SandboxReady as i32);
        assert!(found.network.unwrap().ip.starts_with("10.77.0."));
        output(&runtime, &main, "touch /tmp/go").await;
        assert_eq!(exited(&runtime, &main).await.exit_code, 5);
        assert_eq!(log_lines(&logs, "main"), ["stdout F started", "stdout F going"]);
    }
    .boxed_local()
}

fn after_a_reboot_all_is_exited_and_can_go(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let main = create(&runtime, &sandbox, container_config("main", "sleep 1000"), &of).await;
        start(&runtime, &main).await;
        let pid = shim_pid(node, &sandbox);
        let children = format!("/proc/{pid}/task/{pid}/children");
        let mut child = 0;
        // What helped to start the container may not have gone yet.
        eventually("the shim has one child", async || {
            let one = std::fs::read_to_string(&children).unwrap().trim().parse::<i32>();
            one.map(|pid| child = pid).is_ok()
        })
        .await;
        drop(runtime);
        for pid in [pid, child] {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        eventually("the shim is gone", async || !std::path::Path::new(&format!("/proc/{child}")).exists()).await;
        let runtime = node.next_runtime().await;
        let found = status(&runtime, &main).await;
        assert_eq!(found.state, v1::ContainerState::ContainerExited as i32);
        assert_eq!((found.exit_code, found.reason.as_str()), (255, "Unknown"));
        let list = runtime.list_pod_sandbox(v1::ListPodSandboxRequest::default()).await.unwrap().items;
        assert_eq!(list[0].state, v1::PodSandboxState::SandboxNotready as i32);
        let again = run_sandbox(&runtime, &sandbox_config("two", &logs)).await;
        assert_ne!(again, sandbox);
        runtime.remove_pod_sandbox(v1::RemovePodSandboxRequest { pod_sandbox_id: sandbox }).await.unwrap();
        assert_eq!(runtime.list_pod_sandbox(v1::ListPodSandboxRequest::default()).await.unwrap().items.len(), 1);
    }
    .boxed_local()
}

/// What a shim may take for itself alone. What it shares with its zygote and other shims depends on the build.
const SHIM_KIB: u64 = 1024;

fn private_kib(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    private.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum()
}

/// The one process in the pod's own cgroup.
fn shim_pid(node: &Node, sandbox: &str) -> i32 {
    let group = node.config().cgroup_root.join("kubepods/pod-one").join(sandbox);
    let path = crate::node::hierarchy("memory").join(group.strip_prefix("/").unwrap()).join("cgroup.procs");
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

fn limits_hold_and_memory_kills_are_told(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let mut config =
            container_config("hungry", "x=$(head -c 60000000 /dev/zero | tr '\\0' x); echo $x | tail -c 1");
        config.linux.as_mut().unwrap().resources =
            Some(v1::LinuxContainerResources { memory_limit_in_bytes: 24 << 20, ..Default::default() });
        let hungry = create(&runtime, &sandbox, config, &of).await;
        start(&runtime, &hungry).await;
        let ended = exited(&runtime, &hungry).await;
        assert_eq!(ended.reason, "OOMKilled", "exit {}: {:?}", ended.exit_code, log_lines(&logs, "hungry"));
        let mut config = container_config("calm", "sleep 1000");
        config.linux.as_mut().unwrap().resources = Some(v1::LinuxContainerResources {
            memory_limit_in_bytes: 64 << 20,
            cpu_shares: 512,
            cpu_quota: 20_000,
            cpu_period: 100_000,
            ..Default::default()
        });
        let calm = create(&runtime, &sandbox, config, &of).await;
        start(&runtime, &calm).await;
        let read = async |controller: &str, v1: &str, v2: &str| {
            let file = crate::node::hierarchy(controller).join(if is_v2() { v2 } else { v1 });
            output(&runtime, &calm, &format!("cat {}", file.display())).await
        };
        let memory = async || read("memory", "memory.limit_in_bytes", "memory.max").await;
        let shares = async || read("cpu", "cpu.shares", "cpu.weight").await;
        assert_eq!(memory().await, (64 << 20).to_string());
        assert_eq!(shares().await, if is_v2() { "59" } else { "512" });
        assert_eq!(read("cpu", "cpu.cfs_quota_us", "cpu.max").await, if is_v2() { "20000 100000" } else { "20000" });
        for limit in [32i64 << 20, 128 << 20] {
            let linux =
                v1::LinuxContainerResources { memory_limit_in_bytes: limit, cpu_shares: 100, ..Default::default() };
            let request = v1::UpdateContainerResourcesRequest {
                container_id: calm.clone(),
                linux: Some(linux),
                ..Default::default()
            };
            runtime.update_container_resources(request).await.unwrap();
            assert_eq!(memory().await, limit.to_string());
            assert_eq!(shares().await, if is_v2() { "17" } else { "100" });
        }
        let stats =
            runtime.container_stats(v1::ContainerStatsRequest { container_id: calm }).await.unwrap().stats.unwrap();
        assert!(stats.memory.unwrap().working_set_bytes.unwrap().value > 0);
        assert!(stats.cpu.unwrap().usage_core_nano_seconds.unwrap().value > 0);
        let request = v1::PodSandboxStatsRequest { pod_sandbox_id: sandbox };
        let linux = runtime.pod_sandbox_stats(request).await.unwrap().stats.unwrap().linux.unwrap();
        assert_eq!(linux.containers.len(), 1);
        assert_eq!(linux.network.unwrap().default_interface.unwrap().name, "eth0");
    }
    .boxed_local()
}

fn commands_end_in_time_or_are_killed(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let main = create(&runtime, &sandbox, container_config("main", "sleep 1000"), &of).await;
        start(&runtime, &main).await;
        let slow =
            v1::ExecSyncRequest { container_id: main.clone(), cmd: vec!["sleep".into(), "777".into()], timeout: 1 };
        let error = cri::RuntimeService::exec_sync(&runtime, slow).await.unwrap_err();
        assert!(matches!(error, cri::CriError::DeadlineExceeded { .. }), "{error}");
        eventually("the slow command is gone", async || !output(&runtime, &main, "ps").await.contains("sleep 777"))
            .await;
        let big = exec(&runtime, &main, "head -c 3000000 /dev/zero; echo oops >&2; exit 4").await;
        assert_eq!((big.stdout.len(), big.stderr.as_slice(), big.exit_code), (3_000_000, &b"oops\n"[..], 4));
        let background = exec(&runtime, &main, "sleep 60 & echo done").await;
        assert_eq!(background.stdout, b"done\n");
        let many = futures::future::join_all((0..8).map(|n| {
            let (runtime, main) = (runtime.clone(), main.clone());
            async move { exec(&runtime, &main, &format!("echo {n}; exit {n}")).await.exit_code }
        }));
        assert_eq!(many.await, (0..8).collect::<Vec<_>>());
        let missing = v1::ExecSyncRequest { container_id: main, cmd: vec!["no-such".into()], timeout: 5 };
        assert!(cri::RuntimeService::exec_sync(&runtime, missing).await.is_err());
    }
    .boxed_local()
}

fn logs_rotate(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let script = "echo first; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo second; sleep 1000";
        let main = create(&runtime, &sandbox, container_config("main", script), &of).await;
        start(&runtime, &main).await;
        eventually("the first line is written", async || log_lines(&logs, "main").len() == 1).await;
        std::fs::rename(logs.join("main.log"), logs.join("old.log")).unwrap();
        runtime.reopen_container_log(v1::ReopenContainerLogRequest { container_id: main.clone() }).await.unwrap();
        output(&runtime, &main, "touch /tmp/go").await;
        eventually("the second line is in the new file", async || log_lines(&logs, "main") == ["stdout F second"])
            .await;
        assert_eq!(log_lines(&logs, "old"), ["stdout F first"]);
    }
    .boxed_local()
}

fn security_settings_hold(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let runtime = node.runtime().await;
        let sandbox = run_sandbox(&runtime, &of).await;
        let mut config = container_config("web", "sleep 1000");
        let security = config.linux.as_mut().unwrap().security_context.as_mut().unwrap();
        security.run_as_username = "web".into();
        security.supplemental_groups = vec![77];
        security.readonly_rootfs = true;
        security.no_new_privs = true;
        security.masked_paths = vec!["/proc/meminfo".into()];
        security.capabilities = Some(v1::Capability { drop_capabilities: vec!["ALL".into()], ..Default::default() });
        config.working_dir = "/data".into();
        config.envs = vec![v1::KeyValue { key: "GIVEN".into(), value: "a b".into() }];
        let volume = node.folder.path().join("volume");
        std::fs::create_dir(&volume).unwrap();
        std::fs::write(volume.join("file"), "content").unwrap();
        config.mounts = vec![v1::Mount {
            container_path: "/mnt/deep/volume".into(),
            host_path: volume.display().to_string(),
            readonly: true,
            ..Default::default()
        }];
        let web = create(&runtime, &sandbox, config, &of).await;
        start(&runtime, &web).await;
        let ids = output(&runtime, &web, "id -u; id -g; id -G").await;
        assert_eq!(ids.lines().collect::<Vec<_>>(), ["33", "34", "34 50 77"]);
        let facts =
            output(&runtime, &web, "grep -E 'NoNewPrivs|Seccomp:|CapEff|CapBnd' /proc/self/status | tr -d '\\t'").await;
        let zero = "0000000000000000";
        assert_eq!(
            facts.lines().collect::<Vec<_>>(),
            [&format!("CapEff:{zero}"), &format!("CapBnd:{zero}"), "NoNewPrivs:1", "Seccomp:2"]
        );
        assert_ne!(exec(&runtime, &web, "touch /data/x").await.exit_code, 0, "the root is read-only");
        assert_ne!(exec(&runtime, &web, "touch /mnt/deep/volume/x").await.exit_code, 0, "the mount is read-only");
        assert_eq!(output(&runtime, &web, "cat /mnt/deep/volume/file; cat /proc/meminfo").await, "content");
        assert_eq!(output(&runtime, &web, "echo $GIVEN/$FROM_IMAGE/$HOME; pwd").await, "a b/yes//data\n/data");
        let root = create(&runtime, &sandbox, container_config("root", "sleep 1000"), &of).await;
        start(&runtime, &root).await;
        assert_ne!(exec(&runtime, &root, "unshare -m true").await.exit_code, 0, "seccomp and capabilities refuse it");
        assert_ne!(exec(&runtime, &root, "mount -t tmpfs t /tmp").await.exit_code, 0);
        assert_eq!(output(&runtime, &root, "touch /data/x && ls /data").await, "x");
        // Without a rule it would be "No such device or address", or the device.
        let disk = exec(&runtime, &root, "mknod /tmp/disk b 254 200 && head -c 1 /tmp/disk").await;
        assert!(String::from_utf8_lossy(&disk.stderr).contains("Operation not permitted"), "{disk:?}");
        assert_eq!(output(&runtime, &root, "head -c 1 /dev/zero >/dev/null && ls /tmp/disk").await, "/tmp/disk");
        let mut config = container_config("mighty", "sleep 1000");
        config.linux.as_mut().unwrap().security_context.as_mut().unwrap().privileged = true;
        let mighty = create(&runtime, &sandbox, config, &of).await;
        start(&runtime, &mighty).await;
        assert_eq!(exec(&runtime, &mighty, "mount -t tmpfs t /tmp && unshare -m true").await.exit_code, 0);
    }
    .boxed_local()
}

fn pods_talk_and_host_ports_lead_to_them(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let runtime = node.runtime().await;
        let mut of = sandbox_config("server", &logs);
        let port = |host_port| v1::PortMapping { container_port: 80, host_port, ..Default::default() };
        of.port_mappings = vec![port(8080)];
        let server = run_sandbox(&runtime, &of).await;
        let script = "while :; do echo hello | nc -l -p 80 || true; done";
        let main = create(&runtime, &server, container_config("main", script), &of).await;
        start(&runtime, &main).await;
        let request = v1::PodSandboxStatusRequest { pod_sandbox_id: server.clone(), verbose: false };
        let ip = runtime.pod_sandbox_status(request).await.unwrap().status.unwrap().network.unwrap().ip;
        let client_of = sandbox_config("client", &logs);
        let client = run_sandbox(&runtime, &client_of).await;
        let client = create(&runtime, &client, container_config("client", "sleep 1000"), &client_of).await;
        start(&runtime, &client).await;
        for (from, target) in
            [(&client, format!("{ip} 80")), (&client, "10.77.0.1 8080".into()), (&main, "10.77.0.1 8080".into())]
        {
            eventually(&format!("an answer from {target}"), async || {
                exec(&runtime, from, &format!("nc -w 2 {target} </dev/null")).await.stdout == b"hello\n"
            })
            .await;
        }
        eventually("an answer on the host's loopback", async || {
            use std::io::Read as _;
            let mut text = String::new();
            let mut ask = || {
                let mut stream = std::net::TcpStream::connect("127.0.0.1:8080")?;
                stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
                stream.read_to_string(&mut text)
            };
            ask().is_ok() && text == "hello\n"
        })
        .await;
        let mut taken = sandbox_config("other", &logs);
        taken.port_mappings = vec![port(8080)];
        let request = v1::RunPodSandboxRequest { config: Some(taken.clone()), ..Default::default() };
        let error = runtime.run_pod_sandbox(request).await.unwrap_err();
        assert!(error.message().contains("host port 8080/tcp is in use"), "{error}");
        runtime.remove_pod_sandbox(v1::RemovePodSandboxRequest { pod_sandbox_id: server }).await.unwrap();
        run_sandbox(&runtime, &taken).await;
    }
    .boxed_local()
}

fn shared_and_host_namespaces(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let runtime = node.runtime().await;
        let set = |of: &mut v1::PodSandboxConfig, options: &v1::NamespaceOption| {
            let linux = of.linux.as_mut().unwrap();
            linux.security_context.as_mut().unwrap().namespace_options = Some(options.clone());
        };
        let with = |name: &str, options: &v1::NamespaceOption| {
            let mut config = container_config(name, "sleep 1000");
            let security = config.linux.as_mut().unwrap().security_context.as_mut().unwrap();
            security.namespace_options = Some(options.clone());
            config
        };
        let shared = v1::NamespaceOption { pid: v1::NamespaceMode::Pod as i32, ..Default::default() };
        let mut of = sandbox_config("shared", &logs);
        set(&mut of, &shared);
        of.linux.as_mut().unwrap().sysctls = [("kernel.shm_rmid_forced".to_owned(), "1".to_owned())].into();
        let sandbox = run_sandbox(&runtime, &of).await;
        let a = create(&runtime, &sandbox, with("a", &shared), &of).await;
        let b = create(&runtime, &sandbox, with("b", &shared), &of).await;
        start(&runtime, &a).await;
        start(&runtime, &b).await;
        let seen = output(&runtime, &a, "ps").await;
        assert_eq!(seen.matches("sleep 1000").count(), 2, "{seen}");
        assert_eq!(output(&runtime, &a, "cat /proc/sys/kernel/shm_rmid_forced").await, "1");
        output(&runtime, &a, "echo x > /dev/shm/from-a").await;
        assert_eq!(output(&runtime, &b, "cat /dev/shm/from-a").await, "x");
        runtime.stop_container(v1::StopContainerRequest { container_id: a.clone(), timeout: 0 }).await.unwrap();
        assert_eq!(exited(&runtime, &a).await.exit_code, 137);
        assert_eq!(status(&runtime, &b).await.state, v1::ContainerState::ContainerRunning as i32);
        let node_mode = v1::NamespaceMode::Node as i32;
        let host = v1::NamespaceOption { network: node_mode, pid: node_mode, ipc: node_mode, ..Default::default() };
        let mut of = sandbox_config("host", &logs);
        of.hostname = String::new();
        set(&mut of, &host);
        let sandbox = run_sandbox(&runtime, &of).await;
        let c = create(&runtime, &sandbox, with("c", &host), &of).await;
        start(&runtime, &c).await;
        assert!(output(&runtime, &c, "ip link show knarr0").await.contains("knarr0"));
        assert!(
            output(&runtime, &c, "ps").await.contains("knarr-zygote")
                || output(&runtime, &c, "ps").await.contains("zygote")
        );
    }
    .boxed_local()
}

fn failures_are_told_and_leave_nothing(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let logs = node.folder.path().join("logs");
        let runtime = node.runtime().await;
        let of = sandbox_config("one", &logs);
        let sandbox = run_sandbox(&runtime, &of).await;
        let mut config = container_config("missing", "");
        config.command = vec!["/no/such/program".into()];
        let missing = create(&runtime, &sandbox, config, &of).await;
        let error =
            runtime.start_container(v1::StartContainerRequest { container_id: missing.clone() }).await.unwrap_err();
        let found = status(&runtime, &missing).await;
        assert_eq!((found.exit_code, found.reason.as_str()), (128, "StartError"), "{error}");
        println!("{error}");
        let mut config = container_config("nobody", "true");
        config.linux.as_mut().unwrap().security_context.as_mut().unwrap().run_as_username = "nobody-here".into();
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox.clone(),
            config: Some(config),
            sandbox_config: Some(of.clone()),
        };
        let error = runtime.create_container(request).await.unwrap_err();
        assert!(error.message().contains("unable to find user nobody-here"), "{error}");
        let mut config = container_config("none", "true");
        config.image.as_mut().unwrap().image = "no/such:image".into();
        let request =
            v1::CreateContainerRequest { pod_sandbox_id: sandbox.clone(), config: Some(config), sandbox_config: None };
        assert!(runtime.create_container(request).await.unwrap_err().is_not_found());
        assert_eq!(std::fs::read_dir(node.config().root.join("containers")).unwrap().count(), 1);
        let error = runtime
            .container_status(v1::ContainerStatusRequest { container_id: "feed".into(), verbose: false })
            .await
            .unwrap_err();
        assert!(error.is_not_found());
        let killed = create(&runtime, &sandbox, container_config("killed", "sleep 1000"), &of).await;
        start(&runtime, &killed).await;
        let pid = shim_pid(node, &sandbox);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        assert_eq!(exited(&runtime, &killed).await.reason, "Unknown", "a dead shim is noticed at once");
        runtime.remove_pod_sandbox(v1::RemovePodSandboxRequest { pod_sandbox_id: sandbox }).await.unwrap();
    }
    .boxed_local()
}
