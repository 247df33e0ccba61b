//! `serviceaccounts/token`: new tokens, bound to an account and, where asked for, to a pod, a secret or a node.

use apimachinery::{
    GroupKind, GroupResource, Object, Status, UserInfo,
    field::{Error, ErrorList, Path},
};
use pki::{Claims, KubernetesClaims, ObjectRef};
use registry::{Body, RequestContext};
use serde_json::{Value, json};

use crate::server::ApiServer;

const DEFAULT_SECONDS: i64 = 60 * 60;
const MIN_SECONDS: i64 = 10 * 60;
const MAX_SECONDS: i64 = 1 << 32;
/// Upstream gives the tokens that the admission plug-in asks for (these seconds) a year, and warns after them.
const WARN_AFTER_SECONDS: i64 = 3607;
const EXTENDED_SECONDS: i64 = 365 * 24 * 60 * 60;
const GROUP: &str = "authentication.k8s.io";

impl ApiServer {
    pub(crate) async fn token_request(&self, context: &RequestContext, sent: &Body) -> Result<Value, Status> {
        let mut request = decoded(context, sent)?;
        let account = self.object("serviceaccounts", context.namespace(), &context.name).await?;
        if request.get(&["spec", "expirationSeconds"]).is_none_or(Value::is_null) {
            request.set(&["spec", "expirationSeconds"], DEFAULT_SECONDS);
        }
        validate(&request)?;
        let config = &self.inner.config;
        if request.get(&["spec", "audiences"]).and_then(Value::as_array).is_none_or(Vec::is_empty) {
            request.set(&["spec", "audiences"], config.api_audiences.clone());
        }
        self.check_node_scope(context, &request)?;
        let mut bound = KubernetesClaims {
            namespace: context.namespace().to_owned(),
            serviceaccount: Some(reference(&account)),
            ..KubernetesClaims::default()
        };
        self.bind(&request, &account, &mut bound).await?;
        let now = context.now.as_second();
        let (seconds, warn) = lifetime(&request, &bound, &config.api_audiences);
        bound.warnafter = warn.map(|after| now + after);
        let asked = request.get(&["spec", "expirationSeconds"]).and_then(Value::as_i64).unwrap_or(DEFAULT_SECONDS);
        let claims = Claims {
            aud: audiences(&request),
            exp: now + seconds,
            iat: now,
            iss: config.issuer.clone(),
            jti: crate::ids::uuid(),
            kubernetes: bound,
            nbf: now,
            sub: UserInfo::service_account(context.namespace(), account.name()).username,
        };
        let token = config.token_key.sign(&claims).map_err(Status::internal)?;
        let expires = jiff::Timestamp::from_second(now + asked).map_err(Status::internal)?;
        if request.get(&["spec", "boundObjectRef"]).is_none() {
            request.set(&["spec", "boundObjectRef"], Value::Null);
        }
        request.set(&["kind"], "TokenRequest");
        request.set(&["apiVersion"], format!("{GROUP}/v1"));
        request.set(
            &["metadata"],
            json!({"name": account.name(), "namespace": context.namespace(), "creationTimestamp": context.timestamp()}),
        );
        request.set(
            &["status"],
            json!({"token": token, "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()}),
        );
        Ok(request.into_value())
    }

    async fn object(&self, resource: &str, namespace: &str, name: &str) -> Result<Object, Status> {
        let found = self.inner.live.get(("", "v1", resource), namespace, name).await?;
        found.ok_or_else(|| Status::not_found(&GroupResource::new("", resource), name))
    }

    /// A node gets tokens for its own pods only. The authorizer has seen the account; here it is the pod.
    fn check_node_scope(&self, context: &RequestContext, request: &Object) -> Result<(), Status> {
        let Some(node) = auth::node_of(&context.user) else { return Ok(()) };
        let refuse = |why: &str| {
            let resource = GroupResource::new("", "serviceaccounts");
            Err(Status::forbidden(&resource, &context.name, why))
        };
        let bound = |field: &str| request.get_str(&["spec", "boundObjectRef", field]).unwrap_or_default();
        if bound("kind") != "Pod" || bound("name").is_empty() {
            return refuse("node requested token not bound to a pod");
        }
        if bound("uid").is_empty() {
            return refuse("node requested token with a pod binding without a uid");
        }
        let pod = auth::Referent {
            kind: auth::ReferentKind::Pod,
            namespace: context.namespace().to_owned(),
            name: bound("name").to_owned(),
        };
        if !self.inner.graph.reaches(node, &pod) {
            return refuse(&format!(
                "node requested token bound to a pod scheduled on a different node: {}",
                bound("name")
            ));
        }
        Ok(())
    }

    /// Checks the object the token is to be bound to, and binds it.
    async fn bind(&self, request: &Object, account: &Object, bound: &mut KubernetesClaims) -> Result<(), Status> {
        let Some(wanted) = request.get(&["spec", "boundObjectRef"]).filter(|r| !r.is_null()) else { return Ok(()) };
        let text = |field: &str| wanted.get(field).and_then(Value::as_str).unwrap_or_default();
        let (name, uid, namespace) = (text("name"), text("uid"), bound.namespace.clone());
        match (text("apiVersion"), text("kind")) {
            ("v1", "Pod") => {
                let pod = self.object("pods", &namespace, name).await?;
                same_uid(&pod, "Pod", name, uid)?;
                if pod.get_str(&["spec", "serviceAccountName"]) != Some(account.name()) {
                    return Err(Status::bad_request(format!(
                        "cannot bind token for serviceaccount {} to pod running with different serviceaccount name.",
                        apimachinery::field::quote(account.name())
                    )));
                }
                if let Some(node) = pod.get_str(&["spec", "nodeName"]).filter(|n| !n.is_empty()) {
                    bound.node = self.inner.live.get(("", "v1", "nodes"), "", node).await?.as_ref().map(reference);
                }
                bound.pod = Some(reference(&pod));
            }
            ("v1", "Secret") => {
                let secret = self.object("secrets", &namespace, name).await?;
                same_uid(&secret, "Secret", name, uid)?;
                bound.secret = Some(reference(&secret));
            }
            ("v1", "Node") => {
                let node = self.object("nodes", "", name).await?;
                same_uid(&node, "Node", name, uid)?;
                bound.node = Some(reference(&node));
            }
            (api_version, kind) => {
                let gv = apimachinery::GroupVersion::parse(api_version)
                    .unwrap_or_else(|| apimachinery::GroupVersion::new("", api_version));
                let gvk = apimachinery::GroupVersionKind::new(gv.group, gv.version, kind);
                return Err(Status::bad_request(format!("cannot bind token to object of type {gvk}")));
            }
        }
        Ok(())
    }
}

fn decoded(context: &RequestContext, sent: &Body) -> Result<Object, Status> {
    let tree: Value = match sent {
        Body::Json(bytes) if bytes.is_empty() => json!({}),
        Body::Json(bytes) => serde_json::from_slice(bytes).map_err(|e| Status::bad_request(e.to_string()))?,
        Body::Tree(object) => object.clone().into_value(),
    };
    let request = Object::from_value(tree).map_err(|_| Status::bad_request("the body is no TokenRequest"))?;
    let known =
        |object: &Object, key: &str, what: &str| object.get_str(&[key]).is_none_or(|is| is.is_empty() || is == what);
    if !known(&request, "kind", "TokenRequest") || !known(&request, "apiVersion", "authentication.k8s.io/v1") {
        return Err(Status::bad_request(format!(
            "{} in version {} cannot be handled as a TokenRequest",
            request.kind(),
            apimachinery::field::quote(request.api_version())
        )));
    }
    if !request.name().is_empty() && request.name() != context.name {
        return Err(Status::bad_request(format!(
            "name in URL does not match name in TokenRequest object: {} != {}",
            context.name,
            request.name()
        )));
    }
    if !request.namespace().is_empty() && request.namespace() != context.namespace() {
        return Err(Status::bad_request(format!(
            "namespace in URL does not match namespace in TokenRequest object: {} != {}",
            context.namespace(),
            request.namespace()
        )));
    }
    let mut kept = Object::default();
    kept.set(&["spec"], request.get(&["spec"]).cloned().filter(Value::is_object).unwrap_or_else(|| json!({})));
    Ok(kept)
}

fn validate(request: &Object) -> Result<(), Status> {
    let mut errors = ErrorList::new();
    let path = Path::new("spec").child("expirationSeconds");
    let seconds = request.get(&["spec", "expirationSeconds"]).and_then(Value::as_i64).unwrap_or_default();
    if seconds < MIN_SECONDS {
        errors.push(Error::invalid(&path, seconds, "may not specify a duration less than 10 minutes"));
    }
    if seconds > MAX_SECONDS {
        errors.push(Error::invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds"));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&GroupKind::new(GROUP, "TokenRequest"), "", &errors))
}

fn audiences(request: &Object) -> Vec<String> {
    let list = request.get(&["spec", "audiences"]).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|a| a.as_str().map(str::to_owned)).collect()
}

/// For how long a token is good, and after what time its use is warned about.
fn lifetime(request: &Object, bound: &KubernetesClaims, api_audiences: &[String]) -> (i64, Option<i64>) {
    let asked = request.get(&["spec", "expirationSeconds"]).and_then(Value::as_i64).unwrap_or(DEFAULT_SECONDS);
    let for_us = audiences(request).iter().all(|a| api_audiences.contains(a));
    if asked == WARN_AFTER_SECONDS && bound.pod.is_some() && for_us {
        (EXTENDED_SECONDS, Some(WARN_AFTER_SECONDS))
    } else {
        (asked, None)
    }
}

fn reference(object: &Object) -> ObjectRef {
    ObjectRef { name: object.name().to_owned(), uid: object.uid().to_owned() }
}

fn same_uid(object: &Object, kind: &str, name: &str, wanted: &str) -> Result<(), Status> {
    if wanted.is_empty() || wanted == object.uid() {
        return Ok(());
    }
    let why = format!(
        "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have \
         been deleted and then recreated"
    );
    Err(Status::conflict(&GroupResource::new("", kind), name, &why))
}
