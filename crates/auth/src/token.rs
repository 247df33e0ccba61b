//! Users by service account token: signed by us, and bound to objects that must still live.

use std::sync::Arc;

use apimachinery::{Object, Status, UserInfo};
use pki::{Claims, ObjectRef, TokenError, TokenKey};

use crate::{Reader, certificate::CREDENTIAL_ID};

/// A token outlives the deletion of its object by this much, so that a pod can say goodbye.
const DELETION_LEEWAY_SECONDS: i64 = 60;

/// Why a token does not authenticate. Clients read only `Unauthorized`; the log has this.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the {kind} {name:?} the token is bound to is gone")]
    BoundObject { kind: &'static str, name: String },
    #[error("the token's subject is not the service account it names")]
    Subject,
    #[error("the object the token is bound to could not be read")]
    Read(#[source] Status),
}

/// A user, and for which of the asked audiences its token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    pub user: UserInfo,
    pub audiences: Vec<String>,
}

/// The authenticator of service account tokens.
pub struct ServiceAccountTokens {
    key: Arc<TokenKey>,
    issuer: String,
    reader: Arc<dyn Reader>,
}

impl ServiceAccountTokens {
    pub fn new(key: Arc<TokenKey>, issuer: impl Into<String>, reader: Arc<dyn Reader>) -> Self {
        Self { key, issuer: issuer.into(), reader }
    }

    /// Whom the token names, when it is for one of `audiences` and everything it is bound to lives. `now` is in
    /// seconds since the Unix epoch.
    pub async fn authenticate(&self, token: &str, audiences: &[&str], now: i64) -> Result<Authenticated, TokenRefused> {
        let claims = self.key.verify(token, &self.issuer, audiences, now)?;
        let user = self.user(&claims, now).await?;
        let audiences = claims.aud.into_iter().filter(|aud| audiences.contains(&aud.as_str())).collect();
        Ok(Authenticated { user, audiences })
    }

    async fn user(&self, claims: &Claims, now: i64) -> Result<UserInfo, TokenRefused> {
        let bound = &claims.kubernetes;
        let namespace = bound.namespace.as_str();
        let account = bound.serviceaccount.as_ref().ok_or(TokenRefused::Subject)?;
        let mut user = UserInfo::service_account(namespace, &account.name);
        if claims.sub != user.username {
            return Err(TokenRefused::Subject);
        }
        self.live("serviceaccounts", "service account", namespace, account, now).await?;
        if let Some(secret) = &bound.secret {
            self.live("secrets", "secret", namespace, secret, now).await?;
        }
        let mut extra = Vec::new();
        if let Some(pod) = &bound.pod {
            let object = self.live("pods", "pod", namespace, pod, now).await?;
            if object.get_str(&["spec", "serviceAccountName"]) != Some(account.name.as_str()) {
                return Err(TokenRefused::Subject);
            }
            extra.push(("authentication.kubernetes.io/pod-name", pod.name.clone()));
            extra.push(("authentication.kubernetes.io/pod-uid", pod.uid.clone()));
        }
        if let Some(node) = &bound.node {
            // With a pod the node only informs: the pod's life is what counts.
            if bound.pod.is_none() {
                self.live("nodes", "node", "", node, now).await?;
            }
            extra.push(("authentication.kubernetes.io/node-name", node.name.clone()));
            extra.push(("authentication.kubernetes.io/node-uid", node.uid.clone()));
        }
        if !claims.jti.is_empty() {
            extra.push((CREDENTIAL_ID, format!("JTI={}", claims.jti)));
        }
        user.uid = account.uid.clone();
        user.extra = extra.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k.to_owned(), vec![v])).collect();
        Ok(user)
    }

    async fn live(
        &self,
        resource: &str,
        kind: &'static str,
        namespace: &str,
        reference: &ObjectRef,
        now: i64,
    ) -> Result<Object, TokenRefused> {
        let gone = || TokenRefused::BoundObject { kind, name: reference.name.clone() };
        let object = self
            .reader
            .core(resource, namespace, &reference.name)
            .await
            .map_err(TokenRefused::Read)?
            .ok_or_else(gone)?;
        let deleted = object.deletion_timestamp().and_then(|t| t.parse::<jiff::Timestamp>().ok());
        let expired = deleted.is_some_and(|t| t.as_second() < now - DELETION_LEEWAY_SECONDS);
        if object.uid() != reference.uid || expired { Err(gone()) } else { Ok(object) }
    }
}

#[cfg(test)]
mod tests;
