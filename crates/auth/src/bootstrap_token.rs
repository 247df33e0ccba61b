//! Users by bootstrap token: `<id>.<secret>`, kept in a Secret of kube-system until it expires. They may ask for a
//! node's certificates and for little else.

use std::sync::Arc;

use apimachinery::{Object, Status, UserInfo};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::Reader;

const NAMESPACE: &str = "kube-system";
const NAME_PREFIX: &str = "bootstrap-token-";
const TYPE: &str = "bootstrap.kubernetes.io/token";
const GROUP: &str = "system:bootstrappers";
const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;

/// Why a bootstrap token does not authenticate. Clients read only `Unauthorized`; the log has this.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapRefused {
    #[error("there is no bootstrap token {id:?}")]
    Unknown { id: String },
    #[error("the bootstrap token {id:?} has another secret")]
    Secret { id: String },
    #[error("the bootstrap token {id:?} has expired")]
    Expired { id: String },
    #[error("the bootstrap token {id:?} is not meant for authentication")]
    Usage { id: String },
    #[error("the bootstrap token could not be read")]
    Read(#[source] Status),
}

/// The authenticator of bootstrap tokens.
pub struct BootstrapTokens {
    reader: Arc<dyn Reader>,
}

/// Id and secret, if the text has the form of a bootstrap token.
pub fn bootstrap_token(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let fits =
        |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (fits(id, ID_LENGTH) && fits(secret, SECRET_LENGTH)).then_some((id, secret))
}

impl BootstrapTokens {
    pub fn new(reader: Arc<dyn Reader>) -> Self {
        Self { reader }
    }

    /// `now` is in seconds since the Unix epoch.
    pub async fn authenticate(&self, id: &str, secret: &str, now: i64) -> Result<UserInfo, BootstrapRefused> {
        let found = self.reader.core("secrets", NAMESPACE, &format!("{NAME_PREFIX}{id}")).await;
        let found = found.map_err(BootstrapRefused::Read)?;
        let unknown = || BootstrapRefused::Unknown { id: id.to_owned() };
        let object = found.ok_or_else(unknown)?;
        if object.get_str(&["type"]) != Some(TYPE)
            || object.deletion_timestamp().is_some()
            || data(&object, "token-id") != id
        {
            return Err(unknown());
        }
        if !same(data(&object, "token-secret").as_bytes(), secret.as_bytes()) {
            return Err(BootstrapRefused::Secret { id: id.to_owned() });
        }
        let expiration = data(&object, "expiration");
        let lives = |text: &str| text.parse::<jiff::Timestamp>().is_ok_and(|end| end.as_second() > now);
        if !expiration.is_empty() && !lives(&expiration) {
            return Err(BootstrapRefused::Expired { id: id.to_owned() });
        }
        if data(&object, "usage-bootstrap-authentication") != "true" {
            return Err(BootstrapRefused::Usage { id: id.to_owned() });
        }
        let extra = data(&object, "auth-extra-groups");
        // Only groups of bootstrappers: whoever may write this Secret shall not become an administrator by it.
        let extra = extra.split(',').filter(|group| group.starts_with("system:bootstrappers:"));
        let groups: Vec<&str> = std::iter::once(GROUP).chain(extra).collect();
        Ok(UserInfo::new(format!("system:bootstrap:{id}"), &groups))
    }
}

/// A value of the Secret; empty when there is none.
fn data(secret: &Object, key: &str) -> String {
    let encoded = secret.get_str(&["data", key]).unwrap_or_default();
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// In a time that does not tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use async_trait::async_trait;
    use serde_json::{Value, json};

    use super::*;

    struct One(Value);

    #[async_trait]
    impl Reader for One {
        async fn core(&self, _: &str, _: &str, name: &str) -> Result<Option<Object>, Status> {
            Ok((name == "bootstrap-token-abcdef").then(|| Object::from_value(self.0.clone()).unwrap()))
        }
    }

    async fn ask(change: impl FnOnce(&mut Value), token: &str) -> Result<UserInfo, BootstrapRefused> {
        let encode = |text: &str| STANDARD.encode(text);
        let mut secret = json!({"type": TYPE, "metadata": {"name": "bootstrap-token-abcdef"}, "data": {
            "token-id": encode("abcdef"), "token-secret": encode("0123456789abcdef"),
            "expiration": encode("2030-01-01T00:00:00Z"), "usage-bootstrap-authentication": encode("true"),
            "auth-extra-groups": encode("system:bootstrappers:knarr:default-node-token,system:masters"),
        }});
        change(&mut secret);
        let (id, secret_part) = bootstrap_token(token).unwrap();
        BootstrapTokens::new(Arc::new(One(secret))).authenticate(id, secret_part, 1_800_000_000).await
    }

    #[tokio::test]
    async fn a_token_that_lives_is_a_bootstrapper_and_no_more() {
        let user = ask(|_| {}, "abcdef.0123456789abcdef").await.unwrap();
        assert_eq!(user.username, "system:bootstrap:abcdef");
        assert!(user.in_group(GROUP) && user.in_group("system:bootstrappers:knarr:default-node-token"));
        assert!(!user.in_group("system:masters"));
    }

    #[tokio::test]
    async fn every_flaw_refuses() {
        use BootstrapRefused as No;
        assert!(matches!(ask(|_| {}, "abcdeg.0123456789abcdef").await, Err(No::Unknown { .. })));
        assert!(matches!(ask(|_| {}, "abcdef.0123456789abcdeg").await, Err(No::Secret { .. })));
        let old = |s: &mut Value| s["data"]["expiration"] = json!(STANDARD.encode("2020-01-01T00:00:00Z"));
        assert!(matches!(ask(old, "abcdef.0123456789abcdef").await, Err(No::Expired { .. })));
        let nonsense = |s: &mut Value| s["data"]["expiration"] = json!(STANDARD.encode("soon"));
        assert!(matches!(ask(nonsense, "abcdef.0123456789abcdef").await, Err(No::Expired { .. })));
        let opaque = |s: &mut Value| s["type"] = json!("Opaque");
        assert!(matches!(ask(opaque, "abcdef.0123456789abcdef").await, Err(No::Unknown { .. })));
        let unused = |s: &mut Value| s["data"]["usage-bootstrap-authentication"] = json!("");
        assert!(matches!(ask(unused, "abcdef.0123456789abcdef").await, Err(No::Usage { .. })));
        for form in ["abcdef", "abcde.0123456789abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcde"] {
            assert!(bootstrap_token(form).is_none(), "{form}");
        }
    }
}
