//! A certificate authority, and the certificates it issues.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};

use crate::{PkiError, SigningRequest};

/// Authorities outlive every node they are likely to meet.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Leaves are renewed when a third of this is left, at every start and while the server runs.
pub(crate) const LEAF_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Certificates are valid from a little before they are made, for peers whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

/// What a certificate's holder may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    Client,
    Server,
    Both,
}

/// What a certificate says of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The user name of a client.
    pub common_name: String,
    /// The group of a client. One is all our components need, and all rcgen can write.
    pub organization: Option<String>,
    pub dns_names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub usage: Usage,
}

impl Leaf {
    pub fn client(common_name: impl Into<String>, organization: Option<&str>) -> Self {
        Self {
            common_name: common_name.into(),
            organization: organization.map(str::to_owned),
            dns_names: Vec::new(),
            addresses: Vec::new(),
            usage: Usage::Client,
        }
    }

    pub fn server(common_name: impl Into<String>, dns_names: &[&str], addresses: &[IpAddr]) -> Self {
        Self {
            common_name: common_name.into(),
            organization: None,
            dns_names: dns_names.iter().map(|n| n.to_string()).collect(),
            addresses: addresses.to_vec(),
            usage: Usage::Server,
        }
    }

    pub(crate) fn params(&self) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(self.dns_names.clone())?;
        params.subject_alt_names.extend(self.addresses.iter().map(|a| SanType::IpAddress(*a)));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.common_name.as_str());
        if let Some(organization) = &self.organization {
            params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = match self.usage {
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, LEAF_LIFETIME);
        Ok(params)
    }
}

/// A certificate with its private key, both PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// A certificate authority with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pair: Pair,
}

impl Authority {
    pub fn generate(common_name: &str) -> Result<Self, PkiError> {
        let failed = |source| PkiError::Issue { name: common_name.to_owned(), source };
        let key = KeyPair::generate().map_err(failed)?;
        Self::self_signed(common_name, key).map_err(failed)
    }

    /// One for a key that was made before.
    pub(crate) fn of_key(common_name: &str, key_pem: &str) -> Result<Self, PkiError> {
        let failed = |source| PkiError::Issue { name: common_name.to_owned(), source };
        let key = KeyPair::from_pem(key_pem).map_err(failed)?;
        Self::self_signed(common_name, key).map_err(failed)
    }

    fn self_signed(common_name: &str, key: KeyPair) -> Result<Self, rcgen::Error> {
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, common_name);
        let params = authority_params(name)?;
        let certificate_pem = params.self_signed(&key)?.pem();
        let pair = Pair { certificate_pem, key_pem: key.serialize_pem() };
        Ok(Self { issuer: Issuer::new(params, key), pair })
    }

    /// Takes an authority made before, by us or by kubeadm.
    pub fn from_pair(pair: Pair) -> Result<Self, PkiError> {
        let unreadable = |e: rcgen::Error| PkiError::Pem { what: "certificate authority", reason: e.to_string() };
        let key = KeyPair::from_pem(&pair.key_pem).map_err(unreadable)?;
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate_pem, key).map_err(unreadable)?;
        Ok(Self { issuer, pair })
    }

    pub fn certificate_pem(&self) -> &str {
        &self.pair.certificate_pem
    }

    pub(crate) fn pair(&self) -> &Pair {
        &self.pair
    }

    /// SHA-256 of the public key, in hexadecimal digits: what stays of an authority when its certificate is renewed.
    pub fn key_hash(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.issuer.key().subject_public_key_info());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a certificate is of this authority's key.
    pub fn has_key_of(&self, certificate_pem: &str) -> bool {
        let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()) else { return false };
        pem.parse_x509().is_ok_and(|other| other.public_key().raw == self.issuer.key().subject_public_key_info())
    }

    /// Signs a certificate for the key of a request. What it says is `leaf`, which the caller has checked.
    pub fn sign(&self, request: &SigningRequest, leaf: &Leaf, lifetime: Duration) -> Result<String, PkiError> {
        let failed = |source| PkiError::Issue { name: leaf.common_name.clone(), source };
        let mut params = leaf.params().map_err(failed)?;
        let now = SystemTime::now();
        params.not_after = (now + lifetime).into();
        // Of a short life little is dated back: renewal counts from the beginning.
        params.not_before = (now - BACKDATED.min(lifetime / 10)).into();
        let certificate = params.signed_by(&request.public_key, &self.issuer).map_err(failed)?;
        Ok(certificate.pem())
    }

    /// Makes a key and a certificate for it.
    pub fn issue(&self, leaf: &Leaf) -> Result<Pair, PkiError> {
        let failed = |source| PkiError::Issue { name: leaf.common_name.clone(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let params = leaf.params().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Pair { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

pub(crate) fn authority_params(name: DistinguishedName) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = name;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, AUTHORITY_LIFETIME);
    Ok(params)
}

fn set_validity(params: &mut CertificateParams, lifetime: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + lifetime).into();
}
