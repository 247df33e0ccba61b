//! Kubeconfig files: where the server is, who it is, and who we are. They hold private keys, so they are written
//! with mode 0600 and never logged.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

pub use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("kubeconfig {path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("kubeconfig {path} is not valid: {reason}")]
    Parse { path: PathBuf, reason: String },
    #[error("kubeconfig {path} cannot be used: {source}")]
    Use { path: PathBuf, source: Box<kube::Error> },
    #[error("kubeconfig {path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// How a client proves who it is. All values are PEM or plain text, not base64.
#[derive(Clone)]
pub enum Credentials {
    Certificate { certificate_pem: String, key_pem: String },
    Token(String),
    Anonymous,
}

/// A kubeconfig of one cluster, one user and one context, all named as given, with everything embedded.
pub fn single(name: &str, server: &str, ca_pem: &str, user: &str, credentials: Credentials) -> Kubeconfig {
    let mut auth = AuthInfo::default();
    match credentials {
        Credentials::Certificate { certificate_pem, key_pem } => {
            auth.client_certificate_data = Some(encode(certificate_pem.as_bytes()));
            auth.client_key_data = Some(encode(key_pem.as_bytes()).into());
        }
        Credentials::Token(token) => auth.token = Some(token.into()),
        Credentials::Anonymous => {}
    }
    let cluster = Cluster {
        server: Some(server.to_owned()),
        certificate_authority_data: Some(encode(ca_pem.as_bytes())),
        ..Cluster::default()
    };
    let context = Context { cluster: name.to_owned(), user: Some(user.to_owned()), ..Context::default() };
    Kubeconfig {
        api_version: Some("v1".to_owned()),
        kind: Some("Config".to_owned()),
        clusters: vec![NamedCluster { name: name.to_owned(), cluster: Some(cluster), ..NamedCluster::default() }],
        auth_infos: vec![NamedAuthInfo { name: user.to_owned(), auth_info: Some(auth), ..NamedAuthInfo::default() }],
        contexts: vec![NamedContext { name: name.to_owned(), context: Some(context), ..NamedContext::default() }],
        current_context: Some(name.to_owned()),
        ..Kubeconfig::default()
    }
}

/// Reads one file; relative paths in it are relative to it.
pub fn read(path: &Path) -> Result<Kubeconfig, Error> {
    fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Kubeconfig::read_from(path).map_err(|cause| Error::Parse { path: path.to_owned(), reason: cause.to_string() })
}

/// Replaces the file in one step, readable by its owner only; it is on disk when this returns.
pub fn write(path: &Path, config: &Kubeconfig) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let text = serde_saphyr::to_string(config).map_err(|e| failed(io::Error::other(e.to_string())))?;
    let beside = path.with_added_extension("tmp");
    let mut file =
        fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.kubeconfig");
        let credentials = Credentials::Certificate { certificate_pem: "CERT".to_owned(), key_pem: "KEY".to_owned() };
        let config = single("knarr", "https://127.0.0.1:6443", "CA", "admin", credentials);
        write(&path, &config).unwrap();

        let back = read(&path).unwrap();
        assert_eq!(back.current_context.as_deref(), Some("knarr"));
        let cluster = back.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:6443"));
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("Q0E="));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("/nonexistent/kubeconfig")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/kubeconfig"), "{error}");
    }
}
