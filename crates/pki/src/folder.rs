//! The folder that keeps keys and certificates, laid out as kubeadm lays out its own: `ca.crt`, `ca.key`,
//! `apiserver.crt`, … Whatever a crash leaves half done is completed or made anew at the next start.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use crate::{Authority, Leaf, Pair, PkiError, TokenKey, authority::LEAF_LIFETIME, subject_of, tls};

/// A folder of mode 0700 with keys of mode 0600.
#[derive(Clone, Debug)]
pub struct Folder {
    dir: PathBuf,
}

impl Folder {
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, PkiError> {
        let dir = dir.into();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io_error("create", &dir))?;
        Ok(Self { dir })
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// The authority of this name, made if there is none. One that is there but unusable is an error, never
    /// replaced: everything it has issued would become worthless.
    pub fn authority(&self, name: &str, common_name: &str) -> Result<Authority, PkiError> {
        let (certificate, key) = self.files(name);
        match (read(&certificate)?, read(&key)?) {
            (Some(certificate_pem), Some(key_pem)) => {
                let pair = Pair { certificate_pem, key_pem };
                tls::certified_key(&pair).map_err(|_| PkiError::Mismatch { path: certificate.clone() })?;
                Authority::from_pair(pair).map_err(|e| PkiError::Unusable {
                    what: "certificate authority",
                    path: certificate,
                    reason: e.to_string(),
                })
            }
            (Some(_), None) => Err(PkiError::Unusable {
                what: "certificate authority",
                path: certificate,
                reason: format!("its key {} is missing", key.display()),
            }),
            // A key without a certificate is what a crash between the two writes below leaves.
            (None, _) => {
                let authority = Authority::generate(common_name)?;
                self.write_pair(name, authority.pair())?;
                Ok(authority)
            }
        }
    }

    /// A certificate of this name from `authority`, saying what `leaf` says: the one at hand while it does and is
    /// not due for renewal, else a new one.
    pub fn leaf(&self, name: &str, authority: &Authority, leaf: &Leaf) -> Result<Pair, PkiError> {
        let (certificate, key) = self.files(name);
        if let (Some(certificate_pem), Some(key_pem)) = (read(&certificate)?, read(&key)?) {
            let pair = Pair { certificate_pem, key_pem };
            if is_current(&pair, authority, leaf) {
                return Ok(pair);
            }
        }
        let pair = authority.issue(leaf)?;
        self.write_pair(name, &pair)?;
        Ok(pair)
    }

    /// The key that signs service account tokens, made if there is none.
    pub fn token_key(&self, name: &str) -> Result<TokenKey, PkiError> {
        let path = self.path(&format!("{name}.key"));
        let unusable = |reason: String| PkiError::Unusable { what: "token key", path: path.clone(), reason };
        match read(&path)? {
            Some(pem) => TokenKey::from_pem(&pem).map_err(|e| unusable(e.to_string())),
            None => {
                let (key, pem) = TokenKey::generate().map_err(|e| unusable(e.to_string()))?;
                write(&path, pem.as_bytes(), 0o600)?;
                Ok(key)
            }
        }
    }

    /// The pair of this name; none when a part is missing or they do not belong together.
    pub fn pair(&self, name: &str) -> Result<Option<Pair>, PkiError> {
        let (certificate, key) = self.files(name);
        let (Some(certificate_pem), Some(key_pem)) = (read(&certificate)?, read(&key)?) else { return Ok(None) };
        let pair = Pair { certificate_pem, key_pem };
        Ok(tls::certified_key(&pair).is_ok().then_some(pair))
    }

    pub fn keep_pair(&self, name: &str, pair: &Pair) -> Result<(), PkiError> {
        self.write_pair(name, pair)
    }

    /// A file that is no secret.
    pub fn file(&self, name: &str) -> Result<Option<String>, PkiError> {
        read(&self.path(name))
    }

    pub fn keep_file(&self, name: &str, text: &str) -> Result<(), PkiError> {
        write(&self.path(name), text.as_bytes(), 0o644)
    }

    fn files(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.path(&format!("{name}.crt")), self.path(&format!("{name}.key")))
    }

    /// The key first: a certificate without its key would look like damage.
    fn write_pair(&self, name: &str, pair: &Pair) -> Result<(), PkiError> {
        let (certificate, key) = self.files(name);
        write(&key, pair.key_pem.as_bytes(), 0o600)?;
        write(&certificate, pair.certificate_pem.as_bytes(), 0o644)
    }
}

fn is_current(pair: &Pair, authority: &Authority, leaf: &Leaf) -> bool {
    let Ok(key) = tls::certified_key(pair) else { return false };
    let Some(der) = key.cert.first() else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let Ok((_, ca)) = x509_parser::pem::parse_x509_pem(authority.certificate_pem().as_bytes()) else { return false };
    let Ok(ca) = ca.parse_x509() else { return false };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    let left = certificate.validity().not_after.timestamp() - now;
    let subject = subject_of(der);
    certificate.verify_signature(Some(ca.public_key())).is_ok()
        && left > LEAF_LIFETIME.as_secs() as i64 / 3
        && certificate.validity().not_before.timestamp() <= now
        && subject.is_some_and(|s| {
            s.common_name == leaf.common_name && s.organizations == Vec::from_iter(leaf.organization.clone())
        })
        && has_names(&certificate, leaf)
}

/// Whether the certificate is valid for every name the leaf asks for.
fn has_names(certificate: &X509Certificate<'_>, leaf: &Leaf) -> bool {
    let Ok(names) = certificate.subject_alternative_name() else { return false };
    let names = names.map(|n| n.value.general_names.as_slice()).unwrap_or_default();
    let has_dns = |name: &String| names.iter().any(|n| matches!(n, GeneralName::DNSName(d) if d == name));
    let octets = |address: &std::net::IpAddr| match address {
        std::net::IpAddr::V4(a) => a.octets().to_vec(),
        std::net::IpAddr::V6(a) => a.octets().to_vec(),
    };
    let has_address = |address: &std::net::IpAddr| {
        names.iter().any(|n| matches!(n, GeneralName::IPAddress(bytes) if *bytes == octets(address)))
    };
    leaf.dns_names.iter().all(has_dns) && leaf.addresses.iter().all(has_address)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PkiError {
    move |source| PkiError::Io { action, path: path.to_owned(), source }
}

/// An absent or empty file is none: a crash may leave an empty one.
fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_error("read", path)(e)),
    }
}

/// Writes beside, syncs and renames, so that a reader sees the old file or the new one.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)
        .map_err(io_error("write", &beside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error("write", &beside))?;
    fs::rename(&beside, path).map_err(io_error("write", path))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io_error("sync", dir))
}
