//! `api-resources`, `api-versions`, `explain`, `version`, `auth can-i`, `cluster-info`.

use super::with_every_kubectl;

#[test]
fn the_server_tells_what_it_serves() {
    with_every_kubectl("discover", |kubectl| {
        let names = kubectl.ok("api-resources --no-headers");
        for (name, short, version, namespaced, kind) in [
            ("pods", "po", "v1", "true", "Pod"),
            ("nodes", "no", "v1", "false", "Node"),
            ("services", "svc", "v1", "true", "Service"),
            ("deployments", "deploy", "apps/v1", "true", "Deployment"),
            ("replicasets", "rs", "apps/v1", "true", "ReplicaSet"),
        ] {
            let found = names.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            assert!(found.into_iter().any(|row| row == [name, short, version, namespaced, kind]), "{name}: {names}");
        }
        assert_eq!(kubectl.ok("api-resources --namespaced=false --api-group= -o name"), "namespaces\nnodes\n");
        let verbs = kubectl.ok("api-resources -o wide");
        assert!(verbs.lines().any(|l| l.starts_with("configmaps") && l.contains("watch")), "{verbs}");
        let versions = kubectl.ok("api-versions");
        for version in
            ["apps/v1", "coordination.k8s.io/v1", "discovery.k8s.io/v1", "rbac.authorization.k8s.io/v1", "v1"]
        {
            assert!(versions.lines().any(|line| line == version), "{version}: {versions}");
        }
        let version = kubectl.run(["version", "-o", "json"]).json();
        assert_eq!(version["serverVersion"]["minor"], "37");
        kubectl.run(["cluster-info"]).says("Kubernetes control plane");
        assert_eq!(kubectl.ok("get --raw /livez"), "ok");
    });
}

#[test]
fn fields_are_explained() {
    with_every_kubectl("discover-explain", |kubectl| {
        let told = kubectl.ok("explain deployment.spec.strategy.rollingUpdate");
        for word in ["maxSurge", "maxUnavailable", "IntOrString"] {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert!(kubectl.ok("explain pods --recursive").contains("terminationGracePeriodSeconds"));
        let unknown = kubectl.fails("explain pods.spec.nonsense");
        assert!(unknown.contains("field \"nonsense\" does not exist"), "{unknown}");
    });
}

#[test]
fn people_ask_what_they_may_do() {
    with_every_kubectl("discover-auth", |kubectl| {
        assert_eq!(kubectl.ok("auth can-i create deployments"), "yes\n");
        kubectl.ok("create role reader --verb=get,list --resource=configmaps");
        let user = format!("--as=system:serviceaccount:{}:default", kubectl.namespace());
        let can = |line: &str| kubectl.run(line.split_whitespace().chain([user.as_str()])).stdout;
        assert_eq!(can("auth can-i get configmaps"), "no\n");
        kubectl.ok(&format!("create rolebinding read --role=reader --serviceaccount={}:default", kubectl.namespace()));
        // The authorizer follows the stored roles by a watch.
        testkit::eventually("the binding is known", || {
            let answer = can("auth can-i get configmaps");
            if answer == "yes\n" { Ok(()) } else { Err(answer) }
        });
        assert_eq!(can("auth can-i delete configmaps"), "no\n");
        let list = can("auth can-i --list");
        assert!(list.contains("configmaps") && list.contains("[get list]"), "{list}");
        let refused = kubectl.run(["get", "secrets", &user]).fails();
        let who = format!("User \"system:serviceaccount:{}:default\"", kubectl.namespace());
        assert!(
            refused.contains(&who) && refused.contains("cannot list resource \"secrets\" in API group \"\""),
            "{refused}"
        );
    });
}
