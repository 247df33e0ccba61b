//! Certificates for an etcd that wants them, made by `openssl`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

const MAKE: &str = r#"
set -e
new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $1.key -subj /CN=$1 "${@:2}"; }
new ca -x509 -days 2 -out ca.crt
for name in server client; do
    new $name -out $name.csr
    printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' > $name.ext
    openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.crt
done
"#;

/// An authority, and what it signed for a server and a client on loopback.
pub struct EtcdCertificates {
    folder: TempDir,
}

impl EtcdCertificates {
    pub fn make() -> Self {
        let folder = super::folder();
        let made = Command::new("bash").args(["-c", MAKE]).current_dir(folder.path()).output();
        let made = made.expect("bash can be started");
        assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
        Self { folder }
    }

    /// `ca.crt`, `client.crt`, `client.key`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn pem(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("it was made")
    }

    pub(super) fn server_flags(&self) -> Vec<String> {
        let of = |flag: &str, name: &str| format!("--{flag}={}", show(&self.path(name)));
        let files = [("cert-file", "server.crt"), ("key-file", "server.key"), ("trusted-ca-file", "ca.crt")];
        let flags = files.map(|(flag, name)| of(flag, name));
        flags.into_iter().chain(["--client-cert-auth".to_owned()]).collect()
    }

    pub(super) fn curl_flags(&self) -> Vec<String> {
        let files = [("--cacert", "ca.crt"), ("--cert", "client.crt"), ("--key", "client.key")];
        files.into_iter().flat_map(|(flag, name)| [flag.to_owned(), show(&self.path(name))]).collect()
    }
}

fn show(path: &Path) -> String {
    path.to_str().expect("plain").to_owned()
}
