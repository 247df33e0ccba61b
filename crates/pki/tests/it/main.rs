//! Keys and certificates as a start, a restart and a crash leave them, and real handshakes with them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod aged;

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use pki::{Claims, Folder, Leaf, PkiError, ServingCertificate, TokenError, TokenKey, client_config, server_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn folder() -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path().join("pki")).unwrap();
    (dir, folder)
}

fn serving_leaf() -> Leaf {
    Leaf::server("kube-apiserver", &["localhost"], &["127.0.0.1".parse().unwrap()])
}

#[test]
fn a_second_start_finds_what_the_first_made() {
    let (_dir, folder) = folder();
    let ca = folder.authority("ca", "kubernetes").unwrap();
    let leaf = folder.leaf("apiserver", &ca, &serving_leaf()).unwrap();
    let again = folder.authority("ca", "kubernetes").unwrap();
    assert_eq!(ca.certificate_pem(), again.certificate_pem());
    assert_eq!(folder.leaf("apiserver", &again, &serving_leaf()).unwrap().certificate_pem, leaf.certificate_pem);
    for key in ["ca.key", "apiserver.key"] {
        assert_eq!(fs::metadata(folder.path(key)).unwrap().permissions().mode() & 0o777, 0o600, "{key}");
    }
}

#[test]
fn a_leaf_is_made_anew_when_it_no_longer_fits() {
    let (_dir, folder) = folder();
    let ca = folder.authority("ca", "kubernetes").unwrap();
    let first = folder.leaf("apiserver", &ca, &serving_leaf()).unwrap();
    let mut wider = serving_leaf();
    wider.dns_names.push("node-1".to_owned());
    let second = folder.leaf("apiserver", &ca, &wider).unwrap();
    assert_ne!(first.certificate_pem, second.certificate_pem);
    // A crash between the two writes leaves a new key beside the old certificate.
    fs::write(folder.path("apiserver.key"), &first.key_pem).unwrap();
    let third = folder.leaf("apiserver", &ca, &wider).unwrap();
    assert_ne!(second.certificate_pem, third.certificate_pem);
}

#[test]
fn a_damaged_authority_is_never_replaced() {
    let (_dir, folder) = folder();
    folder.authority("ca", "kubernetes").unwrap();
    let other = pki::Authority::generate("other").unwrap();
    fs::write(folder.path("ca.crt"), other.certificate_pem()).unwrap();
    assert!(matches!(folder.authority("ca", "kubernetes"), Err(PkiError::Mismatch { .. })));
    fs::remove_file(folder.path("ca.key")).unwrap();
    let error = folder.authority("ca", "kubernetes").err().unwrap().to_string();
    assert!(error.contains("ca.key is missing"), "{error}");
}

#[tokio::test]
async fn a_handshake_tells_the_server_who_the_client_is() {
    let ca = pki::Authority::generate("kubernetes").unwrap();
    let serving = ServingCertificate::new(&ca.issue(&serving_leaf()).unwrap()).unwrap();
    let server = server_config(serving, ca.certificate_pem()).unwrap();
    let admin = ca.issue(&Leaf::client("admin", Some("system:masters"))).unwrap();
    let client = client_config(ca.certificate_pem(), Some(&admin)).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accept = tokio_rustls::TlsAcceptor::from(Arc::new(server)).accept(far);
    let connect = tokio_rustls::TlsConnector::from(Arc::new(client)).connect("localhost".try_into().unwrap(), near);
    let (accepted, connected) = tokio::join!(accept, connect);
    let (mut accepted, mut connected) = (accepted.unwrap(), connected.unwrap());
    connected.write_all(b"hello").await.unwrap();
    connected.flush().await.unwrap();
    let mut text = [0; 5];
    accepted.read_exact(&mut text).await.unwrap();
    let subject = pki::subject_of(&accepted.get_ref().1.peer_certificates().unwrap()[0]).unwrap();
    assert_eq!((subject.common_name.as_str(), subject.organizations), ("admin", vec!["system:masters".to_owned()]));
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused() {
    let (ours, theirs) = (pki::Authority::generate("a").unwrap(), pki::Authority::generate("b").unwrap());
    let serving = ServingCertificate::new(&ours.issue(&serving_leaf()).unwrap()).unwrap();
    let server = server_config(serving, ours.certificate_pem()).unwrap();
    let stranger = theirs.issue(&Leaf::client("admin", Some("system:masters"))).unwrap();
    let client = client_config(ours.certificate_pem(), Some(&stranger)).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accept = tokio_rustls::TlsAcceptor::from(Arc::new(server)).accept(far);
    let connect = tokio_rustls::TlsConnector::from(Arc::new(client)).connect("localhost".try_into().unwrap(), near);
    let (accepted, _connected) = tokio::join!(accept, connect);
    assert!(accepted.is_err());
}

#[test]
fn tokens_are_verified_in_every_respect() {
    let (key, pem) = TokenKey::generate().unwrap();
    let same = TokenKey::from_pem(&pem).unwrap();
    let claims = Claims {
        aud: vec!["api".to_owned()],
        exp: 200,
        iat: 100,
        nbf: 100,
        iss: "us".to_owned(),
        sub: "system:serviceaccount:ns:sa".to_owned(),
        ..Claims::default()
    };
    let token = key.sign(&claims).unwrap();
    assert_eq!(same.verify(&token, "us", &["x", "api"], 150).unwrap(), claims);
    assert!(matches!(key.verify(&token, "us", &["api"], 200), Err(TokenError::Expired)));
    assert!(matches!(key.verify(&token, "us", &["api"], 99), Err(TokenError::NotYetValid)));
    assert!(matches!(key.verify(&token, "us", &["x"], 150), Err(TokenError::Audience)));
    assert!(matches!(key.verify(&token, "them", &["api"], 150), Err(TokenError::Issuer)));
    let (other, _) = TokenKey::generate().unwrap();
    assert!(matches!(other.verify(&token, "us", &["api"], 150), Err(TokenError::UnknownKey)));
    // One claim changed, the signature kept.
    let (header, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let forged = key.sign(&Claims { exp: 900, ..claims }).unwrap();
    let forged_claims = forged.split('.').nth(1).unwrap();
    let forged = format!("{header}.{forged_claims}.{signature}");
    assert!(matches!(key.verify(&forged, "us", &["api"], 150), Err(TokenError::Signature)));
    assert!(matches!(key.verify("a.b", "us", &["api"], 150), Err(TokenError::Malformed)));
}
