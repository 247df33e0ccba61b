//! Who asks for a certificate is who makes the request, whatever he writes. Upstream does this in the kind's strategy;
//! here kinds know no users.

use apimachinery::{Object, Status};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{Objects, Operation, Plugin, Request};

pub(crate) struct CertificateRequestor;

#[async_trait]
impl Plugin for CertificateRequestor {
    fn name(&self) -> &'static str {
        "CertificateRequestor"
    }

    async fn mutate(&self, request: &Request<'_>, object: Option<&mut Object>, _: &dyn Objects) -> Result<(), Status> {
        let Some(object) = object.filter(|_| request.resource == "certificatesigningrequests") else { return Ok(()) };
        if request.group != "certificates.k8s.io" || request.operation != Operation::Create {
            return Ok(());
        }
        let user = request.user;
        object.set(&["spec", "username"], user.username.clone());
        object.set(&["spec", "groups"], json!(user.groups));
        for (field, value) in [("uid", json!(user.uid)), ("extra", json!(user.extra))] {
            let empty = value.as_str() == Some("") || value.as_object().is_some_and(serde_json::Map::is_empty);
            object.set(&["spec", field], if empty { Value::Null } else { value });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use apimachinery::UserInfo;

    use super::*;
    use crate::Gvr;

    struct Nothing;

    #[async_trait]
    impl Objects for Nothing {
        async fn get(&self, _: Gvr<'_>, _: &str, _: &str) -> Result<Option<Object>, Status> {
            Ok(None)
        }
        async fn list(&self, _: Gvr<'_>, _: &str) -> Result<Vec<Object>, Status> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn nobody_asks_in_anothers_name() {
        let user = UserInfo::new("system:bootstrap:abcdef", &["system:bootstrappers"]);
        let options = Value::Null;
        let request = Request {
            operation: Operation::Create,
            group: "certificates.k8s.io",
            kind: "CertificateSigningRequest",
            resource: "certificatesigningrequests",
            namespaced: false,
            subresource: "",
            namespace: "",
            name: "x",
            user: &user,
            old: None,
            options: &options,
            dry_run: false,
            warn: &|_| {},
        };
        let mut object = Object::from_value(
            json!({"metadata": {"name": "x"}, "spec": {"username": "admin", "groups": ["system:masters"]}}),
        )
        .unwrap();
        CertificateRequestor.mutate(&request, Some(&mut object), &Nothing).await.unwrap();
        assert_eq!(object.get_str(&["spec", "username"]), Some("system:bootstrap:abcdef"));
        assert_eq!(object.get(&["spec", "groups"]), Some(&json!(["system:bootstrappers", "system:authenticated"])));
    }
}
