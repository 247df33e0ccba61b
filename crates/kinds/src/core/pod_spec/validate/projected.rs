//! Projected volumes: several sources in one folder.

use std::collections::HashSet;

use api::core::v1::{
    ClusterTrustBundleProjection, PodCertificateProjection, ProjectedVolumeSource, ServiceAccountTokenProjection,
    VolumeProjection,
};
use apimachinery::field::{Error, ErrorList, Path};

use super::volume;
use crate::rules;

pub(super) fn validate(source: &ProjectedVolumeSource, path: &Path, errors: &mut ErrorList) {
    volume::mode(source.default_mode, &path.child("defaultMode"), errors);
    let mut taken = HashSet::new();
    for (index, projection) in rules::slice(&source.sources).iter().enumerate() {
        one(projection, &path.child("sources").index(index), errors);
        for (target, named) in targets(projection) {
            if !target.is_empty() && !taken.insert(target) {
                errors.push(Error::invalid(path, named, "conflicting duplicate paths"));
            }
        }
    }
}

fn one(projection: &VolumeProjection, path: &Path, errors: &mut ErrorList) {
    let mut sources = 0;
    let mut first = |field: &str, errors: &mut ErrorList| {
        sources += 1;
        if sources > 1 {
            errors.push(Error::forbidden(&path.child(field), "may not specify more than 1 volume type per source"));
        }
        sources == 1
    };
    if let Some(secret) = &projection.secret
        && first("secret", errors)
    {
        let at = path.child("secret");
        rules::required(&secret.name, &at.child("name"), errors);
        volume::items(&secret.items, &at, errors);
    }
    if let Some(config_map) = &projection.config_map
        && first("configMap", errors)
    {
        let at = path.child("configMap");
        rules::required(&config_map.name, &at.child("name"), errors);
        volume::items(&config_map.items, &at, errors);
    }
    if let Some(downward_api) = &projection.downward_api
        && first("downwardAPI", errors)
    {
        for file in rules::slice(&downward_api.items) {
            volume::downward_api_file(file, &path.child("downwardAPI"), errors);
        }
    }
    if let Some(token) = &projection.service_account_token
        && first("serviceAccountToken", errors)
    {
        service_account_token(token, &path.child("serviceAccountToken"), errors);
    }
    if let Some(bundle) = &projection.cluster_trust_bundle
        && first("clusterTrustBundle", errors)
    {
        trust_bundle(bundle, &path.child("clusterTrustBundle"), errors);
    }
    if let Some(certificate) = &projection.pod_certificate
        && first("podCertificate", errors)
    {
        pod_certificate(certificate, &path.child("podCertificate"), errors);
    }
}

/// The files that a source makes, with what a conflict about each names.
fn targets(projection: &VolumeProjection) -> Vec<(&str, &str)> {
    let mut targets = Vec::new();
    if let Some(secret) = &projection.secret {
        let items = rules::slice(&secret.items).iter();
        targets.extend(items.map(|item| (item.path.as_str(), secret.name.as_str())));
    }
    if let Some(config_map) = &projection.config_map {
        let items = rules::slice(&config_map.items).iter();
        targets.extend(items.map(|item| (item.path.as_str(), config_map.name.as_str())));
    }
    if let Some(downward_api) = &projection.downward_api {
        let items = rules::slice(&downward_api.items).iter();
        targets.extend(items.map(|item| (item.path.as_str(), item.path.as_str())));
    }
    if let Some(token) = &projection.service_account_token {
        targets.push((&token.path, &token.path));
    }
    if let Some(bundle) = &projection.cluster_trust_bundle {
        targets.push((&bundle.path, &bundle.path));
    }
    if let Some(certificate) = &projection.pod_certificate {
        let paths = [&certificate.credential_bundle_path, &certificate.key_path, &certificate.certificate_chain_path];
        targets.extend(paths.into_iter().map(|path| (rules::text(path), rules::text(path))));
    }
    targets
}

fn service_account_token(token: &ServiceAccountTokenProjection, path: &Path, errors: &mut ErrorList) {
    let at = path.child("expirationSeconds");
    let seconds = token.expiration_seconds.unwrap_or_default();
    if seconds < rules::TEN_MINUTES {
        errors.push(Error::invalid(&at, seconds, "may not specify a duration less than 10 minutes"));
    }
    if seconds > 1 << 32 {
        errors.push(Error::invalid(&at, seconds, "may not specify a duration larger than 2^32 seconds"));
    }
    file_path(&token.path, &path.child("path"), errors);
}

fn file_path(target: &str, path: &Path, errors: &mut ErrorList) {
    match target {
        "" => errors.push(Error::required(path, "")),
        target => rules::unreserved_path(target, path, errors),
    }
}

fn trust_bundle(bundle: &ClusterTrustBundleProjection, path: &Path, errors: &mut ErrorList) {
    match (rules::text(&bundle.name), rules::text(&bundle.signer_name)) {
        ("", "") => errors.push(Error::required(path, "either name or signerName must be specified")),
        ("", _) => {
            if let Some(selector) = &bundle.label_selector {
                rules::label_selector(selector, &path.child("labelSelector"), errors);
            }
        }
        (name, "") => {
            rules::subdomain(&name.replace(':', "."), &path.child("name"), errors);
            if bundle.label_selector.is_some() {
                let why = "labelSelector must be unset if name is specified";
                errors.push(Error::invalid_printed(&path.child("labelSelector"), "{}", why));
            }
        }
        (name, _) => {
            let why = "only one of name and signerName may be used";
            errors.push(Error::invalid(&path.child("name"), name, why));
        }
    }
    file_path(&bundle.path, &path.child("path"), errors);
}

fn pod_certificate(certificate: &PodCertificateProjection, path: &Path, errors: &mut ErrorList) {
    const KEY_TYPES: [&str; 6] = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
    const HOUR: i64 = 60 * 60;
    rules::required(&certificate.signer_name, &path.child("signerName"), errors);
    rules::one_of(&certificate.key_type, &KEY_TYPES, &path.child("keyType"), errors);
    if let Some(seconds) = certificate.max_expiration_seconds {
        rules::in_range(seconds.into(), HOUR, 91 * 24 * HOUR, &path.child("maxExpirationSeconds"), errors);
    }
    let mut any = false;
    for (target, field) in [
        (&certificate.credential_bundle_path, "credentialBundlePath"),
        (&certificate.key_path, "keyPath"),
        (&certificate.certificate_chain_path, "certificateChainPath"),
    ] {
        if !rules::text(target).is_empty() {
            any = true;
            rules::unreserved_path(rules::text(target), &path.child(field), errors);
        }
    }
    if !any {
        let why = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        errors.push(Error::required(path, why));
    }
}
