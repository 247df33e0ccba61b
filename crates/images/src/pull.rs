//! Pulls from a registry, over TLS; over plain HTTP only from this machine itself, as Docker does.

use std::{collections::BTreeMap, fs::File, io::Read, net::IpAddr, path::PathBuf, time::Duration};

use oci_client::{
    Client, Reference, RegistryOperation,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    manifest::{ImageIndexEntry, OciDescriptor, OciImageManifest},
    secrets::RegistryAuth,
};

use crate::{Error, Image, Images, Result, config::architecture, layer::digest_of, reference, store::LayerSource};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A registry that sends nothing for so long is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const CONFIG_LIMIT_BYTES: usize = 8 << 20;

/// How to reach registries.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// A CA file (PEM) per registry host, or per host and port.
    pub ca_files: BTreeMap<String, PathBuf>,
    /// Hosts other than loopback that may be spoken to without TLS.
    pub insecure: Vec<String>,
}

/// What a pull secret holds. Never printed.
#[derive(Clone)]
pub enum Credentials {
    Anonymous,
    Basic { username: String, password: String },
    Token { token: String },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl Registries {
    fn ca_file(&self, registry: &str) -> Option<&PathBuf> {
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        self.ca_files.get(registry).or_else(|| self.ca_files.get(host))
    }

    fn may_be_plain(&self, registry: &str) -> bool {
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            || self.insecure.iter().any(|other| other == registry || other == host)
    }

    fn client(&self, registry: &str, protocol: ClientProtocol) -> Result<Client> {
        let mut extra = Vec::new();
        if let Some(path) = self.ca_file(registry) {
            let data = std::fs::read(path).map_err(|source| Error::CaFile { path: path.clone(), source })?;
            extra.push(Certificate { encoding: CertificateEncoding::Pem, data });
        }
        // The client takes the process's provider; an error says that there is one already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let config = ClientConfig {
            protocol,
            extra_root_certificates: extra,
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: concat!("knarr/", env!("CARGO_PKG_VERSION")),
            platform_resolver: Some(Box::new(for_this_machine)),
            ..ClientConfig::default()
        };
        choose_cryptography();
        Ok(Client::new(config))
    }
}

/// The HTTP client below uses what the process chose and panics where nobody chose. An earlier choice stands.
fn choose_cryptography() {
    rustls::crypto::ring::default_provider().install_default().ok();
}

fn for_this_machine(manifests: &[ImageIndexEntry]) -> Option<String> {
    let fits = |entry: &&ImageIndexEntry| {
        entry
            .platform
            .as_ref()
            .is_some_and(|p| p.os.to_string() == "linux" && p.architecture.to_string() == architecture())
    };
    manifests.iter().find(fits).map(|entry| entry.digest.clone())
}

impl Images {
    /// Pulls an image; layers that are here already are not fetched again.
    pub async fn pull(&self, name: &str, credentials: &Credentials) -> Result<Image> {
        let reference = reference::parse(name)?;
        let auth = match credentials {
            Credentials::Anonymous => RegistryAuth::Anonymous,
            Credentials::Basic { username, password } => RegistryAuth::Basic(username.clone(), password.clone()),
            Credentials::Token { token } => RegistryAuth::Bearer(token.clone()),
        };
        let registry = reference.resolve_registry().to_owned();
        let client = self.registries().client(&registry, ClientProtocol::Https)?;
        match client.pull_image_manifest(&reference, &auth).await {
            Err(error) if is_transport(&error) && self.registries().may_be_plain(&registry) => {
                let client = self.registries().client(&registry, ClientProtocol::Http)?;
                let manifest = client.pull_image_manifest(&reference, &auth).await.map_err(|plain| {
                    // A registry that speaks TLS deserves its TLS error, not the one of the second try.
                    if is_certificate(&error) { upstream(&reference, &error) } else { upstream(&reference, &plain) }
                })?;
                self.fetch(&client, &reference, &auth, manifest).await
            }
            Err(error) => Err(upstream(&reference, &error)),
            Ok(manifest) => self.fetch(&client, &reference, &auth, manifest).await,
        }
    }

    async fn fetch(
        &self,
        client: &Client,
        reference: &Reference,
        auth: &RegistryAuth,
        (manifest, digest): (OciImageManifest, String),
    ) -> Result<Image> {
        let whole = reference.whole();
        let failed = |error: OciDistributionError| upstream(reference, &error);
        client.auth(reference, auth, RegistryOperation::Pull).await.map_err(failed)?;
        let mut config = Vec::new();
        if usize::try_from(manifest.config.size).is_ok_and(|size| size > CONFIG_LIMIT_BYTES) {
            let detail = "the image configuration is too large".to_owned();
            return Err(Error::Pull { reference: whole, detail });
        }
        client.pull_blob(reference, &manifest.config, &mut config).await.map_err(failed)?;
        let parsed = crate::archive::parse_config(&config)?;
        let mut files = Files(Vec::new());
        let mut chain = String::new();
        for (number, layer) in manifest.layers.iter().enumerate() {
            let diff_id = parsed.rootfs.diff_ids.get(number).cloned().unwrap_or_default();
            chain = if number == 0 { diff_id } else { digest_of(format!("{chain} {diff_id}").as_bytes()) };
            files.0.push(if self.has_layer(&chain) {
                None
            } else {
                Some(self.download(client, reference, layer).await?)
            });
        }
        let repository = format!("{}/{}", reference.registry(), reference.repository());
        let tags = if reference.digest().is_some() { Vec::new() } else { vec![whole.clone()] };
        let digests = vec![format!("{repository}@{digest}")];
        let expected: Vec<Option<String>> = manifest.layers.iter().map(|l| Some(l.digest.clone())).collect();
        let images = self.clone();
        let added = tokio::task::spawn_blocking(move || {
            let _incoming = images.hold_incoming();
            images.add(&config, &expected, &files, tags, digests)
        });
        let added = added.await.map_err(|_| Error::TaskDied)?;
        added.map_err(|source| Error::PullUnpack { reference: whole, source: Box::new(source) })
    }

    async fn download(&self, client: &Client, reference: &Reference, layer: &OciDescriptor) -> Result<Scratch> {
        let scratch = Scratch(self.scratch());
        let file = tokio::fs::File::create(&scratch.0).await.map_err(Error::io("create", &scratch.0))?;
        client.pull_blob(reference, layer, file).await.map_err(|error| upstream(reference, &error))?;
        Ok(scratch)
    }
}

/// A downloaded blob; removed when no longer needed.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a downloaded layer");
        }
    }
}

struct Files(Vec<Option<Scratch>>);

impl LayerSource for Files {
    fn open(&self, layer: usize) -> Result<Box<dyn Read + '_>> {
        let scratch = self.0[layer].as_ref().ok_or_else(|| Error::MissingEntry { entry: format!("layer {layer}") })?;
        Ok(Box::new(File::open(&scratch.0).map_err(Error::io("open", &scratch.0))?))
    }
}

fn is_transport(error: &OciDistributionError) -> bool {
    matches!(error, OciDistributionError::RequestError(_))
}

fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

fn is_certificate(error: &OciDistributionError) -> bool {
    chain_of(error).to_lowercase().contains("certificate")
}

/// The error in containerd's words, which the kubelet and people know.
fn upstream(reference: &Reference, error: &OciDistributionError) -> Error {
    let whole = reference.whole();
    let detail = chain_of(error);
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => Error::NotFound { reference: whole },
        OciDistributionError::ServerError { code: 404, .. } => Error::NotFound { reference: whole },
        OciDistributionError::RegistryError { envelope, .. } => {
            let codes: Vec<String> = envelope.errors.iter().map(|e| format!("{:?}", e.code).to_lowercase()).collect();
            if codes.iter().any(|code| code.contains("unknown")) {
                Error::NotFound { reference: whole }
            } else if codes.iter().any(|code| code.contains("unauthorized") || code.contains("denied")) {
                Error::Denied {
                    reference: whole,
                    detail: "server message: insufficient_scope: authorization failed".into(),
                }
            } else {
                Error::Pull { reference: whole, detail }
            }
        }
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            Error::Denied {
                reference: whole,
                detail: "server message: insufficient_scope: authorization failed".into(),
            }
        }
        OciDistributionError::RequestError(_) => Error::Unreachable { reference: whole, detail },
        _ => Error::Pull { reference: whole, detail },
    }
}
