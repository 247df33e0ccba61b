//! Who sends a request: somebody in this process, the holder of a client certificate or of a token, or nobody; and
//! as whom he acts.

use apimachinery::{Identity, Status, UserInfo};
use auth::Impersonation;
use http::{Request, header};

use crate::{config::Anonymous, respond::Body, server::ApiServer};

/// What the socket adapter knows of a connection. Put into the extensions of each of its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: std::net::SocketAddr,
    /// The leaf of the client's certificate chain, when TLS verified one.
    pub certificate: Option<std::sync::Arc<[u8]>>,
}

/// Paths open to everybody under [`Anonymous::HealthAndVersion`], with everything below them.
const HEALTH_AND_VERSION: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

pub(crate) enum Refusal {
    Unauthorized,
    Forbidden(Box<Status>),
    /// Headers that make no sense. Upstream answers 500.
    Malformed(String),
}

impl ApiServer {
    /// Authenticates and impersonates. Credentials are taken out of the request, so that no later hop sees them.
    pub(crate) async fn user_of(&self, request: &mut Request<Body>, path: String) -> Result<UserInfo, Refusal> {
        let user = self.authenticate(request, path.clone()).await?;
        request.headers_mut().remove(header::AUTHORIZATION);
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let impersonation = Impersonation::from_headers(headers).map_err(|error| {
            let path = apimachinery::field::quote(&path);
            Refusal::Malformed(format!("Internal Server Error: {path}: {error}\n"))
        })?;
        let Some(impersonation) = impersonation else { return Ok(user) };
        let names: Vec<_> =
            request.headers().keys().filter(|n| n.as_str().starts_with("impersonate-")).cloned().collect();
        for name in names {
            request.headers_mut().remove(name);
        }
        impersonation
            .authorize(&user, &self.inner.chain)
            .map_err(|(attributes, reason)| Refusal::Forbidden(Box::new(attributes.forbidden(&reason))))
    }

    async fn authenticate(&self, request: &mut Request<Body>, path: String) -> Result<UserInfo, Refusal> {
        if let Some(Identity(user)) = request.extensions_mut().remove::<Identity>() {
            return Ok(user);
        }
        let certificate = request.extensions().get::<Peer>().and_then(|peer| peer.certificate.clone());
        if let Some(user) = certificate.and_then(|der| auth::user_of_certificate(&der)) {
            return Ok(user);
        }
        if let Some(token) = bearer(request) {
            let audiences: Vec<&str> = self.inner.config.api_audiences.iter().map(String::as_str).collect();
            let now = jiff::Timestamp::now().as_second();
            if let Some((id, secret)) = auth::bootstrap_token(&token) {
                return self.inner.bootstrap_tokens.authenticate(id, secret, now).await.map_err(|error| {
                    tracing::debug!(%error, path, "a bootstrap token was refused");
                    Refusal::Unauthorized
                });
            }
            return match self.inner.tokens.authenticate(&token, &audiences, now).await {
                Ok(known) => Ok(known.user),
                Err(error) => {
                    tracing::debug!(%error, path, "a token was refused");
                    Err(Refusal::Unauthorized)
                }
            };
        }
        let allowed = match self.inner.config.anonymous {
            Anonymous::Nothing => false,
            Anonymous::Everything => true,
            Anonymous::HealthAndVersion => is_health_or_version(&path),
        };
        if allowed { Ok(UserInfo::anonymous()) } else { Err(Refusal::Unauthorized) }
    }
}

fn is_health_or_version(path: &str) -> bool {
    HEALTH_AND_VERSION
        .iter()
        .any(|open| path.strip_prefix(open).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// The subprotocol in which browsers, which cannot set headers, send a token with a WebSocket.
const WEBSOCKET_TOKEN: &str = "base64url.bearer.authorization.k8s.io.";

/// The bearer token of a request.
fn bearer(request: &mut Request<Body>) -> Option<String> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()) {
        let (scheme, token) = value.trim().split_once(' ')?;
        let token = token.trim();
        return (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned());
    }
    websocket_token(request)
}

/// Takes the token out of the offered subprotocols: the server behind must not see it.
fn websocket_token(request: &mut Request<Body>) -> Option<String> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let offered = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?.to_owned();
    let mut token = None;
    let rest: Vec<&str> = offered
        .split(',')
        .map(str::trim)
        .filter(|protocol| match protocol.strip_prefix(WEBSOCKET_TOKEN) {
            None => true,
            Some(encoded) => {
                let decoded = URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                token = decoded.filter(|t| !t.is_empty());
                false
            }
        })
        .collect();
    if token.is_some() {
        let rest = rest.join(", ");
        match http::HeaderValue::from_str(&rest) {
            Ok(value) if !rest.is_empty() => request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, value),
            _ => request.headers_mut().remove(header::SEC_WEBSOCKET_PROTOCOL),
        };
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_and_version_are_open() {
        for open in ["/healthz", "/livez/ping", "/readyz", "/version", "/version/"] {
            assert!(is_health_or_version(open), "{open}");
        }
        for closed in ["/", "/api", "/healthzz", "/metrics", "/versions"] {
            assert!(!is_health_or_version(closed), "{closed}");
        }
    }
}
