//! Services: from outside, from pods, to oneself, by name.

use std::collections::BTreeSet;

use testkit::eventually;

use super::{namespace, run_hello, shared};

#[test]
fn a_service_answers_from_everywhere() {
    let node = shared();
    let kubectl = namespace(&node, "service");
    run_hello(&node, &kubectl, 30_081);
    let pods: BTreeSet<String> =
        kubectl.value("pods", "{.items[*].metadata.name}").split(' ').map(str::to_owned).collect();
    assert_eq!(pods.len(), 3);
    let ip = kubectl.value("svc/hello", "{.spec.clusterIP}");

    for address in ["127.0.0.1:30081".to_owned(), "172.30.0.2:30081".to_owned(), format!("{ip}:80")] {
        let mut answered = BTreeSet::new();
        eventually("every pod answers", || {
            let answer = node.get(&address).map_err(|error| format!("{address}: {error}"))?;
            answered.insert(answer.trim().rsplit(' ').next().unwrap().to_owned());
            if answered == pods { Ok(()) } else { Err(format!("{address}: {answered:?}")) }
        });
    }

    // From a pod: by address, by every form of the name, and a pod reaches itself through its Service.
    let pod = pods.first().unwrap();
    let exec = |words: &[&str]| kubectl.run([&["exec", pod, "--"], words].concat());
    for host in [ip.as_str(), "hello", "hello.service", "hello.service.svc.cluster.local"] {
        kubectl.until_says(&format!("exec {pod} -- wget -qO- http://{host}/"), "hello 1 from hello-");
    }
    for (name, address) in [("hello.service", ip.as_str()), ("kubernetes.default", "10.96.0.1")] {
        let name = format!("{name}.svc.cluster.local");
        eventually("the name is known", || {
            let answer = exec(&["nslookup", &name]);
            if answer.stdout.contains(address) { Ok(()) } else { Err(answer) }
        });
    }
    eventually("a pod is answered by itself", || {
        let answer = exec(&["wget", "-qO-", "http://hello/"]);
        if answer.stdout.trim().ends_with(pod) { Ok(()) } else { Err(answer) }
    });
    exec(&["sh", "-c", "echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT"]).says("10.96.0.1:443");
    let resolver = exec(&["cat", "/etc/resolv.conf"]).ok();
    assert!(resolver.contains("nameserver 10.96.0.10") && resolver.contains("service.svc.cluster.local"), "{resolver}");

    // Without endpoints a connection is refused at once.
    kubectl.ok("scale deploy/hello --replicas=0");
    eventually("nobody answers", || match node.get("127.0.0.1:30081") {
        Err(error) if error.contains("refused") => Ok(()),
        other => Err(other),
    });
    kubectl.ok("delete svc hello");
    kubectl.ok("delete deploy hello");
}
