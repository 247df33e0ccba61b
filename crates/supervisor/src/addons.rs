//! Objects the cluster's own services need: the Service of the cluster DNS and the right to read what it answers.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use apimachinery::UserInfo;
use client::{Body, Client};
use serde_json::{Value, json};

/// The service account the cluster DNS acts as.
pub(crate) const DNS_ACCOUNT: (&str, &str) = ("kube-system", "coredns");
const MANAGER: &str = "knarr";

/// Who writes these objects.
pub(crate) fn user() -> UserInfo {
    UserInfo::new("system:knarr", &["system:masters"])
}

/// Brings the objects of the cluster DNS to what they shall be, by server-side apply.
pub(crate) async fn install_dns(client: &Client, service_ip: IpAddr, endpoint: SocketAddr) -> anyhow::Result<()> {
    for (path, object) in dns_objects(service_ip, endpoint) {
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
fn dns_objects(service_ip: IpAddr, endpoint: SocketAddr) -> [(String, Value); 5] {
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
            format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/kube-dns"),
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": "kube-dns", "namespace": namespace, "labels": {
                    "kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": MANAGER}},
                "addressType": "IPv4", "ports": slice_ports,
                "endpoints": [{"addresses": [endpoint.ip().to_string()], "conditions": {"ready": true}}]}),
        ),
    ]
}
