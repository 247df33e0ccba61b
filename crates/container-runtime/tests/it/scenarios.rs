//! The scenarios, one function each, in one table.

use cri::{RuntimeService as _, v1};
use futures::{FutureExt as _, StreamExt as _, future::LocalBoxFuture};

use crate::node::{
    Node, Scenario, container_config, create, eventually, exec, exited, log_lines, output, run_sandbox, sandbox_config,
    start, status,
};

pub(crate) fn all() -> Vec<(&'static str, Scenario)> {
    vec![("a_pod_lives_and_dies", a_pod_lives_and_dies as Scenario)]
}

fn a_pod_lives_and_dies(node: &Node) -> LocalBoxFuture<'_, ()> {
    async {
        let runtime = node.runtime().await;
        let mut events = runtime.get_container_events(v1::GetEventsRequest {}).await.unwrap();
        let logs = node.folder.path().join("logs");
        let of = sandbox_config("one", &logs);
        let t = std::time::Instant::now();
        let sandbox = run_sandbox(&runtime, &of).await;
        println!("sandbox {:?}", t.elapsed());
        let t = std::time::Instant::now();
        let id = create(&runtime, &sandbox, container_config("main", "echo out; echo err >&2; sleep 0.2; exit 7"), &of)
            .await;
        println!("create {:?}", t.elapsed());
        assert_eq!(status(&runtime, &id).await.state, v1::ContainerState::ContainerCreated as i32);
        let t = std::time::Instant::now();
        start(&runtime, &id).await;
        println!("start {:?}", t.elapsed());
        let ended = exited(&runtime, &id).await;
        assert_eq!((ended.exit_code, ended.reason.as_str()), (7, "Error"), "{}", ended.message);
        let mut lines = log_lines(&logs, "main");
        lines.sort();
        assert_eq!(lines, ["stderr F err", "stdout F out"]);
        let long = create(
            &runtime,
            &sandbox,
            container_config("long", "trap 'exit 0' TERM; while :; do sleep 0.05; done"),
            &of,
        )
        .await;
        start(&runtime, &long).await;
        let t = std::time::Instant::now();
        assert_eq!(output(&runtime, &long, "hostname").await, "one");
        println!("exec {:?}", t.elapsed());
        assert_eq!(output(&runtime, &long, "cat /etc/resolv.conf").await, "nameserver 10.96.0.10");
        assert_eq!(exec(&runtime, &long, "exit 3").await.exit_code, 3);
        let stop = v1::StopContainerRequest { container_id: long.clone(), timeout: 10 };
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
