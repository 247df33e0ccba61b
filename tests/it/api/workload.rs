//! Commands that write workloads and Services: what is stored, before anybody acts on it.

use super::{deployment, with_every_kubectl};

#[test]
fn generators_write_complete_objects() {
    with_every_kubectl("workload-create", |kubectl| {
        assert_eq!(
            kubectl.ok("create deployment web --image=web:1 --replicas=3 --port=80"),
            "deployment.apps/web created\n"
        );
        assert_eq!(kubectl.value("deploy/web", "{.spec.strategy.rollingUpdate.maxSurge}"), "25%");
        assert_eq!(kubectl.ok("expose deployment web --port=80 --target-port=8080"), "service/web exposed\n");
        let service = kubectl.run(["get", "svc", "web", "-o", "json"]).json();
        assert!(service["spec"]["clusterIP"].as_str().unwrap().starts_with("10.96."), "{service}");
        assert_eq!(service["spec"]["selector"]["app"], "web");
        assert_eq!(service["spec"]["ports"][0]["targetPort"], 8080);
        kubectl.ok("expose deployment web --name=outside --type=NodePort --port=80");
        let port: u16 = kubectl.value("svc/outside", "{.spec.ports[0].nodePort}").parse().unwrap();
        assert!((30_000..=32_767).contains(&port), "{port}");

        assert_eq!(kubectl.ok("run one --image=web:1 --env=A=b --labels=x=y --restart=Never"), "pod/one created\n");
        assert_eq!(
            kubectl.value("pod/one", "{.spec.containers[0].env[0].value} {.spec.restartPolicy} {.status.phase}"),
            "b Never Pending"
        );
        kubectl.ok("create configmap conf --from-literal=a=1");
        kubectl.ok("create secret generic hush --from-literal=password=hunter2");
        assert_eq!(kubectl.value("secret/hush", "{.data.password}"), "aHVudGVyMg==");
        assert!(!kubectl.ok("describe secret hush").contains("hunter2"));
        kubectl.ok("create serviceaccount robot");
        let token = kubectl.ok("create token robot");
        assert_eq!(token.trim().split('.').count(), 3, "a JWT has three parts");
        assert!(
            kubectl.ok("create deployment dry --image=web:1 --dry-run=client -o yaml").contains("kind: Deployment")
        );
        assert!(kubectl.ok("create deployment dry --image=web:1 --dry-run=server -o yaml").contains("uid:"));
        assert!(kubectl.fails("get deploy dry").contains("not found"));
    });
}

#[test]
fn workloads_are_scaled_and_changed() {
    with_every_kubectl("workload-change", |kubectl| {
        kubectl.apply(&deployment("web", "web:1"));
        assert_eq!(kubectl.ok("scale deploy web --replicas=4"), "deployment.apps/web scaled\n");
        assert_eq!(kubectl.value("deploy/web", "{.spec.replicas}"), "4");
        let wrong = kubectl.fails("scale deploy web --current-replicas=9 --replicas=1");
        assert!(wrong.contains("Expected replicas to be 9, was 4"), "{wrong}");
        assert_eq!(kubectl.ok("set image deploy/web main=web:2"), "deployment.apps/web image updated\n");
        assert_eq!(kubectl.value("deploy/web", "{.spec.template.spec.containers[0].image}"), "web:2");
        kubectl.ok("set env deploy/web A=b");
        kubectl.ok("set resources deploy/web --limits=cpu=200m,memory=64Mi");
        assert_eq!(kubectl.value("deploy/web", "{.spec.template.spec.containers[0].resources.limits.memory}"), "64Mi");
        assert_eq!(kubectl.ok("rollout pause deploy/web"), "deployment.apps/web paused\n");
        assert!(kubectl.fails("rollout restart deploy/web").contains("can't restart paused deployment"));
        assert_eq!(kubectl.ok("rollout resume deploy/web"), "deployment.apps/web resumed\n");
        assert_eq!(kubectl.ok("rollout restart deploy/web"), "deployment.apps/web restarted\n");
        assert_ne!(kubectl.value("deploy/web", "{.spec.template.metadata.annotations}"), "");
        let said = kubectl.ok("rollout history deploy/web");
        assert!(said.contains("deployment.apps/web"), "{said}");
    });
}

#[test]
fn wait_follows_conditions_and_values() {
    with_every_kubectl("workload-wait", |kubectl| {
        kubectl.ok("run one --image=web:1");
        let waiting = kubectl.command(["wait", "pod/one", "--for=condition=Ready", "--timeout=120s"]).spawn().unwrap();
        let status = r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#;
        kubectl.run(["patch", "pod", "one", "--subresource=status", "--type=merge", "-p", status]).ok();
        assert!(waiting.wait_with_output().unwrap().status.success());
        let running = kubectl.run(["wait", "pod/one", "--for=jsonpath={.status.phase}=Running", "--timeout=120s"]);
        assert_eq!(running.ok(), "pod/one condition met\n");
        let late = kubectl.run(["wait", "pod/one", "--for=condition=Never", "--timeout=200ms"]).fails();
        assert!(late.contains("timed out waiting for the condition on pods/one"), "{late}");
    });
}
