//! One check for each question: what is wrong with an object, what defaults it gets, what its row says.

use apimachinery::Object;
use kinds::{Kind, Scope, apps, coordination, core, discovery, events, object_meta, rbac, scheduling};
use serde_json::{Value, json};

/// The object after defaults and preparation, under the name `x`.
fn made<K: Kind>(mut input: Value) -> K::Object {
    let metadata = &mut input["metadata"];
    if metadata["name"].is_null() {
        metadata["name"] = "x".into();
    }
    if K::FACTS.scope == Scope::Namespaced {
        metadata["namespace"] = "n".into();
    }
    let mut object: K::Object = serde_json::from_value(input).unwrap();
    K::default(&mut object);
    K::prepare_for_create(&mut object);
    object
}

/// Creates an object and says what is wrong with it.
fn check<K: Kind>(input: Value, expected: &[&str]) {
    let found: Vec<String> = K::validate_create(&made::<K>(input)).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{}", K::FACTS.kind);
}

/// Changes one object into another and says what is wrong with that.
fn check_update<K: Kind>(old: Value, new: Value, expected: &[&str]) {
    let old = made::<K>(old);
    let mut new = made::<K>(new);
    K::prepare_for_update(&mut new, &old);
    let found: Vec<String> = K::validate_update(&new, &old).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{}", K::FACTS.kind);
}

/// Creates an object and looks at some of its fields.
fn check_fields<K: Kind>(input: Value, expected: &[(&str, Value)]) {
    let tree = kinds::to_tree::<K>(&made::<K>(input)).into_value();
    for (pointer, value) in expected {
        assert_eq!(tree.pointer(pointer), Some(value).filter(|v| !v.is_null()), "{} {pointer}", K::FACTS.kind);
    }
}

fn check_cells<K: Kind>(input: Value, expected: Value) {
    let cells = K::cells(&Object::from_value(input).unwrap(), 1_000_000);
    assert_eq!(Value::from(cells), expected, "{}", K::FACTS.kind);
}

fn pod(spec: Value) -> Value {
    let mut fields = json!({"containers": [{"name": "c", "image": "i"}]});
    fields.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({ "spec": fields })
}

fn container(fields: Value) -> Value {
    let mut ctr = json!({"name": "c", "image": "i"});
    ctr.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    pod(json!({ "containers": [ctr] }))
}

#[test]
fn metadata_is_judged() {
    let object = Object::from_value(json!({"metadata": {
        "name": "A", "labels": {"a": "b c"}, "finalizers": ["x"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "", "uid": "u"}],
    }}));
    let facts = core::ConfigMap::FACTS;
    let errors = object_meta::validate(&object.unwrap(), facts.scope, facts.name_rule);
    let fields: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "metadata.name",
            "metadata.namespace",
            "metadata.labels",
            "metadata.ownerReferences.name",
            "metadata.finalizers[0]"
        ]
    );
}

#[test]
fn pods_get_defaults() {
    check_fields::<core::Pod>(
        container(json!({"resources": {"limits": {"cpu": "0.1"}}, "livenessProbe": {"httpGet": {"port": 1}}})),
        &[
            ("/spec/restartPolicy", json!("Always")),
            ("/spec/dnsPolicy", json!("ClusterFirst")),
            ("/spec/enableServiceLinks", json!(true)),
            ("/spec/containers/0/imagePullPolicy", json!("Always")),
            ("/spec/containers/0/resources/requests/cpu", json!("100m")),
            ("/spec/containers/0/livenessProbe/periodSeconds", json!(10)),
            ("/spec/containers/0/livenessProbe/httpGet/path", json!("/")),
            ("/status/phase", json!("Pending")),
            ("/status/qosClass", json!("Burstable")),
        ],
    );
    let volumes = json!([{"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}]);
    check_fields::<core::Pod>(
        pod(json!({"volumes": volumes, "hostNetwork": false})),
        &[
            ("/spec/volumes/0/emptyDir", json!({})),
            ("/spec/volumes/1/secret/defaultMode", json!(420)),
            ("/spec/hostNetwork", Value::Null),
        ],
    );
}

#[test]
fn labels_complete_the_selectors_of_pods() {
    let mut input = pod(json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}, "matchLabelKeys": ["a", "absent"]}]}));
    input["metadata"] = json!({"labels": {"a": "b"}});
    let added = json!([{"key": "a", "operator": "In", "values": ["b"]}]);
    check_fields::<core::Pod>(
        input.clone(),
        &[("/spec/topologySpreadConstraints/0/labelSelector/matchExpressions", added)],
    );
    check::<core::Pod>(input, &[]);
}

#[test]
fn containers_are_judged() {
    check::<core::Pod>(pod(json!({})), &[]);
    check::<core::Pod>(pod(json!({"containers": []})), &["spec.containers: Required value"]);
    check::<core::Pod>(container(json!({"image": ""})), &["spec.containers[0].image: Required value"]);
    check::<core::Pod>(
        container(json!({"ports": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 80}]})),
        &["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//80\""],
    );
    check::<core::Pod>(
        container(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})),
        &["spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"],
    );
    check::<core::Pod>(
        container(json!({"env": [{"name": "A", "valueFrom": {}}]})),
        &["spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, \
           `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"],
    );
    check::<core::Pod>(
        container(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})),
        &["spec.containers[0].volumeMounts[0].name: Not found: \"v\""],
    );
    check::<core::Pod>(
        container(json!({"livenessProbe": {"exec": {"command": ["a"]}, "successThreshold": 2}})),
        &["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"],
    );
}

#[test]
fn sidecars_may_do_what_init_containers_may_not() {
    let init = |policy: Value| {
        let mut ctr = json!({"name": "i", "image": "i", "livenessProbe": {"tcpSocket": {"port": 1}}});
        if !policy.is_null() {
            ctr["restartPolicy"] = policy;
        }
        pod(json!({ "initContainers": [ctr] }))
    };
    check::<core::Pod>(init(json!("Always")), &[]);
    let why = "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without \
               restartPolicy=Always";
    check::<core::Pod>(init(Value::Null), &[why]);
}

#[test]
fn pods_as_a_whole_are_judged() {
    check::<core::Pod>(
        pod(json!({"ephemeralContainers": [{"name": "e", "image": "i"}]})),
        &["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    );
    check::<core::Pod>(
        pod(json!({"hostUsers": false, "hostPID": true})),
        &["spec.HostPID: Forbidden: when `hostUsers` is false"],
    );
    check::<core::Pod>(
        pod(json!({"os": {"name": "windows"}, "securityContext": {"runAsUser": 1}})),
        &["spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod"],
    );
    check::<core::Pod>(
        pod(json!({"tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 1}]})),
        &[
            "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        ],
    );
    check::<core::Pod>(
        pod(json!({"securityContext": {"sysctls": [{"name": "net.x", "value": "1"}]}, "hostNetwork": true})),
        &[
            "spec.securityContext.sysctls[0].name: Invalid value: \"net.x\": may not be specified when 'hostNetwork' is \
           true",
        ],
    );
    let token = json!([{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]);
    check::<core::Pod>(
        pod(json!({"volumes": token})),
        &["spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when \
           serviceAccountName is not set"],
    );
}

fn deployment(spec: Value) -> Value {
    let mut fields = json!({"selector": {"matchLabels": {"a": "b"}}, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}});
    fields.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({ "spec": fields })
}

#[test]
fn workloads_are_judged() {
    check::<apps::Deployment>(deployment(json!({})), &[]);
    check_fields::<apps::Deployment>(
        deployment(json!({})),
        &[("/spec/replicas", json!(1)), ("/spec/strategy/rollingUpdate/maxSurge", json!("25%"))],
    );
    check::<apps::Deployment>(
        deployment(json!({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}})),
        &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: {\"type\":1,\"strVal\":\"0%\"}: may not be 0 \
           when `maxSurge` is 0"],
    );
    let other = json!({"selector": {"matchLabels": {"a": "c"}}, "template": {
        "metadata": {"labels": {"a": "c"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}});
    check_update::<apps::Deployment>(
        deployment(json!({})),
        deployment(other),
        &["spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable"],
    );
    check::<apps::ReplicaSet>(deployment(json!({})), &[]);
}

#[test]
fn services_are_judged_and_follow_their_type() {
    let of_type = |kind: &str| json!({"spec": {"type": kind, "ports": [{"port": 80}]}});
    check::<core::Service>(of_type("ClusterIP"), &[]);
    check_fields::<core::Service>(
        of_type("LoadBalancer"),
        &[
            ("/spec/ports/0/targetPort", json!(80)),
            ("/spec/externalTrafficPolicy", json!("Cluster")),
            ("/spec/allocateLoadBalancerNodePorts", json!(true)),
        ],
    );
    check::<core::Service>(of_type("ExternalName"), &["spec.externalName: Required value"]);
    check::<core::Service>(
        json!({"spec": {"clusterIP": "None", "type": "NodePort", "ports": [{"port": 80}]}}),
        &["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
    );
    let allocated = json!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
        "ports": [{"port": 80, "nodePort": 30000}]}});
    let old: K8sService = made::<core::Service>(allocated.clone());
    let mut new: K8sService = made::<core::Service>(of_type("NodePort"));
    core::Service::prepare_for_update(&mut new, &old);
    let tree = kinds::to_tree::<core::Service>(&new).into_value();
    assert_eq!(tree["spec"]["clusterIPs"], json!(["10.0.0.1"]));
    assert_eq!(tree["spec"]["ports"][0]["nodePort"], 30000);
    let moved = json!({"spec": {"clusterIP": "10.0.0.2", "ports": [{"port": 80}]}});
    check_update::<core::Service>(
        allocated,
        moved,
        &["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"],
    );
}

type K8sService = <core::Service as Kind>::Object;

#[test]
fn data_is_judged_and_can_be_sealed() {
    check_fields::<core::Secret>(
        json!({"stringData": {"a": "b"}}),
        &[("/data/a", json!("Yg==")), ("/type", json!("Opaque"))],
    );
    check::<core::Secret>(
        json!({"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "[]"}}),
        &["data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": json: cannot unmarshal array into \
           Go value of type map[string]interface {}"],
    );
    let sealed = json!({"data": {"a": "b"}, "immutable": true});
    check_update::<core::ConfigMap>(
        sealed.clone(),
        json!({"data": {"a": "c"}, "immutable": true}),
        &["data: Forbidden: field is immutable when `immutable` is set"],
    );
    check_update::<core::ConfigMap>(sealed.clone(), sealed, &[]);
}

#[test]
fn other_kinds_are_judged() {
    check::<coordination::Lease>(
        json!({"spec": {"leaseDurationSeconds": 0}}),
        &["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
    );
    check::<scheduling::PriorityClass>(
        json!({"metadata": {"name": "system-x"}, "value": 1}),
        &["metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. \
           error: system-x is not a known system priority class"],
    );
    check_update::<scheduling::PriorityClass>(
        json!({"value": 1}),
        json!({"value": 2}),
        &["value: Forbidden: may not be changed in an update."],
    );
    check::<rbac::Role>(
        json!({"rules": [{"verbs": []}]}),
        &[
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ],
    );
    check_update::<rbac::RoleBinding>(
        json!({"roleRef": {"kind": "Role", "name": "a"}}),
        json!({"roleRef": {"kind": "Role", "name": "b"}}),
        &["roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"b\"}: \
           cannot change roleRef"],
    );
    check::<discovery::EndpointSlice>(
        json!({"addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"]}]}),
        &["endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, \
           ::1/128)"],
    );
    check::<core::Node>(
        json!({"spec": {"taints": [{"key": "a", "effect": "Never"}]}}),
        &["metadata.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \
           \"PreferNoSchedule\", \"NoExecute\""],
    );
    check_update::<core::Node>(
        json!({"spec": {"podCIDR": "10.0.0.0/24"}}),
        json!({"spec": {"podCIDR": "10.0.1.0/24"}}),
        &["spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"],
    );
    check::<events::Event>(json!({"type": "Normal", "regarding": {"namespace": "n"}}), &["eventTime: Required value"]);
}

#[test]
fn rows_of_pods_say_what_containers_do() {
    let status = |status: Value| {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}, {"name": "d"}],
            "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]}, "status": status})
    };
    let row = |ready: &str, reason: &str, restarts: &str| {
        json!(["p", ready, reason, restarts, "<unknown>", "<none>", "<none>", "<none>", "<none>"])
    };
    let done = json!({"name": "i", "state": {"terminated": {"exitCode": 0}}});
    let sidecar = json!({"name": "s", "started": true, "ready": true, "state": {"running": {}}});
    check_cells::<core::Pod>(status(json!({"phase": "Pending"})), row("0/3", "Pending", "0"));
    check_cells::<core::Pod>(
        status(json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]})),
        row("0/3", "Init:0/2", "0"),
    );
    let running = json!({"phase": "Running", "initContainerStatuses": [done, sidecar], "containerStatuses": [
        {"name": "c", "ready": true, "state": {"running": {}}, "restartCount": 3,
            "lastState": {"terminated": {"finishedAt": "1970-01-12T13:41:40Z"}}},
        {"name": "d", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 2}]});
    check_cells::<core::Pod>(status(running), row("2/3", "CrashLoopBackOff", "5 (5m ago)"));
    let mut deleted = status(json!({"phase": "Running"}));
    deleted["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z".into();
    check_cells::<core::Pod>(deleted, row("0/3", "Terminating", "0"));
}

#[test]
fn rows_of_other_kinds() {
    check_cells::<core::Event>(
        json!({"metadata": {"name": "e"}, "type": "Normal", "reason": "R", "message": " m\n",
            "involvedObject": {"kind": "Pod", "name": "p"}, "firstTimestamp": "1970-01-12T13:36:40Z",
            "series": {"count": 4, "lastObservedTime": "1970-01-12T13:46:37.000000Z"}, "source": {"component": "k"}}),
        json!(["3s", "Normal", "R", "pod/p", "", "k", "m", "10m", 4, "e"]),
    );
    check_cells::<core::Endpoints>(
        json!({"metadata": {"name": "e"}, "subsets": [{"ports": [{"port": 1}, {"port": 2}],
            "addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}]}),
        json!(["e", "10.0.0.1:1,[fd00::1]:1,10.0.0.1:2 + 1 more...", "<unknown>"]),
    );
    check_cells::<core::Service>(
        json!({"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"],
            "externalIPs": ["192.0.2.1"], "selector": {"b": "c", "a": "b"},
            "ports": [{"port": 80, "nodePort": 30000, "protocol": "TCP"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}}),
        json!(["s", "LoadBalancer", "10.0.0.1", "192.0.2.9,192.0.2.1", "80:30000/TCP", "<unknown>", "a=b,b=c"]),
    );
}

/// Changes a status and says what is wrong with that.
fn check_status<K: Kind>(old: Value, new: Value, expected: &[&str]) {
    let read = |input: Value| -> K::Object { serde_json::from_value(input).unwrap() };
    let old = read(old);
    let mut new = read(new);
    K::prepare_for_status_update(&mut new, &old);
    let found: Vec<String> = K::validate_status_update(&new, &old).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{}", K::FACTS.kind);
}

#[test]
fn a_pods_status_keeps_what_is_settled() {
    let with = |policy: &str, status: Value| {
        let mut pod = pod(json!({"restartPolicy": policy}));
        pod["status"] = status;
        pod
    };
    let ended = |list: &str, code: i32| json!({list: [{"name": "c", "state": {"terminated": {"exitCode": code}}}]});
    let running = |list: &str| json!({list: [{"name": "c", "state": {"running": {}}}]});
    const WHY: &str = "Forbidden: may not be transitioned to non-terminated state";
    let check = |policy: &str, list: &str, code: i32, refused: bool| {
        let expected = format!("status.{list}[0].state: {WHY}");
        let expected = if refused { vec![expected.as_str()] } else { Vec::new() };
        check_status::<core::Pod>(with(policy, ended(list, code)), with(policy, running(list)), &expected);
    };
    check("Always", "containerStatuses", 0, false);
    check("OnFailure", "containerStatuses", 1, false);
    check("OnFailure", "initContainerStatuses", 0, true);
    check("Never", "containerStatuses", 1, true);
    check("Always", "ephemeralContainerStatuses", 1, true);
    let class = |class: &str| with("Always", json!({"qosClass": class}));
    check_status::<core::Pod>(class("Burstable"), class(""), &[]);
    check_status::<core::Pod>(
        class("Burstable"),
        class("Guaranteed"),
        &["status.qosClass: Invalid value: \"Guaranteed\": field is immutable"],
    );
    check_status::<core::Pod>(
        with("Always", json!({})),
        with(
            "Always",
            json!({"hostIP": "10.0.0.2", "hostIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.3"}],
            "conditions": [{"type": "a b", "status": "True"}],
            "resourceClaimStatuses": [{"name": "x"}]}),
        ),
        &[
            "metadata.conditions[0].Type: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', \
             '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
             '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "status.resourceClaimStatuses[0].name: Invalid value: \"x\": must match the name of an entry in \
             `spec.resourceClaims`",
            "status.hostIPs[0].ip: Invalid value: \"10.0.0.1\": must be equal to `hostIP`",
            "status.hostIPs: Invalid value: [{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.3\"}]: may specify no more than one IP \
             for each IP family",
        ],
    );
}

#[test]
fn gated_pods_are_placed_more_narrowly_only() {
    let gated = |spec: Value| {
        let mut fields = json!({"schedulingGates": [{"name": "a.b/c"}]});
        fields.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        pod(fields)
    };
    let affinity = |terms: Value| {
        gated(json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}))
    };
    let term = |keys: &[&str]| {
        let all: Vec<Value> = keys.iter().map(|key| json!({"key": key, "operator": "Exists"})).collect();
        json!({"matchExpressions": all})
    };
    check_update::<core::Pod>(gated(json!({})), gated(json!({"nodeSelector": {"a": "b"}})), &[]);
    check_update::<core::Pod>(
        gated(json!({"nodeSelector": {"a": "b"}})),
        gated(json!({"nodeSelector": {"a": "c"}})),
        &[
            "spec.nodeSelector: Invalid value: {\"a\":\"c\"}: only additions to spec.nodeSelector are allowed (no mutations \
           or deletions)",
        ],
    );
    check_update::<core::Pod>(gated(json!({})), affinity(json!([term(&["a"])])), &[]);
    check_update::<core::Pod>(affinity(json!([term(&["a"])])), affinity(json!([term(&["a", "b"])])), &[]);
    const TERMS: &str = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let fewer = format!(
        "{TERMS}[0]: Invalid value: {{\"matchExpressions\":[{{\"key\":\"b\",\"operator\":\"Exists\"}}]}}: only additions are \
         allowed (no mutations or deletions)"
    );
    check_update::<core::Pod>(affinity(json!([term(&["a"])])), affinity(json!([term(&["b"])])), &[&fewer]);
    let gone =
        format!("{TERMS}: Invalid value: []: no additions/deletions to non-empty NodeSelectorTerms list are allowed");
    check_update::<core::Pod>(affinity(json!([term(&["a"])])), gated(json!({})), &[&gone]);
}

#[test]
fn profiles_in_annotations_and_fields_agree() {
    let profiles = |seccomp: &str, app_armor: &str| {
        json!({"metadata": {"annotations": {
                "container.seccomp.security.alpha.kubernetes.io/c": seccomp,
                "container.apparmor.security.beta.kubernetes.io/c": app_armor}},
            "spec": {"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}, "containers": [{"name": "c",
                "image": "i", "securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "a"}}}]}})
    };
    check::<core::Pod>(profiles("localhost/a", "runtime/default"), &[]);
    check::<core::Pod>(
        profiles("localhost/b", "unconfined"),
        &[
            "spec.containers[0].securityContext.seccompProfile.localhostProfile: Forbidden: seccomp profile in annotation \
             and field must match",
            "spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must \
             match",
        ],
    );
    check_update::<core::Pod>(
        container(json!({})),
        {
            let mut pod = container(json!({}));
            pod["metadata"] =
                json!({"annotations": {"container.apparmor.security.beta.kubernetes.io/c": "unconfined"}});
            pod
        },
        &["metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: Forbidden: may not add AppArmor \
           annotations"],
    );
}

#[test]
fn paths_are_upstreams_even_where_they_are_odd() {
    check::<core::Pod>(
        pod(json!({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a", "B"]}],
            "tolerations": [{"key": "k", "operator": "Exists", "value": "v"}]})),
        &[
            "spec.tolerations[0].operator: Invalid value: \"v\": value must be empty when `operator` is 'Exists'",
            "spec.hostAliases[0].hostnames[1]: Invalid value: \"B\": a lowercase RFC 1123 subdomain must consist of lower \
             case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    );
    check::<core::Pod>(
        container(json!({"resources": {"claims": [{"name": "x"}]}})),
        &[
            "spec.containers[0].resources.claims[0]: Not found: \"x\": must be one of the names in pod.spec.resourceClaims \
           which is empty",
        ],
    );
    check::<core::Pod>(
        container(json!({"resources": {"limits": {"cpu": "1", "hugepages-2Mi": "3Mi"}}})),
        &[
            "spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer \
             multiple of hugepages-2Mi",
            "spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer \
             multiple of hugepages-2Mi",
        ],
    );
    check::<core::PodTemplate>(
        json!({"template": {"metadata": {"labels": {"a": "-"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}),
        &["template.labels: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric \
           characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
           'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"],
    );
    check::<core::Endpoints>(
        json!({"subsets": [{"addresses": [{"ip": "x"}]}]}),
        &[
            "subsets[0].addresses[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or \
             2001:db8::ffff)",
            "subsets[0].addresses[0].ip: Invalid value: \"x\": must be a valid IP address",
        ],
    );
    check::<core::Node>(
        json!({"spec": {"podCIDRs": ["10.0.0.0/24", "10.0.0.0/24"]}}),
        &[
            "spec.podCIDRs[1]: Duplicate value: \"10.0.0.0/24\"",
            "spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.0.0.0/24\"]: may specify no more than one CIDR for each IP \
             family",
        ],
    );
}
