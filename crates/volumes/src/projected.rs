//! Several sources shown in one directory: service account tokens, Secrets, ConfigMaps and the downward API.

use api::core::v1::{Pod, ProjectedVolumeSource};

use crate::{
    Context, Error, config_map, downward_api,
    gathered::token_need,
    payload::{Payload, insert},
    secret,
};

const DEFAULT_MODE: i32 = 0o644;
/// A token that is given to a user or a group is not for everybody.
const OWNED_TOKEN_MODE: i32 = 0o600;

pub(crate) fn payload(source: &ProjectedVolumeSource, cx: &Context<'_>) -> Result<Payload, Error> {
    let mut payload = Payload::new();
    let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    for source in source.sources.iter().flatten() {
        if let Some(source) = &source.config_map {
            config_map::project(&mut payload, source, mode, cx.gathered)?;
        }
        if let Some(source) = &source.secret {
            secret::project(&mut payload, source, mode, cx.gathered)?;
        }
        if let Some(source) = &source.downward_api {
            downward_api::project(&mut payload, source.items.iter().flatten(), mode, cx.pod, cx.node)?;
        }
        if let Some(source) = &source.service_account_token {
            let account = || cx.pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap_or_default();
            let token = cx.gathered.tokens.get(&token_need(source));
            let token = token.ok_or_else(|| Error::NoToken { service_account: account() })?;
            let user = common_user(cx.pod);
            let mode = if user.is_some() || cx.fs_group().is_some() { OWNED_TOKEN_MODE } else { mode };
            insert(&mut payload, &source.path, token.0.clone().into_bytes(), mode, user)?;
        }
        if source.cluster_trust_bundle.is_some() {
            return Err(Error::Unsupported { kind: "projected.clusterTrustBundle" });
        }
        if source.pod_certificate.is_some() {
            return Err(Error::Unsupported { kind: "projected.podCertificate" });
        }
    }
    Ok(payload)
}

/// The user every container runs as, where they all say so and agree: the token is then given to that user.
fn common_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let whole = spec.security_context.as_ref().and_then(|s| s.run_as_user);
    let mut users = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .map(|c| c.security_context.as_ref().and_then(|s| s.run_as_user).or(whole));
    let first = users.next()??;
    users.all(|user| user == Some(first)).then_some(first).and_then(|user| u32::try_from(user).ok())
}
