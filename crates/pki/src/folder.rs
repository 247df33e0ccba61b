//! The folder that keeps keys and certificates, laid out as kubeadm lays out its own: `ca.crt`, `ca.key`,
//! `apiserver.crt`, … A certificate and its key change at once: both are written to one file first (`apiserver.pair`),
//! and whoever opens the folder after a crash goes on from that.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use crate::{
    Authority, Leaf, Pair, PkiError, TokenKey, is_due,
    renewal::{self, Age},
    subject_of, tls,
};

/// Between the key and the certificate where both lie in one file.
const SEPARATOR: &str = "# The certificate of this key:\n";

/// A folder of mode 0700 with keys of mode 0600.
#[derive(Clone, Debug)]
pub struct Folder {
    dir: PathBuf,
}

impl Folder {
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, PkiError> {
        let dir = dir.into();
        let is_new = !dir.exists();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io_error("create", &dir))?;
        if is_new {
            // What lies in a folder is as lost as the folder's name, and the data folder may be new too.
            let above = dir.ancestors().skip(1).take(2).filter(|above| !above.as_os_str().is_empty());
            above.into_iter().try_for_each(sync)?;
        }
        Ok(Self { dir })
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// The authority of this name, made if there is none, and with a new certificate if its own ends. One that is there
    /// but unusable is an error, never replaced: everything it has issued would become worthless.
    pub fn authority(&self, name: &str, common_name: &str) -> Result<Authority, PkiError> {
        self.complete(name)?;
        let (certificate, key) = self.files(name);
        let unusable = |path: &Path, reason: String| {
            let path = path.to_owned();
            PkiError::Unusable { what: "certificate authority", path, reason }
        };
        match (read(&certificate)?, read(&key)?) {
            (Some(certificate_pem), Some(key_pem)) => {
                let pair = Pair { certificate_pem, key_pem };
                tls::certified_key(&pair).map_err(|_| PkiError::Mismatch { path: certificate.clone() })?;
                let pair = self.in_time(name, pair)?;
                Authority::from_pair(pair).map_err(|e| unusable(&certificate, e.to_string()))
            }
            (Some(_), None) => Err(unusable(&certificate, format!("its key {} is missing", key.display()))),
            // With the same key all it has issued stays good.
            (None, Some(key_pem)) => {
                let authority = Authority::of_key(common_name, &key_pem).map_err(|e| unusable(&key, e.to_string()))?;
                self.write_pair(name, authority.pair())?;
                Ok(authority)
            }
            (None, None) => {
                let authority = Authority::generate(common_name)?;
                self.write_pair(name, authority.pair())?;
                Ok(authority)
            }
        }
    }

    /// The authority, renewed if it is due.
    fn in_time(&self, name: &str, pair: Pair) -> Result<Pair, PkiError> {
        let path = || self.files(name).0;
        match renewal::age(&pair.certificate_pem) {
            Some(Age::Unborn(from)) => Err(PkiError::Unborn { path: path(), from: date(from) }),
            Some(Age::Due(to)) => match renewal::renewed(&pair) {
                Some(renewed) => {
                    self.write_pair(name, &renewed)?;
                    Ok(renewed)
                }
                None if to < since_epoch() => Err(PkiError::Ended { path: path(), to: date(to) }),
                None => Ok(pair),
            },
            _ => Ok(pair),
        }
    }

    /// A certificate of this name from `authority`, saying what `leaf` says: the one at hand while it does and is
    /// not due for renewal, else a new one.
    pub fn leaf(&self, name: &str, authority: &Authority, leaf: &Leaf) -> Result<Pair, PkiError> {
        self.complete(name)?;
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
        self.complete(name)?;
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

    /// What is written beside first is the new pair from the moment it has its name.
    fn write_pair(&self, name: &str, pair: &Pair) -> Result<(), PkiError> {
        let whole = format!("{}{SEPARATOR}{}", pair.key_pem, pair.certificate_pem);
        write(&self.path(&format!("{name}.pair")), whole.as_bytes(), 0o600)?;
        self.complete(name)
    }

    /// Ends a change that a crash has interrupted. Doing so twice is the same as once.
    fn complete(&self, name: &str) -> Result<(), PkiError> {
        let whole = self.path(&format!("{name}.pair"));
        let Some(text) = read(&whole)? else { return Ok(()) };
        if let Some((key_pem, certificate_pem)) = text.split_once(SEPARATOR) {
            let (certificate, key) = self.files(name);
            write(&key, key_pem.as_bytes(), 0o600)?;
            write(&certificate, certificate_pem.as_bytes(), 0o644)?;
        }
        fs::remove_file(&whole).map_err(io_error("remove", &whole))
    }
}

fn is_current(pair: &Pair, authority: &Authority, leaf: &Leaf) -> bool {
    let Ok(key) = tls::certified_key(pair) else { return false };
    let Some(der) = key.cert.first() else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let Ok((_, ca)) = x509_parser::pem::parse_x509_pem(authority.certificate_pem().as_bytes()) else { return false };
    let Ok(ca) = ca.parse_x509() else { return false };
    let subject = subject_of(der);
    certificate.verify_signature(Some(ca.public_key())).is_ok()
        && !is_due(&pair.certificate_pem)
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

fn since_epoch() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

fn date(since_epoch: i64) -> String {
    x509_parser::time::ASN1Time::from_timestamp(since_epoch).map_or_else(|_| String::new(), |time| time.to_string())
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
    // Every file has its own: what a crash leaves of a certificate is readable by all, and no place for a key.
    let beside = path.with_added_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)
        .map_err(io_error("write", &beside))?;
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(io_error("write", &beside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error("write", &beside))?;
    fs::rename(&beside, path).map_err(io_error("write", path))?;
    sync(path.parent().unwrap_or(Path::new(".")))
}

/// Makes the names in a folder durable.
fn sync(dir: &Path) -> Result<(), PkiError> {
    fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io_error("sync", dir))
}
