//! Credentials for registries, from the Secrets a pod names.

use std::{collections::HashMap, sync::Arc};

use api::core::v1::Secret;
use apimachinery::ImageReference;
use base64::Engine;
use cri::v1::AuthConfig;
use serde::Deserialize;

#[derive(Deserialize)]
struct DockerConfigJson {
    #[serde(default)]
    auths: HashMap<String, Login>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Login {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
}

/// Those for the image's registry, the most specific path first. A Secret that cannot be read counts for nothing, as
/// upstream has it; its content is never told.
pub(crate) fn matching(secrets: &[Arc<Secret>], image: &str) -> Vec<AuthConfig> {
    let Ok(image) = ImageReference::parse(image) else { return Vec::new() };
    let mut found: Vec<(usize, AuthConfig)> = Vec::new();
    for secret in secrets {
        for (server, login) in logins(secret) {
            let place = normalized(&server);
            if fits(&place, &image) {
                found.push((place.len(), auth_config(&server, login)));
            }
        }
    }
    found.sort_by_key(|(specific, _)| std::cmp::Reverse(*specific));
    found.into_iter().map(|(_, auth)| auth).collect()
}

fn logins(secret: &Secret) -> HashMap<String, Login> {
    let data = |key: &str| secret.data.as_ref().and_then(|d| d.get(key)).map(|b| b.0.as_slice());
    if let Some(bytes) = data(".dockerconfigjson") {
        return serde_json::from_slice::<DockerConfigJson>(bytes).map(|c| c.auths).unwrap_or_default();
    }
    data(".dockercfg").and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}

/// Without scheme, version and trailing slash; Docker Hub under one name.
fn normalized(server: &str) -> String {
    let bare = server.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let bare = bare.trim_end_matches("/v1").trim_end_matches("/v2");
    match bare {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}

fn fits(place: &str, image: &ImageReference<'_>) -> bool {
    let (host, path) = place.split_once('/').map_or((place, ""), |(h, p)| (h, p));
    let same = match host.strip_prefix("*.") {
        Some(domain) => image.registry().split_once('.').is_some_and(|(_, rest)| rest == domain),
        None => host == image.registry(),
    };
    same && (path.is_empty() || image.repository().starts_with(path))
}

fn auth_config(server: &str, login: Login) -> AuthConfig {
    let (mut username, mut password) = (login.username, login.password);
    if username.is_empty()
        && let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(&login.auth)
        && let Ok(text) = String::from_utf8(bytes)
        && let Some((user, secret)) = text.split_once(':')
    {
        username = user.to_owned();
        password = secret.to_owned();
    }
    AuthConfig {
        username,
        password,
        server_address: server.to_owned(),
        identity_token: login.identitytoken,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use api::ByteString;

    #[test]
    fn the_most_specific_first() {
        let json = r#"{"auths": {"r.example:5000": {"username": "u", "password": "p"},
            "https://r.example:5000/team": {"auth": "dDpx"}, "https://index.docker.io/v1/": {"username": "hub"}}}"#;
        let data = [(".dockerconfigjson".to_owned(), ByteString(json.as_bytes().to_vec()))].into();
        let secrets = [Arc::new(Secret { data: Some(data), ..Secret::default() })];
        let users = |image: &str| matching(&secrets, image).into_iter().map(|a| a.username).collect::<Vec<_>>();
        assert_eq!(users("r.example:5000/team/x:1"), ["t", "u"]);
        assert_eq!(users("r.example:5000/x:1"), ["u"]);
        assert_eq!(users("nginx:latest"), ["hub"]);
        assert!(users("other.example/x").is_empty());
    }
}
