//! Requests for certificates: who may approve, deny and sign, and that what was said stays said.

use base64::Engine;
use pki::{KeyAndRequest, Leaf};
use testkit::{Kubectl, eventually};

use super::{shared, with_every_kubectl};

/// A request by the name of its object, for a signer that nobody plays.
pub(crate) fn request(name: &str, signer: &str, leaf: &Leaf) -> (String, KeyAndRequest) {
    let made = KeyAndRequest::make(leaf, None).unwrap();
    let encoded = base64::engine::general_purpose::STANDARD.encode(&made.request_pem);
    let manifest = format!(
        "apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {{name: {name}}}
spec: {{request: {encoded}, signerName: {signer}, usages: [digital signature, client auth]}}
---
"
    );
    (manifest, made)
}

fn asked(kubectl: &Kubectl, name: &str) {
    kubectl.apply(&request(name, "example.com/s", &Leaf::client("alice", Some("devs"))).0);
}

fn condition(kubectl: &Kubectl, name: &str) -> String {
    let row = kubectl.ok(&format!("get csr {name} --no-headers"));
    row.split_whitespace().last().unwrap().to_owned()
}

#[test]
fn people_approve_and_deny_once() {
    with_every_kubectl("csr", |kubectl| {
        let (yes, no) = (format!("yes-{}", kubectl.namespace()), format!("no-{}", kubectl.namespace()));
        asked(kubectl, &yes);
        asked(kubectl, &no);
        assert_eq!(condition(kubectl, &yes), "Pending");
        let said = kubectl.ok(&format!("certificate approve {yes}"));
        assert_eq!(said, format!("certificatesigningrequest.certificates.k8s.io/{yes} approved\n"));
        assert_eq!(condition(kubectl, &yes), "Approved");
        let said = kubectl.ok(&format!("certificate deny {no}"));
        assert_eq!(said, format!("certificatesigningrequest.certificates.k8s.io/{no} denied\n"));
        assert_eq!(condition(kubectl, &no), "Denied");

        let refused = kubectl.fails(&format!("certificate deny {yes}"));
        assert!(refused.contains(&format!("certificate signing request {yes:?} is already Approved")), "{refused}");
        let refused = kubectl.fails(&format!("certificate approve {no}"));
        assert!(refused.contains(&format!("certificate signing request {no:?} is already Denied")), "{refused}");
        // Once more is no change.
        let before = kubectl.value(&format!("csr/{yes}"), "{.metadata.resourceVersion}");
        kubectl.ok(&format!("certificate approve {yes}"));
        assert_eq!(kubectl.value(&format!("csr/{yes}"), "{.metadata.resourceVersion}"), before);
        kubectl.run(["describe", "csr", &yes]).says("Approved").says("alice").says("devs");
    });
}

/// PUT of an object to a path.
fn put(kubectl: &Kubectl, path: &str, object: &serde_json::Value) -> testkit::Output {
    kubectl.run_with(&object.to_string(), ["replace", "--raw", path, "-f", "-"])
}

#[test]
fn each_door_changes_what_it_is_for() {
    let server = shared();
    let kubectl = server.kubectl();
    asked(&kubectl, "doors");
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests/doors";
    let read = || kubectl.run(["get", "csr", "doors", "-o", "json"]).json();
    let said = |kind: &str| serde_json::json!([{"type": kind, "status": "True", "reason": "R", "message": "m"}]);
    let with = |conditions: serde_json::Value| {
        let mut object = read();
        object["metadata"]["resourceVersion"].take();
        object["status"]["conditions"] = conditions;
        object
    };
    let refused = |door: &str, object: &serde_json::Value, why: &str| {
        let answer = put(&kubectl, &format!("{path}{door}"), object).fails();
        assert!(answer.contains(why), "{answer}");
    };
    // Approval comes by its own door only, and only whole.
    let answer = put(&kubectl, path, &with(said("Approved"))).json();
    assert_eq!(answer["status"], serde_json::json!({}));
    refused("/status", &with(said("Approved")), "updates may not add a condition of type \"Approved\"");
    let mut half = with(said("Approved"));
    half["status"]["conditions"][0]["status"] = "False".into();
    refused("/approval", &half, "Unsupported value: \"False\": supported values: \"True\"");
    let mut both = with(said("Approved"));
    both["status"]["conditions"].as_array_mut().unwrap().push(said("Denied")[0].clone());
    refused("/approval", &both, "Approved and Denied conditions are mutually exclusive");
    // Nothing but conditions comes with it.
    let mut signed = with(said("Approved"));
    signed["status"]["certificate"] = "bm9wZQ==".into();
    signed["spec"]["signerName"] = "example.com/other".into();
    let approved = put(&kubectl, &format!("{path}/approval"), &signed).json();
    assert_eq!(approved["spec"]["signerName"], "example.com/s");
    assert!(approved["status"]["certificate"].is_null(), "{approved}");
    assert!(approved["status"]["conditions"][0]["lastUpdateTime"].is_string(), "{approved}");
    assert!(approved["status"]["conditions"][0]["lastTransitionTime"].is_string(), "{approved}");

    refused("/approval", &with(said("Denied")), "updates may not remove a condition of type \"Approved\"");
    refused("/status", &with(serde_json::json!([])), "updates may not remove a condition of type \"Approved\"");
    let mut nonsense = read();
    nonsense["status"]["certificate"] = "bm9wZQ==".into();
    refused("/status", &nonsense, "must contain at least one CERTIFICATE PEM block");
}

#[test]
fn signers_are_guarded() {
    let server = shared();
    let kubectl = server.kubectl();
    asked(&kubectl, "guarded");
    kubectl.apply(
        r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: csr-writer}
rules:
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [get, list]}
- apiGroups: [certificates.k8s.io]
  resources: [certificatesigningrequests/approval, certificatesigningrequests/status]
  verbs: [get, update, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: csr-writer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: csr-writer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: csr-bob}]
"#,
    );
    // The authorizer follows the stored roles by a watch: before it knows them, other words refuse.
    let why = "certificatesigningrequests.certificates.k8s.io \"guarded\" is forbidden: user not permitted to approve \
               requests with signerName \"example.com/s\"";
    eventually("the role is known", || {
        let refused = kubectl.fails("certificate approve guarded --as csr-bob");
        if refused.contains(why) { Ok(()) } else { Err(refused) }
    });
    kubectl.apply(
        r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "csr-approver"},
            "rules": [{"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["approve"],
                "resourceNames": ["example.com/*"]}]}"#,
    );
    kubectl.ok("create clusterrolebinding csr-approver --clusterrole=csr-approver --user=csr-bob");
    kubectl.until("certificate approve guarded --as csr-bob", |_| true);

    let sign = [
        "patch",
        "csr",
        "guarded",
        "--subresource=status",
        "--type=merge",
        "--as=csr-bob",
        "-p",
        r#"{"status": {"certificate": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="}}"#,
    ];
    let refused = kubectl.run(sign).fails();
    assert!(refused.contains("user not permitted to sign requests with signerName \"example.com/s\""), "{refused}");

    let masters = Leaf::client("eve", Some("system:masters"));
    let manifest = request("masters", "kubernetes.io/kube-apiserver-client", &masters).0;
    let refused = kubectl.run_with(&manifest, ["create", "-f", "-"]).fails();
    let why = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
    assert!(refused.contains(why), "{refused}");
    let (head, rest) = manifest.split_once("request: ").unwrap();
    let nonsense = format!("{head}request: bm9wZQ==,{}", rest.split_once(',').unwrap().1);
    let refused = kubectl.run_with(&nonsense, ["create", "-f", "-"]).fails();
    assert!(refused.contains("PEM block type must be CERTIFICATE REQUEST"), "{refused}");
}
