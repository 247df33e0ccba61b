//! Objects the cluster's own services need: the Service of the cluster DNS and the right to read what it answers.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use apimachinery::UserInfo;
use client::{Body, Client};
use serde_json::{Value, json};

use crate::ClusterConfig;

/// The service account the cluster DNS acts as.
pub(crate) const DNS_ACCOUNT: (&str, &str) = ("kube-system", "coredns");
const MANAGER: &str = "knarr";
/// Where the cluster DNS stands while there is one server.
pub(crate) const DNS_SLICE: &str = "kube-dns";

/// Labels of the slices in which the DNS of servers stand.
pub(crate) const DNS_SELECTOR: &str =
    "endpointslice.kubernetes.io/managed-by=knarr,kubernetes.io/service-name=kube-dns";
/// Whose DNS it is: the address at which that server's API is reached.
pub(crate) const SERVER_ANNOTATION: &str = "knarr.io/server";

/// Who writes these objects.
pub(crate) fn user() -> UserInfo {
    UserInfo::new("system:knarr", &["system:masters"])
}

/// Brings the objects of the cluster DNS to what they shall be, by server-side apply. `slice` is the EndpointSlice in
/// which the DNS of this server stands, whose API is at `server`.
pub(crate) async fn install_dns(
    client: &Client,
    service_ip: IpAddr,
    endpoint: SocketAddr,
    slice: &str,
    server: IpAddr,
) -> anyhow::Result<()> {
    // What servers wrote before the cluster was moved to etcd, or from there.
    let stale = if slice == DNS_SLICE { "metadata.name!=kube-dns" } else { "metadata.name=kube-dns" };
    let selectors = form_urlencoded::Serializer::new(String::new())
        .append_pair("labelSelector", DNS_SELECTOR)
        .append_pair("fieldSelector", stale)
        .finish();
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?{selectors}", DNS_ACCOUNT.0);
    let request = http::Request::delete(&path).body(Body::empty()).context("make a request")?;
    client.bytes(request).await.with_context(|| format!("delete {path}"))?;
    for (path, object) in dns_objects(service_ip, endpoint, slice, server) {
        let request = http_request(&format!("{path}?fieldManager={MANAGER}&force=true"), &object)?;
        client.bytes(request).await.with_context(|| format!("apply {path}"))?;
    }
    Ok(())
}

fn http_request(path: &str, object: &Value) -> anyhow::Result<http::Request<Body>> {
    http::Request::patch(path)
        .header("content-type", "application/apply-patch+yaml")
        .body(Body::from(object.to_string().into_bytes()))
        .context("make a request")
}

/// Each with its path.
fn dns_objects(service_ip: IpAddr, endpoint: SocketAddr, slice: &str, server: IpAddr) -> [(String, Value); 5] {
    let (namespace, account) = DNS_ACCOUNT;
    let labels =
        json!({"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"});
    let ports = [("dns", "UDP", 53), ("dns-tcp", "TCP", 53)];
    let service_ports: Vec<Value> =
        ports.iter().map(|(name, protocol, port)| json!({"name": name, "protocol": protocol, "port": port})).collect();
    let slice_ports: Vec<Value> = ports
        .iter()
        .map(|(name, protocol, _)| json!({"name": name, "protocol": protocol, "port": endpoint.port()}))
        .collect();
    let rbac = "rbac.authorization.k8s.io";
    let core = format!("/api/v1/namespaces/{namespace}");
    [
        (
            format!("{core}/serviceaccounts/{account}"),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}}),
        ),
        (
            format!("/apis/{rbac}/v1/clusterroles/system:coredns"),
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": "system:coredns"},
                "rules": [
                    {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]},
                    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}]}),
        ),
        (
            format!("/apis/{rbac}/v1/clusterrolebindings/system:coredns"),
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "system:coredns"},
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "system:coredns"},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]}),
        ),
        (
            format!("{core}/services/kube-dns"),
            json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "kube-dns", "namespace": namespace, "labels": labels},
                "spec": {"clusterIP": service_ip.to_string(), "ports": service_ports}}),
        ),
        (
            format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{slice}"),
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": slice, "namespace": namespace, "labels": {
                    "kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": MANAGER},
                    "annotations": {SERVER_ANNOTATION: server.to_string()}},
                "addressType": "IPv4", "ports": slice_ports,
                "endpoints": [{"addresses": [endpoint.ip().to_string()], "conditions": {"ready": true}}]}),
        ),
    ]
}

/// The config map that tells nodes what they must know of the cluster, and its keys.
pub(crate) const NODE_CONFIG: &str = "knarr-node-config";
pub(crate) const CLUSTER_CIDR: &str = "cluster-cidr";
pub(crate) const SERVICE_CIDR: &str = "service-cluster-ip-range";
pub(crate) const CLUSTER_DOMAIN: &str = "cluster-domain";
/// Whoever has a join token is in this group.
pub(crate) const BOOTSTRAPPERS: &str = "system:bootstrappers:knarr:default-node-token";

/// Brings what lets nodes join to what it shall be: rights to ask for certificates, as kubeadm grants them, and the
/// cluster's networks.
pub(crate) async fn install_joining(client: &Client, cluster: &ClusterConfig) -> anyhow::Result<()> {
    for (path, object) in joining_objects(cluster) {
        let request = http_request(&format!("{path}?fieldManager={MANAGER}&force=true"), &object)?;
        client.bytes(request).await.with_context(|| format!("apply {path}"))?;
    }
    Ok(())
}

fn joining_objects(cluster: &ClusterConfig) -> Vec<(String, Value)> {
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    let subject = |name: &str| json!([{"kind": "Group", "name": name, "apiGroup": group}]);
    let signing = "system:certificates.k8s.io:certificatesigningrequests";
    let bindings = [
        ("knarr:kubelet-bootstrap", "system:node-bootstrapper".to_owned(), BOOTSTRAPPERS),
        ("knarr:node-autoapprove-bootstrap", format!("{signing}:nodeclient"), BOOTSTRAPPERS),
        ("knarr:node-autoapprove-certificate-rotation", format!("{signing}:selfnodeclient"), "system:nodes"),
        ("knarr:node-proxier", "system:node-proxier".to_owned(), "system:nodes"),
    ];
    let binding = |(name, role, to): (&str, String, &str)| {
        let path = format!("/apis/{version}/clusterrolebindings/{name}");
        let object = json!({"apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role}, "subjects": subject(to)});
        (path, object)
    };
    let mut objects: Vec<_> = bindings.into_iter().map(binding).collect();
    // Unlike Kubernetes: what a node serves with is approved when it asks for itself under its own name and address.
    let (path, mut serving) = binding((
        "knarr:kubelet-serving-approver",
        "system:certificates.k8s.io:kubelet-serving-approver".to_owned(),
        "",
    ));
    serving["subjects"] =
        json!([{"kind": "ServiceAccount", "name": "certificate-controller", "namespace": "kube-system"}]);
    objects.push((path, serving));
    let metadata = json!({"name": NODE_CONFIG, "namespace": "kube-system"});
    let rules =
        json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [NODE_CONFIG], "verbs": ["get"]}]);
    let rbac = format!("/apis/{version}/namespaces/kube-system");
    objects.extend([
        (
            format!("/api/v1/namespaces/kube-system/configmaps/{NODE_CONFIG}"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {
                CLUSTER_CIDR: cluster.pod_cidr.to_string(), SERVICE_CIDR: cluster.service_cidr.to_string(),
                CLUSTER_DOMAIN: cluster.domain}}),
        ),
        (
            format!("{rbac}/roles/{NODE_CONFIG}"),
            json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules}),
        ),
        (
            format!("{rbac}/rolebindings/{NODE_CONFIG}"),
            json!({"apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": NODE_CONFIG}, "subjects": subject("system:nodes")}),
        ),
    ]);
    objects
}
