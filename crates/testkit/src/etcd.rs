//! Real etcd, of Debian's package `etcd-server`: one member on loopback, or three in networks of their own.

mod cluster;
mod member;
mod tls;

pub use cluster::EtcdCluster;
pub use tls::EtcdCertificates;

use std::{net::TcpListener, ops::Range, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use member::Member;

/// Below the ports that the kernel gives out by itself, so that a member finds its own again.
const PORTS: Range<u16> = 20_000..30_000;

/// A cluster of one member. It ends with this.
pub struct Etcd {
    folder: TempDir,
    certificates: Option<EtcdCertificates>,
    member: Member,
}

impl Etcd {
    /// Returns when it answers.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with these flags.
    pub fn start_with(flags: &[&str]) -> Self {
        Self::on(None, flags)
    }

    /// The same with TLS, for clients with a certificate only.
    pub fn start_secure() -> Self {
        Self::on(Some(EtcdCertificates::make()), &[])
    }

    /// The same with these.
    pub fn start_with_certificates(certificates: EtcdCertificates) -> Self {
        Self::on(Some(certificates), &[])
    }

    fn on(certificates: Option<EtcdCertificates>, flags: &[&str]) -> Self {
        let folder = folder();
        let scheme = if certificates.is_some() { "https" } else { "http" };
        let client = format!("{scheme}://127.0.0.1:{}", free_port());
        let peer = format!("http://127.0.0.1:{}", free_port());
        let mut member = Member::new("only", folder.path(), &client, &peer, Vec::new());
        member.flags.push(format!("--initial-cluster=only={peer}"));
        member.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        if let Some(certificates) = &certificates {
            member.flags.extend(certificates.server_flags());
            member.curl.extend(certificates.curl_flags());
        }
        member.start();
        member.wait();
        Self { folder, certificates, member }
    }

    pub fn endpoint(&self) -> String {
        self.member.client.clone()
    }

    pub fn certificates(&self) -> &EtcdCertificates {
        self.certificates.as_ref().expect("it was started with TLS")
    }

    /// For itself and its clients, of another authority; it must not run.
    pub fn renew_certificates(&mut self) {
        let certificates = EtcdCertificates::make();
        self.member.forget_flags(&self.certificates().server_flags());
        self.member.flags.extend(certificates.server_flags());
        self.member.curl = certificates.curl_flags();
        self.certificates = Some(certificates);
    }

    pub fn kill(&mut self) {
        self.member.kill();
    }

    /// On what it left; returns when it answers.
    pub fn start_again(&mut self) {
        self.member.start();
        self.member.wait();
    }

    /// On nothing: another cluster at the same address.
    pub fn start_anew(&mut self) {
        self.member.forget();
        self.member.flags.push("--initial-cluster-token=another".to_owned());
        self.start_again();
    }

    /// Keeps a copy of its data; it must not run.
    pub fn back_up(&self) -> TempDir {
        let copy = folder();
        copy_all(&self.member.data(), copy.path());
        copy
    }

    /// Puts a copy back; it must not run.
    pub fn restore(&self, copy: &TempDir) {
        self.member.forget();
        copy_all(copy.path(), &self.member.data());
    }

    /// It neither answers nor ends.
    pub fn pause(&mut self) {
        self.member.pause();
    }

    pub fn resume(&mut self) {
        self.member.resume();
    }

    /// One call of etcd's gateway, such as `kv/put`, by a client that is not ours.
    #[track_caller]
    pub fn call(&self, method: &str, body: &Value) -> Value {
        self.member.call(method, body)
    }

    /// The same by a user who has this token.
    #[track_caller]
    pub fn call_as(&self, token: &str, method: &str, body: &Value) -> Value {
        self.try_call_as(token, method, body).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same where it may be refused.
    pub fn try_call_as(&self, token: &str, method: &str, body: &Value) -> Result<Value, String> {
        self.member.try_call_as(token, method, body)
    }

    /// Keys and values as the gateway wants them.
    pub fn base64(bytes: &[u8]) -> String {
        member::base64(bytes)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// In memory where there is room: what is tested is not the disk.
fn folder() -> TempDir {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("knarr-test-etcd-");
        builder
    };
    builder().tempdir_in("/dev/shm").or_else(|_| builder().tempdir()).expect("a temporary folder")
}

fn copy_all(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
    assert!(copied.expect("cp can be started").success(), "cannot copy {} to {}", from.display(), to.display());
}

fn free_port() -> u16 {
    let first = PORTS.start + (std::process::id() as u16).wrapping_mul(37) % (PORTS.end - PORTS.start);
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let port = PORTS.start + (first - PORTS.start + step) % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
