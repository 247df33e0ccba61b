//! Changes of a Deployment under load: nobody who asks notices.

use std::sync::atomic::{AtomicBool, Ordering};

use testkit::{Node, eventually, get};
use tokio::time::Instant;

use super::{hello, namespace, run, run_hello, shared};

/// Asks without pause while `act` runs; answers how many requests were answered and what failed.
fn under_load(node: &Node, address: &str, act: impl FnOnce() + Send) -> (usize, Vec<String>) {
    let (done, begun) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            node.inside(|| {
                let (mut answered, mut failures) = (0, Vec::new());
                while !done.load(Ordering::SeqCst) {
                    let asked = begun.elapsed();
                    match get(address) {
                        Ok(_) => answered += 1,
                        Err(error) => failures.push(format!("after {asked:?}: {error}")),
                    }
                }
                (answered, failures)
            })
        });
        let acted = scope.spawn(act).join();
        done.store(true, Ordering::SeqCst);
        let seen = load.join().unwrap();
        if let Err(panic) = acted {
            std::panic::resume_unwind(panic);
        }
        seen
    })
}

#[test]
fn no_request_fails_while_the_image_changes() {
    let node = shared();
    let kubectl = namespace(&node, "rollout");
    // The news of a pod's end takes longer on a loaded machine than on that of who runs the example.
    let (usual, longer) = ("sleep:\n                seconds: 2\n", "sleep:\n                seconds: 6\n");
    let manifest = hello(30_082);
    assert!(manifest.contains(usual));
    run(&node, &kubectl, &manifest.replace(usual, longer), 30_082);
    let address = "127.0.0.1:30082";
    for (change, version) in
        [("set image deploy/hello hello=localhost/hello:2", "hello 2"), ("rollout undo deploy/hello", "hello 1")]
    {
        let (answered, failures) = under_load(&node, address, || {
            kubectl.ok(change);
            kubectl.ok("rollout status deploy/hello --timeout=120s");
            eventually("old pods are gone", || {
                let pods = kubectl.value("pods", "{.items[*].metadata.name}");
                if pods.split(' ').count() == 3 { Ok(()) } else { Err(pods) }
            });
        });
        assert!(answered > 50, "only {answered} requests were answered");
        assert!(
            failures.is_empty(),
            "{} of {} failed, {:?} to {:?}\n{}\n{}",
            failures.len(),
            answered + failures.len(),
            failures.first(),
            failures.last(),
            kubectl.ok("get pods,events,endpointslices -o wide"),
            node.log(),
        );
        assert!(node.get(address).unwrap().starts_with(version));
    }
    let history = kubectl.ok("rollout history deploy/hello");
    assert!(history.contains("\n2 ") && history.contains("\n3 ") && !history.contains("\n1 "), "{history}");
    kubectl.ok("delete deploy hello");
}

#[test]
fn a_bad_image_stops_the_rollout_and_nothing_else() {
    let node = shared();
    let kubectl = namespace(&node, "badimage");
    run_hello(&node, &kubectl, 30_083);
    kubectl.ok("set image deploy/hello hello=localhost/no-such-image:9");
    let mut seen = Vec::new();
    eventually("the pod says why", || {
        let reasons = kubectl.value("pods", "{.items[*].status.containerStatuses[*].state.waiting.reason}");
        if !reasons.is_empty() && !seen.contains(&reasons) {
            seen.push(reasons);
        }
        if seen.last().is_some_and(|last| last == "ImagePullBackOff") { Ok(()) } else { Err(seen.clone()) }
    });
    for said in ["Failed to pull image \"localhost/no-such-image:9\"", "Error: ErrImagePull", "Back-off pulling image"]
    {
        kubectl.until_says("get events", said);
    }
    let counts = "get deploy/hello -o jsonpath={.status.readyReplicas},{.status.updatedReplicas}";
    kubectl.until(counts, |seen| seen == "3,1");
    assert!(node.get("127.0.0.1:30083").unwrap().starts_with("hello 1"));
    kubectl.ok("rollout undo deploy/hello");
    kubectl.ok("rollout status deploy/hello --timeout=120s");
    kubectl.ok("delete deploy hello");
}
