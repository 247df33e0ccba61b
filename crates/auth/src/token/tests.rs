//! Tokens live and die with what they are bound to.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use pki::KubernetesClaims;
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

#[derive(Default)]
struct Objects(Mutex<HashMap<(String, String), Object>>);

#[async_trait]
impl Reader for Objects {
    async fn core(&self, resource: &str, _namespace: &str, name: &str) -> Result<Option<Object>, Status> {
        Ok(self.0.lock().unwrap().get(&(resource.to_owned(), name.to_owned())).cloned())
    }
}

impl Objects {
    fn put(&self, resource: &str, name: &str, object: serde_json::Value) {
        let object = Object::from_value(object).unwrap();
        self.0.lock().unwrap().insert((resource.to_owned(), name.to_owned()), object);
    }
}

fn reference(name: &str, uid: &str) -> Option<ObjectRef> {
    Some(ObjectRef { name: name.to_owned(), uid: uid.to_owned() })
}

fn claims() -> Claims {
    Claims {
        aud: vec!["api".to_owned()],
        exp: NOW + 600,
        iat: NOW,
        nbf: NOW,
        iss: "https://issuer".to_owned(),
        jti: "j".to_owned(),
        sub: "system:serviceaccount:n:s".to_owned(),
        kubernetes: KubernetesClaims {
            namespace: "n".to_owned(),
            serviceaccount: reference("s", "u1"),
            pod: reference("p", "u2"),
            ..KubernetesClaims::default()
        },
    }
}

#[tokio::test]
async fn a_token_dies_with_its_pod() {
    let key = Arc::new(TokenKey::generate().unwrap().0);
    let token = key.sign(&claims()).unwrap();
    let objects = Arc::new(Objects::default());
    let tokens = ServiceAccountTokens::new(key, "https://issuer", Arc::<Objects>::clone(&objects));
    assert!(tokens.authenticate(&token, &["api"], NOW).await.is_err());
    objects.put("serviceaccounts", "s", json!({"metadata": {"uid": "u1"}}));
    assert!(tokens.authenticate(&token, &["api"], NOW).await.is_err());
    let pod = |uid: &str, deleted: Option<&str>| json!({"metadata": {"uid": uid, "deletionTimestamp": deleted}, "spec": {"serviceAccountName": "s"}});
    objects.put("pods", "p", pod("u2", None));
    let known = tokens.authenticate(&token, &["api", "x"], NOW).await.unwrap();
    assert_eq!(known.audiences, ["api"]);
    assert_eq!((known.user.username.as_str(), known.user.uid.as_str()), ("system:serviceaccount:n:s", "u1"));
    assert_eq!(known.user.extra["authentication.kubernetes.io/pod-name"], ["p"]);
    assert!(tokens.authenticate(&token, &["x"], NOW).await.is_err());
    assert!(tokens.authenticate(&token, &["api"], NOW + 601).await.is_err());
    objects.put("pods", "p", pod("u2", Some("2020-01-01T00:00:00Z")));
    assert!(tokens.authenticate(&token, &["api"], NOW).await.is_err());
    objects.put("pods", "p", pod("other", None));
    assert!(tokens.authenticate(&token, &["api"], NOW).await.is_err());
}
