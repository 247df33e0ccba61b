//! Makes the certificates of a folder old, as if the machine had been off for years.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use pki::Leaf;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn key(pki: &Path, name: &str) -> KeyPair {
    KeyPair::from_pem(&fs::read_to_string(pki.join(format!("{name}.key"))).unwrap()).unwrap()
}

/// From when to when a certificate is good.
type Life = (SystemTime, SystemTime);

/// It lasted so long, and ended 400 days ago.
fn ended(lasted: Duration) -> Life {
    let ended = SystemTime::now() - 400 * DAY;
    (ended - lasted, ended)
}

fn params(common_name: &str, organization: Option<&str>, life: Life) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.not_before = life.0.into();
    params.not_after = life.1.into();
    params
}

fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = params(common_name, None, ended(3650 * DAY));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

/// An authority's certificate ended 400 days ago; its key stays.
pub(super) fn authority(pki: &Path, name: &str, common_name: &str) {
    let pem = authority_params(common_name).self_signed(&key(pki, name)).unwrap().pem();
    fs::write(pki.join(format!("{name}.crt")), pem).unwrap();
}

/// The same for what an authority has signed, which may have its key elsewhere.
pub(super) fn leaf(pki: &Path, name: &str, of: (&Path, &str, &str), says: &Leaf) {
    signed(pki, name, of, says, ended(365 * DAY));
}

/// The same where a sixth of its life is left: it is to be renewed.
pub(super) fn due_leaf(pki: &Path, name: &str, of: (&Path, &str, &str), says: &Leaf) {
    let now = SystemTime::now();
    signed(pki, name, of, says, (now - 300 * DAY, now + 60 * DAY));
}

fn signed(pki: &Path, name: &str, of: (&Path, &str, &str), says: &Leaf, life: Life) {
    let (authority_pki, authority, authority_name) = of;
    let issuer_params = authority_params(authority_name);
    let issuer = Issuer::from_params(&issuer_params, key(authority_pki, authority));
    let mut params = params(&says.common_name, says.organization.as_deref(), life);
    params.subject_alt_names.extend(says.addresses.iter().map(|address| rcgen::SanType::IpAddress(*address)));
    let pem = params.signed_by(&key(pki, name), &issuer).unwrap().pem();
    fs::write(pki.join(format!("{name}.crt")), pem).unwrap();
}

/// All of a server's.
pub(super) fn server(data_dir: &Path) {
    let pki = &data_dir.join("pki");
    let loopback = ["127.0.0.1".parse().unwrap()];
    leaf(pki, "apiserver", (pki, "ca", "kubernetes"), &Leaf::server("kube-apiserver", &[], &loopback));
    leaf(pki, "admin", (pki, "ca", "kubernetes"), &Leaf::client("kubernetes-admin", Some("system:masters")));
    let client = Leaf::client("kube-apiserver-kubelet-client", None);
    leaf(pki, "apiserver-kubelet-client", (pki, "kubelet-ca", "kubelet"), &client);
    if pki.join("kubelet.crt").exists() {
        leaf(pki, "kubelet", (pki, "kubelet-ca", "kubelet"), &Leaf::server("system:node:x", &[], &loopback));
    }
    authority(pki, "ca", "kubernetes");
    authority(pki, "kubelet-ca", "kubelet");
}
