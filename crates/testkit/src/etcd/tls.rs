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
sign() {
    new $1 -out $1.csr
    printf "subjectAltName=$2\nextendedKeyUsage=serverAuth,clientAuth\n" > $1.ext
    openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days $3 -extfile $1.ext -out $1.crt
}
sign server $NAME $DAYS
sign client IP:127.0.0.1 2
"#;

/// An authority, and what it signed for a server and a client on loopback.
pub struct EtcdCertificates {
    folder: TempDir,
}

impl EtcdCertificates {
    pub fn make() -> Self {
        Self::with("IP:127.0.0.1", "2")
    }

    /// The server's is not for the address it serves at.
    pub fn of_another_name() -> Self {
        Self::with("DNS:elsewhere.example", "2")
    }

    /// The server's ended yesterday.
    pub fn expired() -> Self {
        Self::with("IP:127.0.0.1", "-1")
    }

    fn with(name: &str, days: &str) -> Self {
        let folder = super::folder();
        let mut make = Command::new("bash");
        let made = make.args(["-c", MAKE]).env("NAME", name).env("DAYS", days).current_dir(folder.path()).output();
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
        let files = [("--cert", "client.crt"), ("--key", "client.key")];
        let files = files.into_iter().flat_map(|(flag, name)| [flag.to_owned(), show(&self.path(name))]);
        // Whether the server's certificate is good is no business of the harness.
        files.chain(["--insecure".to_owned()]).collect()
    }
}

fn show(path: &Path) -> String {
    path.to_str().expect("plain").to_owned()
}
