//! How soon a pod counts as ready.

use super::{namespace, shared, shell_pod};

#[test]
fn a_pod_is_ready_long_before_its_probes_next_turn() {
    let node = shared();
    let kubectl = namespace(&node, "readiness");
    let probe = "      readinessProbe: {exec: {command: [test, -e, /ready]}, periodSeconds: 300}\n";
    let script = "sleep 0.3; touch /ready; sleep 1000";
    kubectl.apply(&(shell_pod("soon", script) + probe));
    let wait = kubectl.run(["wait", "pod/soon", "--for=condition=Ready", "--timeout=120s"]);
    assert!(wait.is_success(), "{wait}\n{}", kubectl.ok("describe pod soon"));
}
