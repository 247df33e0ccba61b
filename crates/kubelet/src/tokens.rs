//! Tokens of service accounts, bound to pods: asked for once, kept, and asked for anew when most of their life is over.

use std::{collections::HashMap, time::Duration};

use api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Pod, ServiceAccount},
    jiff::Timestamp,
};
use client::{ApiError, Client, PostParams};
use parking_lot::Mutex;
use tokio::time::Instant;
use volumes::{Need, Token};

/// The share of its life after which a token is replaced, and the longest it is kept.
const REFRESH_PERCENT: u32 = 80;
const LONGEST_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Waits before a refusal is believed.
const LAG_DELAYS_MILLIS: [u64; 5] = [5, 10, 20, 40, 80];

struct Held {
    token: Token,
    refresh_at: Instant,
    expires_at: Instant,
}

/// By pod uid, which bounds it: [`Tokens::forget`].
#[derive(Default)]
pub(crate) struct Tokens {
    held: Mutex<HashMap<(String, Need), Held>>,
}

impl Tokens {
    /// The token, and when to ask again. When the server refuses a new one, the old one serves until it expires.
    pub(crate) async fn token(
        &self,
        client: &Client,
        pod: &Pod,
        need: &Need,
    ) -> Result<(Token, Instant), client::Error> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let key = (uid, need.clone());
        let now = Instant::now();
        let old = self.held.lock().get(&key).map(|h| (h.token.clone(), h.refresh_at, h.expires_at));
        if let Some((token, refresh_at, _)) = &old
            && *refresh_at > now
        {
            return Ok((token.clone(), *refresh_at));
        }
        match patient_request(client, pod, need).await {
            Ok(held) => {
                let answer = (held.token.clone(), held.refresh_at);
                self.held.lock().insert(key, held);
                Ok(answer)
            }
            Err(error) => match old.filter(|(_, _, expires_at)| *expires_at > now) {
                Some((token, _, _)) => {
                    tracing::warn!(%error, "a service account token could not be refreshed; the old one serves on");
                    Ok((token, now + Duration::from_secs(60)))
                }
                None => Err(error),
            },
        }
    }

    pub(crate) fn forget(&self, uid: &str) {
        self.held.lock().retain(|(of, _), _| of != uid);
    }
}

/// Authorization learns of a pod's node from a watch of its own, which may lag behind this kubelet's: a refusal is
/// believed when it stands for a moment.
async fn patient_request(client: &Client, pod: &Pod, need: &Need) -> Result<Held, client::Error> {
    for delay in LAG_DELAYS_MILLIS {
        match request(client, pod, need).await {
            Err(error) if error.is_forbidden() || error.is_not_found() => {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            answer => return answer,
        }
    }
    request(client, pod, need).await
}

async fn request(client: &Client, pod: &Pod, need: &Need) -> Result<Held, client::Error> {
    let Need::Token { audience, expiration_seconds } = need else {
        unreachable!("only tokens are asked for here");
    };
    let meta = &pod.metadata;
    let account = pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap_or_default();
    let spec = TokenRequestSpec {
        audiences: (!audience.is_empty()).then(|| vec![audience.clone()]),
        expiration_seconds: Some(*expiration_seconds),
        bound_object_ref: Some(BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
        }),
        ..TokenRequestSpec::default()
    };
    let wanted = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let api = client.namespaced::<ServiceAccount>(meta.namespace.as_deref().unwrap_or_default());
    let answer = api.create_token_request(&account, &PostParams::default(), &wanted).await?;
    let status = answer.status.unwrap_or_default();
    let expires = status.expiration_timestamp.map(|t| t.0.duration_since(Timestamp::now()));
    let life = expires.and_then(|left| Duration::try_from(left).ok()).unwrap_or_default();
    let now = Instant::now();
    let refresh_at = now + (life * REFRESH_PERCENT / 100).min(LONGEST_KEPT);
    Ok(Held { token: Token(status.token.unwrap_or_default()), refresh_at, expires_at: now + life })
}
