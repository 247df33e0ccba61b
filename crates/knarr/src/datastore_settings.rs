//! Flags about etcd, and the same names in a file of settings.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::Deserialize;
use supervisor::{DEFAULT_PREFIX, DatastoreConfig, EtcdLogin, EtcdPassword, StorageMediaType};

/// No flag: everybody on the machine sees the words a process was started with.
const PASSWORD_VARIABLE: &str = "KNARR_DATASTORE_PASSWORD";

/// Which etcd, and how.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct DatastoreSettings {
    /// Keep the cluster in etcd: https://10.0.0.1:2379,10.0.0.2:2379 [default: in the data folder]
    #[arg(long, value_name = "URLS")]
    datastore_endpoint: Option<String>,
    /// Authorities of etcd's certificates
    #[arg(long, value_name = "FILE")]
    datastore_cafile: Option<PathBuf>,
    /// Certificate to show etcd
    #[arg(long, value_name = "FILE")]
    datastore_certfile: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    datastore_keyfile: Option<PathBuf>,
    /// User of etcd's own authentication
    #[arg(long, value_name = "NAME")]
    datastore_username: Option<String>,
    /// File with that user's password [default: KNARR_DATASTORE_PASSWORD]
    #[arg(long, value_name = "FILE")]
    datastore_password_file: Option<PathBuf>,
    /// What the keys in etcd begin with [default: /registry]
    #[arg(long, value_name = "PREFIX")]
    etcd_prefix: Option<String>,
    /// How objects are written to etcd: application/vnd.kubernetes.protobuf or application/json; both are read
    /// [default: application/vnd.kubernetes.protobuf]
    #[arg(long, value_name = "TYPE")]
    storage_media_type: Option<String>,
}

impl DatastoreSettings {
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            datastore_endpoint: self.datastore_endpoint.or(file.datastore_endpoint),
            datastore_cafile: self.datastore_cafile.or(file.datastore_cafile),
            datastore_certfile: self.datastore_certfile.or(file.datastore_certfile),
            datastore_keyfile: self.datastore_keyfile.or(file.datastore_keyfile),
            datastore_username: self.datastore_username.or(file.datastore_username),
            datastore_password_file: self.datastore_password_file.or(file.datastore_password_file),
            etcd_prefix: self.etcd_prefix.or(file.etcd_prefix),
            storage_media_type: self.storage_media_type.or(file.storage_media_type),
        }
    }

    /// None if no etcd is named.
    pub(crate) fn config(self) -> anyhow::Result<Option<DatastoreConfig>> {
        let others = [
            ("datastore-cafile", self.datastore_cafile.is_some()),
            ("datastore-certfile", self.datastore_certfile.is_some()),
            ("datastore-keyfile", self.datastore_keyfile.is_some()),
            ("datastore-username", self.datastore_username.is_some()),
            ("datastore-password-file", self.datastore_password_file.is_some()),
            ("etcd-prefix", self.etcd_prefix.is_some()),
            ("storage-media-type", self.storage_media_type.is_some()),
        ];
        let Some(endpoint) = &self.datastore_endpoint else {
            if let Some((flag, _)) = others.iter().find(|(_, given)| *given) {
                bail!("--{flag} says how etcd is used, and no --datastore-endpoint is given");
            }
            return Ok(None);
        };
        let login = login(self.datastore_username, self.datastore_password_file)?;
        let media_type = match self.storage_media_type.as_deref() {
            None => StorageMediaType::default(),
            Some(text) => StorageMediaType::parse(text).with_context(|| {
                format!(
                    "--storage-media-type {text:?} is neither application/vnd.kubernetes.protobuf nor application/json"
                )
            })?,
        };
        Ok(Some(DatastoreConfig {
            endpoints: DatastoreConfig::endpoints(endpoint).context("--datastore-endpoint")?,
            ca_file: self.datastore_cafile,
            cert_file: self.datastore_certfile,
            key_file: self.datastore_keyfile,
            login,
            prefix: self.etcd_prefix.unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
            media_type,
        }))
    }
}

fn login(user: Option<String>, file: Option<PathBuf>) -> anyhow::Result<Option<EtcdLogin>> {
    let Some(user) = user else {
        ensure!(file.is_none(), "--datastore-password-file is given, and no --datastore-username");
        return Ok(None);
    };
    let password = match (file, std::env::var(PASSWORD_VARIABLE)) {
        (Some(file), _) => EtcdPassword::File(file),
        (None, Ok(given)) => EtcdPassword::Given(given.into()),
        (None, Err(_)) => {
            bail!("--datastore-username needs a password: give --datastore-password-file, or set {PASSWORD_VARIABLE}")
        }
    };
    Ok(Some(EtcdLogin { user, password }))
}
