//! `ServiceAccount`: every pod runs as an account of its namespace, and gets that account's token mounted.

use apimachinery::{Object, Status, field::quote};
use async_trait::async_trait;
use rand::Rng;
use serde_json::{Value, json};

use crate::{Objects, Operation, Plugin, Request};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// An hour and seven seconds: by this the server knows that the client's library refreshes tokens.
const TOKEN_SECONDS: i64 = 3607;
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
const CONTAINER_LISTS: [&str; 2] = ["initContainers", "containers"];

pub(crate) struct ServiceAccount;

#[async_trait]
impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    async fn mutate(
        &self,
        request: &Request<'_>,
        object: Option<&mut Object>,
        objects: &dyn Objects,
    ) -> Result<(), Status> {
        let (Operation::Create, true, Some(pod)) = (request.operation, request.is("pods"), object) else {
            return Ok(());
        };
        if pod.annotation(MIRROR_ANNOTATION).is_some() {
            return mirror(request, pod);
        }
        if pod.get_str(&["spec", "serviceAccountName"]).unwrap_or_default().is_empty() {
            pod.set(&["spec", "serviceAccountName"], "default");
            pod.set(&["spec", "serviceAccount"], "default");
        }
        let name = pod.get_str(&["spec", "serviceAccountName"]).unwrap_or_default().to_owned();
        let Some(account) = objects.get(("", "v1", "serviceaccounts"), request.namespace, &name).await? else {
            let why = format!(
                "error looking up service account {}/{name}: serviceaccount {} not found",
                request.namespace,
                quote(&name)
            );
            return Err(request.forbidden(Some(pod), &why));
        };
        if automounts(&account, pod) {
            mount(pod);
        }
        let has_pull_secrets =
            pod.get(&["spec", "imagePullSecrets"]).and_then(Value::as_array).is_some_and(|s| !s.is_empty());
        if let (false, Some(secrets)) = (has_pull_secrets, account.get(&["imagePullSecrets"])) {
            pod.set(&["spec", "imagePullSecrets"], secrets.clone());
        }
        Ok(())
    }
}

/// A mirror pod only shows what a node runs by itself: it gets nothing from the API.
fn mirror(request: &Request<'_>, pod: &Object) -> Result<(), Status> {
    if !pod.get_str(&["spec", "serviceAccountName"]).unwrap_or_default().is_empty() {
        return Err(request.forbidden(Some(pod), "a mirror pod may not reference service accounts"));
    }
    let volumes = pod.get(&["spec", "volumes"]).and_then(Value::as_array).into_iter().flatten();
    for volume in volumes {
        let token = volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten();
        if volume.get("secret").is_some() {
            return Err(request.forbidden(Some(pod), "a mirror pod may not reference secrets"));
        }
        if token.into_iter().any(|s| s.get("serviceAccountToken").is_some()) {
            let why = "a mirror pod may not use ServiceAccountToken volume projections";
            return Err(request.forbidden(Some(pod), why));
        }
    }
    Ok(())
}

fn automounts(account: &Object, pod: &Object) -> bool {
    let says = |value: Option<&Value>| value.and_then(Value::as_bool);
    says(pod.get(&["spec", "automountServiceAccountToken"]))
        .or_else(|| says(account.get(&["automountServiceAccountToken"])))
        .unwrap_or(true)
}

fn mounts_token(container: &Value) -> bool {
    let mounts = container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
    mounts.into_iter().any(|m| m["mountPath"] == MOUNT_PATH)
}

/// Mounts the token into every container that has nothing at its place.
fn mount(pod: &mut Object) {
    let existing = pod
        .get(&["spec", "volumes"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|v| v.get("projected").is_some() && v["name"].as_str().is_some_and(|n| n.starts_with(VOLUME_PREFIX)))
        .and_then(|v| v["name"].as_str())
        .map(str::to_owned);
    let name = existing.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", suffix()));
    let mut mounted = false;
    for list in CONTAINER_LISTS {
        let Some(mut containers) = pod.get(&["spec", list]).and_then(Value::as_array).cloned() else { continue };
        for container in &mut containers {
            if mounts_token(container) || !container.is_object() {
                continue;
            }
            mounted = true;
            let mut mounts = container.get("volumeMounts").and_then(Value::as_array).cloned().unwrap_or_default();
            mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
            container["volumeMounts"] = mounts.into();
        }
        pod.set(&["spec", list], containers);
    }
    if mounted && existing.is_none() {
        let mut volumes = pod.get(&["spec", "volumes"]).and_then(Value::as_array).cloned().unwrap_or_default();
        volumes.push(volume(&name));
        pod.set(&["spec", "volumes"], volumes);
    }
}

fn volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}},
    ]}})
}

/// Five characters as generated names end in.
fn suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rng = rand::rng();
    (0..5).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}
