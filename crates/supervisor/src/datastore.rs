//! Etcd as the cluster's store: how it is reached, and whether the cluster it holds is this server's.
//!
//! Several servers share one etcd only if they share the cluster's keys: certificates of one would mean nothing to the
//! other. What they must have in common is compared, by hashes that etcd keeps, before anything else is written.

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail, ensure};
use registry::{Resources, StorageForm, StorageMediaType};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{EtcdConfig, EtcdIdentity, EtcdLogin, EtcdTls, Seal, Snapshot, Store, Write, WriteError};

use crate::{certificates::Certificates, durable_file, migrate::Note, store_control::store_dir};

/// Where the cluster is, if not in this server's data folder.
#[derive(Clone, Debug)]
pub struct DatastoreConfig {
    /// `https://10.0.0.1:2379`, of one etcd cluster.
    pub endpoints: Vec<String>,
    pub ca_file: Option<std::path::PathBuf>,
    pub cert_file: Option<std::path::PathBuf>,
    pub key_file: Option<std::path::PathBuf>,
    /// Who this server is to etcd's own authentication.
    pub login: Option<EtcdLogin>,
    /// What the keys begin with: `/registry`.
    pub prefix: String,
    pub media_type: StorageMediaType,
}

/// Upstream's default of `--etcd-prefix`.
pub const DEFAULT_PREFIX: &str = "/registry";
/// The keys of the registry, whatever they are called in etcd.
const ROOT: &[u8] = b"/registry/";
/// Beside the objects; no resource lies there.
const IDENTITY: &[u8] = b"/registry/knarr.io/cluster-identity";
/// In the data folder of a server whose cluster is in etcd, so that it is not started without it by mistake.
const MARK: &str = "datastore.json";
/// What upstream publishes the authority of clients in.
const AUTHENTICATION: &[u8] = b"/registry/configmaps/kube-system/extension-apiserver-authentication";
/// What a further server needs of the first, relative to the data folder.
const SHARED: [&str; 6] =
    ["pki/ca.crt", "pki/ca.key", "pki/kubelet-ca.crt", "pki/kubelet-ca.key", "pki/sa.key", "encryption.yaml"];

impl DatastoreConfig {
    /// Reads `https://a:2379,b:2379`: what says no scheme has that of the first.
    pub fn endpoints(text: &str) -> anyhow::Result<Vec<String>> {
        let mut scheme = "";
        let mut endpoints = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let host = match part.split_once("://") {
                Some((found @ ("http" | "https"), host)) => {
                    scheme = found;
                    host
                }
                Some((found, _)) => bail!("{found}:// is no etcd; only etcd is supported, as https://10.0.0.1:2379"),
                None => part,
            };
            ensure!(!scheme.is_empty(), "{part:?} says neither https:// nor http://");
            endpoints.push(format!("{scheme}://{host}"));
        }
        ensure!(!endpoints.is_empty(), "no endpoint is named");
        Ok(endpoints)
    }

    /// The prefix of all keys in etcd.
    pub(crate) fn prefix(&self) -> Vec<u8> {
        format!("/{}/", self.prefix.trim_matches('/')).into_bytes()
    }

    fn etcd(&self, seal: Option<Arc<dyn Seal>>) -> anyhow::Result<EtcdConfig> {
        let identity = match (&self.cert_file, &self.key_file) {
            (Some(certificate), Some(key)) => {
                Some(EtcdIdentity { certificate_file: certificate.clone(), key_file: key.clone() })
            }
            (None, None) => None,
            _ => bail!("--datastore-certfile and --datastore-keyfile go together"),
        };
        let secure = self.endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
        ensure!(
            secure || (self.ca_file.is_none() && identity.is_none()),
            "certificates are given for the datastore, and no endpoint begins with https://"
        );
        let tls = self.ca_file.clone().map(|ca_file| EtcdTls { ca_file, identity });
        ensure!(!secure || tls.is_some(), "endpoints with https:// need --datastore-cafile");
        let form = StorageForm::new(Resources::built_in(), self.media_type);
        Ok(EtcdConfig {
            tls,
            login: self.login.clone(),
            root: ROOT.to_vec(),
            prefix: self.prefix(),
            form: Arc::new(form),
            seal,
            ..EtcdConfig::new(self.endpoints.clone())
        })
    }

    fn named(&self) -> String {
        format!("the datastore at {}", self.endpoints.join(","))
    }
}

/// Connects for other purposes than serving: to look, to move.
pub(crate) async fn connect(config: &DatastoreConfig, seal: Option<Arc<dyn Seal>>) -> anyhow::Result<Store> {
    Store::connect(config.etcd(seal)?).await.with_context(|| config.named())
}

/// Before a data folder gets keys of its own: if etcd holds a cluster already, this server needs that cluster's.
pub(crate) async fn check_folder(config: &DatastoreConfig, data_dir: &Path, encryption: bool) -> anyhow::Result<()> {
    let local = store_dir(data_dir);
    if missing(data_dir, encryption).is_empty() && !local.exists() {
        return Ok(());
    }
    let form = Arc::new(store::AsItIs);
    let store = Store::connect(EtcdConfig { form, ..config.etcd(None)? }).await.with_context(|| config.named())?;
    let snapshot = store.snapshot();
    store.close().await;
    ensure!(
        !local.exists() || snapshot.count(ROOT) > 0,
        "{} holds a cluster of its own and {} is empty: move it there by `knarr store migrate`, or move the folder \
         away to begin anew",
        local.display(),
        config.named()
    );
    check_keys(&snapshot, config, data_dir, encryption)
}

/// The files of a data folder that all servers of a cluster share and that are not here.
fn missing(data_dir: &Path, encryption: bool) -> Vec<&'static str> {
    let needed = SHARED.iter().filter(|file| !(encryption && **file == "encryption.yaml"));
    needed.copied().filter(|file| !data_dir.join(file).exists()).collect()
}

/// Fails if this folder lacks keys of the cluster that etcd holds.
pub(crate) fn check_keys(
    held: &Snapshot,
    config: &DatastoreConfig,
    data_dir: &Path,
    encryption: bool,
) -> anyhow::Result<()> {
    let missing = missing(data_dir, encryption);
    ensure!(
        held.get(IDENTITY).is_none() || missing.is_empty(),
        "{} holds a cluster of {} keys that other servers serve. Bring this server its keys first: copy from the \
         data folder of one of them {} into {}",
        config.named(),
        held.count(ROOT),
        missing.join(", "),
        data_dir.display()
    );
    Ok(())
}

/// What all servers of a cluster have in common, as SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    certificate_authority: String,
    kubelet_authority: String,
    service_account_key: String,
}

fn hash(text: &str) -> String {
    Sha256::digest(text.trim().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Identity {
    /// By the keys of the authorities: their certificates are renewed.
    fn of(certificates: &Certificates) -> Self {
        Self {
            certificate_authority: certificates.ca.key_hash(),
            kubelet_authority: certificates.kubelet_ca.key_hash(),
            service_account_key: hash(certificates.token_key.id()),
        }
    }

    /// By their certificates, as it was written before they were renewed.
    fn by_certificates(certificates: &Certificates) -> Self {
        Self {
            certificate_authority: hash(certificates.ca_pem()),
            kubelet_authority: hash(certificates.kubelet_ca_pem()),
            ..Self::of(certificates)
        }
    }
}

/// Makes sure that this server's keys are the cluster's, or makes them so where the cluster is new.
pub(crate) async fn claim(
    store: &Store,
    config: &DatastoreConfig,
    data_dir: &Path,
    certificates: &Certificates,
) -> anyhow::Result<()> {
    let own = Identity::of(certificates);
    let current = store.current().await.with_context(|| config.named())?;
    if let Some(note) = Note::read(&current)? {
        bail!(note.refusal(&config.prefix));
    }
    let found = match current.get(IDENTITY) {
        Some(found) => found.value.clone(),
        None => {
            check_upstream(current.get(AUTHENTICATION).as_ref().map(|kv| &kv.value[..]), certificates, config)?;
            let value = serde_json::to_vec(&own)?;
            match store.commit(Write::create(IDENTITY, value.clone())).await {
                Ok(_) => value.into(),
                Err(WriteError::Conflict { current: Some(found), .. }) => found.value.clone(),
                Err(error) => return Err(error).with_context(|| format!("write to {}", config.named())),
            }
        }
    };
    let mut found: Identity =
        serde_json::from_slice(&found).context("the cluster's identity in etcd cannot be read")?;
    if found == Identity::by_certificates(certificates) {
        let value = serde_json::to_vec(&own)?;
        let written = store.commit(Write::put(IDENTITY, value)).await;
        written.with_context(|| format!("write to {}", config.named()))?;
        found = own.clone();
    }
    let differing: Vec<&str> = [
        ("pki/ca.crt and pki/ca.key", found.certificate_authority == own.certificate_authority),
        ("pki/kubelet-ca.crt and pki/kubelet-ca.key", found.kubelet_authority == own.kubelet_authority),
        ("pki/sa.key", found.service_account_key == own.service_account_key),
    ]
    .iter()
    .filter(|(_, same)| !same)
    .map(|(files, _)| *files)
    .collect();
    ensure!(
        differing.is_empty(),
        "{} holds the cluster of other servers, whose keys differ from those in {}: copy {} from one of them, or use \
         another --etcd-prefix for another cluster",
        config.named(),
        data_dir.display(),
        differing.join(", ")
    );
    remember(config, data_dir)
}

/// The cluster of this folder is in etcd.
pub(crate) fn remember(config: &DatastoreConfig, data_dir: &Path) -> anyhow::Result<()> {
    let mark = serde_json::json!({"endpoints": config.endpoints, "prefix": config.prefix});
    let path = data_dir.join(MARK);
    durable_file::replace(&path, mark.to_string().as_bytes()).with_context(|| format!("write {}", path.display()))
}

/// A cluster that upstream's servers wrote names its authority too.
fn check_upstream(
    published: Option<&[u8]>,
    certificates: &Certificates,
    config: &DatastoreConfig,
) -> anyhow::Result<()> {
    let Some(published) = published else { return Ok(()) };
    let map: serde_json::Value = serde_json::from_slice(published).context("extension-apiserver-authentication")?;
    let authority = map["data"]["client-ca-file"].as_str().unwrap_or_default();
    ensure!(
        authority.is_empty() || certificates.ca.has_key_of(authority),
        "{} holds a cluster with another certificate authority: put its ca.crt, ca.key and sa.key into the folder pki \
         of the data folder first",
        config.named()
    );
    Ok(())
}

/// Refuses to begin an empty cluster in a folder whose cluster is in etcd.
pub(crate) fn check_not_elsewhere(data_dir: &Path) -> anyhow::Result<()> {
    let mark = data_dir.join(MARK);
    if !mark.exists() || store_dir(data_dir).exists() {
        return Ok(());
    }
    let told = std::fs::read_to_string(&mark).with_context(|| format!("read {}", mark.display()))?;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
    let endpoints: Vec<&str> = told["endpoints"].as_array().into_iter().flatten().filter_map(|e| e.as_str()).collect();
    bail!(
        "the cluster of {} is in etcd: give --datastore-endpoint {}, or move it here by `knarr store migrate`, or \
         remove {} to begin anew",
        data_dir.display(),
        endpoints.join(","),
        mark.display()
    )
}

/// The cluster of this folder is no longer in etcd.
pub(crate) fn forget(data_dir: &Path) -> anyhow::Result<()> {
    let mark = data_dir.join(MARK);
    let failed = || format!("remove {}", mark.display());
    match std::fs::remove_file(&mark) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(failed),
        Ok(()) => std::fs::File::open(data_dir).and_then(|folder| folder.sync_all()).with_context(failed),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn endpoints_share_a_scheme() {
        let read = |text: &str| DatastoreConfig::endpoints(text).map_err(|error| error.to_string());
        let all = ["https://a:2379", "https://b:2379", "https://c:2379"].map(str::to_owned);
        assert_eq!(read("https://a:2379,b:2379, c:2379").unwrap(), all);
        assert_eq!(read("https://a:2379,https://b:2379,https://c:2379").unwrap(), all);
        assert_eq!(read("http://a:1,https://b:2,c:3").unwrap(), ["http://a:1", "https://b:2", "https://c:3"]);
        assert!(read("a:2379").unwrap_err().contains("neither"));
        assert!(read("mysql://x").unwrap_err().contains("only etcd"));
        assert!(read("").is_err());
    }

    #[test]
    fn a_folder_remembers_where_its_cluster_is() {
        let folder = tempfile::tempdir().unwrap();
        check_not_elsewhere(folder.path()).unwrap();
        std::fs::write(folder.path().join(MARK), r#"{"endpoints":["https://a:1","https://b:2"]}"#).unwrap();
        let refused = check_not_elsewhere(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("--datastore-endpoint https://a:1,https://b:2"), "{refused}");
        forget(folder.path()).unwrap();
        check_not_elsewhere(folder.path()).unwrap();
    }
}
