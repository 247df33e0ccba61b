//! Tokens by which nodes join: `K1<hash of the server's authority>::<id>.<secret>`. The part behind the colons is a
//! bootstrap token of Kubernetes; the hash lets the node know the server before it says its secret.

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr, time::Duration};

use anyhow::{Context, bail, ensure};
use api::{core::v1::Secret, jiff::Timestamp, meta::ObjectMeta};
use client::{ApiError, Client, DeleteParams, ListParams, PostParams};
use rand::Rng;

use crate::addons::BOOTSTRAPPERS;

const VERSION: &str = "K1";
const NAMESPACE: &str = "kube-system";
const NAME_PREFIX: &str = "bootstrap-token-";
/// The group of tokens for one node; its name follows.
const FOR_NODE: &str = "system:bootstrappers:knarr:node:";
const TYPE: &str = "bootstrap.kubernetes.io/token";
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// What a node is told.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// SHA-256 of the authority's certificate.
    pub authority_hash: String,
    pub id: String,
    secret: String,
}

impl JoinToken {
    /// What is said to the server.
    pub(crate) fn bearer(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }

    /// With its secret, for who made it.
    pub fn reveal(&self) -> String {
        format!("{VERSION}{}::{}", self.authority_hash, self.bearer())
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("authority_hash", &self.authority_hash)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let form = "the token has not the form K1<64 hexadecimal digits>::<6 letters>.<16 letters>; `knarr token create` on the server prints one";
        let (hash, bearer) = text.trim().strip_prefix(VERSION).and_then(|rest| rest.split_once("::")).context(form)?;
        let (id, secret) = bearer.split_once('.').context(form)?;
        let plain = |text: &str| text.bytes().all(|b| ALPHABET.contains(&b));
        ensure!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()), form);
        ensure!(id.len() == 6 && secret.len() == 16 && plain(id) && plain(secret), form);
        Ok(Self { authority_hash: hash.to_ascii_lowercase(), id: id.to_owned(), secret: secret.to_owned() })
    }
}

/// What is shown of a token.
pub struct ListedToken {
    pub id: String,
    /// None for ever.
    pub expires: Option<String>,
    pub description: String,
}

/// Makes a token on the server whose data are in this folder. A life of zero is one without end. One for a node is good
/// for that node only, and lets it in again where it is known already.
pub async fn create_token(
    data_dir: &Path,
    life: Duration,
    description: &str,
    node: Option<&str>,
) -> anyhow::Result<JoinToken> {
    if let Some(node) = node {
        let wrong = apimachinery::validation::dns1123_subdomain(node);
        ensure!(wrong.is_empty(), "{node:?} is no name of a node: {}", wrong.join(", "));
    }
    let client = administrator(data_dir).await?;
    let path = data_dir.join("pki").join("ca.crt");
    let ca = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let token = JoinToken { authority_hash: pki::authority_hash(&ca)?, id: random(6), secret: random(16) };
    let mut data = BTreeMap::from([
        ("token-id", token.id.clone()),
        ("token-secret", token.secret.clone()),
        ("usage-bootstrap-authentication", "true".to_owned()),
        ("auth-extra-groups", groups(node)),
    ]);
    if !life.is_zero() {
        let end = Timestamp::from_second(Timestamp::now().as_second().saturating_add_unsigned(life.as_secs()))
            .context("the token's life is too long")?;
        data.insert("expiration", end.to_string());
    }
    if !description.is_empty() {
        data.insert("description", description.to_owned());
    }
    let secret = Secret {
        metadata: ObjectMeta { name: Some(format!("{NAME_PREFIX}{}", token.id)), ..ObjectMeta::default() },
        type_: Some(TYPE.to_owned()),
        string_data: Some(data.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ..Secret::default()
    };
    client.namespaced::<Secret>(NAMESPACE).create(&PostParams::default(), &secret).await.context("store the token")?;
    Ok(token)
}

/// The signer of certificates knows by them what a token is for.
fn groups(node: Option<&str>) -> String {
    node.map_or_else(|| BOOTSTRAPPERS.to_owned(), |node| format!("{BOOTSTRAPPERS},{FOR_NODE}{node}"))
}

/// The tokens of the server whose data are in this folder, the expired ones too.
pub async fn list_tokens(data_dir: &Path) -> anyhow::Result<Vec<ListedToken>> {
    let client = administrator(data_dir).await?;
    let params = ListParams::default().fields(&format!("type={TYPE}"));
    let secrets = client.namespaced::<Secret>(NAMESPACE).list(&params).await.context("list the tokens")?;
    let listed = |secret: Secret| {
        let value = |key: &str| {
            let bytes = secret.data.as_ref().and_then(|d| d.get(key)).map(|b| b.0.clone()).unwrap_or_default();
            String::from_utf8(bytes).unwrap_or_default()
        };
        ListedToken {
            id: value("token-id"),
            expires: Some(value("expiration")).filter(|e| !e.is_empty()),
            description: value("description"),
        }
    };
    Ok(secrets.items.into_iter().map(listed).collect())
}

/// By id, or by a whole token.
pub async fn delete_token(data_dir: &Path, token: &str) -> anyhow::Result<String> {
    let bearer = token.rsplit("::").next().unwrap_or(token);
    let id = bearer.split('.').next().unwrap_or(bearer).to_owned();
    let client = administrator(data_dir).await?;
    let name = format!("{NAME_PREFIX}{id}");
    match client.namespaced::<Secret>(NAMESPACE).delete(&name, &DeleteParams::default()).await {
        Ok(_) => Ok(id),
        Err(error) if error.is_not_found() => {
            bail!("there is no token {id:?}; `knarr token list` shows those there are")
        }
        Err(error) => Err(error).with_context(|| format!("delete the token {id:?}")),
    }
}

async fn administrator(data_dir: &Path) -> anyhow::Result<Client> {
    let path = data_dir.join("admin.kubeconfig");
    ensure!(path.is_file(), "{} is missing: tokens are made on the server, with its --data-dir", path.display());
    Ok(Client::from_kubeconfig(&path).await?)
}

fn random(length: usize) -> String {
    let mut source = rand::rng();
    (0..length).map(|_| char::from(ALPHABET[source.random_range(0..ALPHABET.len())])).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_token_is_read_back_and_not_shown_by_accident() {
        let token = JoinToken { authority_hash: "ab".repeat(32), id: random(6), secret: random(16) };
        assert_eq!(token.reveal().parse::<JoinToken>().unwrap(), token);
        assert!(!format!("{token:?}").contains(&token.secret));
        for wrong in ["", "abcdef.0123456789abcdef", "K1ab::abcdef.0123456789abcdef", &token.reveal()[..70]] {
            assert!(wrong.parse::<JoinToken>().is_err(), "{wrong}");
        }
    }
}
