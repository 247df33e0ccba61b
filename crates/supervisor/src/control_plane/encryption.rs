//! Encryption at rest: upstream's `EncryptionConfiguration`, and one made for a data folder that has none.
//!
//! Values are encrypted between the store's memory and its disk, in upstream's format: `k8s:enc:PROVIDER:v1:NAME:`, a
//! nonce, and what the provider's cipher makes of the object; `aesgcm` takes its key in the store as associated data.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use registry::Resources;
use serde::{Deserialize, Serialize};
use store::Seal;

use crate::{durable_file, store_control::store_dir};

mod cipher;
mod sealer;

use cipher::Algorithm;
use sealer::{Key, Provider, Sealer};

/// In the data folder.
const FILE: &str = "encryption.yaml";
/// A configuration is short; a longer file is a mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EncryptionConfiguration {
    api_version: String,
    kind: String,
    resources: Vec<ResourceConfiguration>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResourceConfiguration {
    resources: Vec<String>,
    providers: Vec<BTreeMap<String, Option<ProviderConfiguration>>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProviderConfiguration {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<KeyConfiguration>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyConfiguration {
    name: String,
    secret: String,
}

impl std::fmt::Debug for KeyConfiguration {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyConfiguration").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What encrypts the store of this data folder: as the file says, or secrets with a key of its own. `prefix` is what
/// keys begin with in etcd, where they begin otherwise than here.
pub(crate) fn open(
    given: Option<&Path>,
    data_dir: &Path,
    prefix: Option<Vec<u8>>,
    resources: &Resources,
) -> anyhow::Result<Arc<dyn Seal>> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => own(data_dir)?,
    };
    read(&path, prefix, resources)
}

/// The same for a store that is there: keys that are not there are not made.
pub(crate) fn open_existing(
    given: Option<&Path>,
    data_dir: &Path,
    prefix: Option<Vec<u8>>,
    resources: &Resources,
) -> anyhow::Result<Arc<dyn Seal>> {
    read(&given.map_or_else(|| data_dir.join(FILE), Path::to_owned), prefix, resources)
}

fn read(path: &Path, prefix: Option<Vec<u8>>, resources: &Resources) -> anyhow::Result<Arc<dyn Seal>> {
    let failed = || format!("encryption configuration {}", path.display());
    let metadata = path.metadata().with_context(failed)?;
    ensure!(metadata.len() <= MAX_FILE_BYTES, "{}: {} bytes are too many", failed(), metadata.len());
    let mode = metadata.permissions().mode() & 0o777;
    ensure!(mode & 0o077 == 0, "{} can be read by others (mode {mode:o}): chmod 600 it", failed());
    let text = std::fs::read_to_string(path).with_context(failed)?;
    let sealer = parse(&text, resources).with_context(failed)?;
    Ok(Arc::new(sealer.below(prefix)))
}

/// The data folder's own configuration, made with a fresh key if it is not there.
fn own(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let path = data_dir.join(FILE);
    if path.exists() {
        return Ok(path);
    }
    check_nothing_sealed(&store_dir(data_dir), &path)?;
    let failed = || format!("write {}", path.display());
    let key = KeyConfiguration { name: "key1".to_owned(), secret: STANDARD.encode(sealer::random::<32>()?) };
    let aesgcm = ProviderConfiguration { keys: vec![key] };
    let providers = vec![
        BTreeMap::from([("aesgcm".to_owned(), Some(aesgcm))]),
        BTreeMap::from([("identity".to_owned(), Some(ProviderConfiguration { keys: Vec::new() }))]),
    ];
    let configuration = EncryptionConfiguration {
        api_version: "apiserver.config.k8s.io/v1".to_owned(),
        kind: "EncryptionConfiguration".to_owned(),
        resources: vec![ResourceConfiguration { resources: vec!["secrets".to_owned()], providers }],
    };
    // JSON is YAML.
    let text = serde_json::to_vec_pretty(&configuration).with_context(failed)?;
    durable_file::replace(&path, &text).with_context(failed)?;
    Ok(path)
}

/// A fresh key would read nothing of a store that another key has written.
fn check_nothing_sealed(store: &Path, path: &Path) -> anyhow::Result<()> {
    if !store.is_dir() {
        return Ok(());
    }
    // What is damaged is told by who opens the store for use.
    let Ok(found) = store::verify(store) else { return Ok(()) };
    let sealed = found.snapshot.walk(b"", None).filter(|kv| sealer::is_sealed(&kv.value)).count();
    ensure!(
        sealed == 0,
        "{} is missing, and {sealed} objects of {} are encrypted with its keys: bring it back from where you keep a copy",
        path.display(),
        store.display()
    );
    Ok(())
}

fn parse(text: &str, resources: &Resources) -> anyhow::Result<Sealer> {
    let configuration: EncryptionConfiguration = serde_saphyr::from_str(text)?;
    let kind = (configuration.api_version.as_str(), configuration.kind.as_str());
    ensure!(
        kind == ("apiserver.config.k8s.io/v1", "EncryptionConfiguration"),
        "it is {} {}, not apiserver.config.k8s.io/v1 EncryptionConfiguration",
        kind.0,
        kind.1
    );
    let mut by_prefix: Vec<(Vec<u8>, Arc<[Provider]>)> = Vec::new();
    for entry in &configuration.resources {
        ensure!(!entry.providers.is_empty(), "resources {:?} have no provider", entry.resources);
        let providers: Vec<Provider> =
            entry.providers.iter().map(provider).collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect();
        let providers: Arc<[Provider]> = providers.into();
        for name in &entry.resources {
            // The first that names a resource counts.
            let prefixes = prefixes(name, resources)?;
            by_prefix.extend(prefixes.into_iter().map(|prefix| (prefix, providers.clone())));
        }
    }
    Ok(Sealer::new(by_prefix))
}

/// Where the objects of a resource lie: `secrets`, `deployments.apps`, `*.apps`, `*.*`.
fn prefixes(name: &str, resources: &Resources) -> anyhow::Result<Vec<Vec<u8>>> {
    let (plural, group) = name.split_once('.').unwrap_or((name, ""));
    let group = if name == "*." { "" } else { group };
    let matches = |facts: &registry::Facts| {
        (plural == "*" || facts.plural == plural) && (group == "*" || facts.gvk.group == group)
    };
    if (plural, group) == ("*", "*") {
        return Ok(vec![b"/registry/".to_vec()]);
    }
    let all = resources.all();
    let found = all.iter().map(|resource| resource.facts()).filter(|facts| matches(facts));
    let mut prefixes: Vec<Vec<u8>> = found.map(|facts| facts.storage_prefix.clone().into_bytes()).collect();
    // A group with a dot may be one of custom resources, which come and go.
    if group.contains('.') && plural == "*" {
        prefixes.push(format!("/registry/{group}/").into_bytes());
    } else if group.contains('.') && prefixes.is_empty() {
        prefixes.push(format!("/registry/{group}/{plural}/").into_bytes());
    }
    ensure!(!prefixes.is_empty(), "there is no resource {name:?}");
    Ok(prefixes)
}

/// One provider of the file, which may stand for several keys.
fn provider(entry: &BTreeMap<String, Option<ProviderConfiguration>>) -> anyhow::Result<Vec<Provider>> {
    let mut entries = entry.iter();
    let (Some((kind, configuration)), None) = (entries.next(), entries.next()) else {
        bail!("each provider is one of aesgcm, aescbc, secretbox and identity")
    };
    let keys = configuration.as_ref().map_or(&[][..], |configuration| &configuration.keys);
    if kind == "identity" {
        ensure!(keys.is_empty(), "identity has no keys");
        return Ok(vec![Provider::Identity]);
    }
    let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == kind);
    let algorithm =
        algorithm.with_context(|| format!("provider {kind} is not supported; use aesgcm, aescbc or secretbox"))?;
    ensure!(!keys.is_empty(), "{kind} has no keys");
    keys.iter().map(|key| Ok(Provider::Key(Box::new(self::key(algorithm, key)?)))).collect()
}

fn key(algorithm: Algorithm, configuration: &KeyConfiguration) -> anyhow::Result<Key> {
    let name = &configuration.name;
    ensure!(!name.is_empty() && !name.contains(':'), "a key's name is not empty and has no colon: {name:?}");
    // The error would show a part of the secret.
    let Ok(secret) = STANDARD.decode(configuration.secret.trim()) else {
        bail!("the secret of key {name:?} is not base64")
    };
    Key::new(algorithm, name, &secret).with_context(|| {
        let (found, provider, takes) = (secret.len(), algorithm.name(), algorithm.secret_lengths());
        format!("the secret of key {name:?} has {found} bytes; {provider} takes {takes} here")
    })
}

#[cfg(test)]
mod tests;
