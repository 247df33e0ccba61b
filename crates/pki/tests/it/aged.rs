//! Folders whose certificates have ended, and folders as a death in the middle of a change leaves them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use pki::{Authority, Folder, Leaf, Pair, PkiError};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, Issuer, KeyPair};

use super::{folder, serving_leaf};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What an authority of this name was in the past; its name is written as kubeadm writes it.
fn old_authority(name: &str, key: &KeyPair, ended: SystemTime) -> (CertificateParams, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, DnValue::PrintableString(name.try_into().unwrap()));
    params.not_before = (ended - 3650 * DAY).into();
    params.not_after = ended.into();
    let pem = params.self_signed(key).unwrap().pem();
    (params, pem)
}

fn put(folder: &Folder, name: &str, certificate: &str, key: &str) {
    fs::write(folder.path(&format!("{name}.crt")), certificate).unwrap();
    fs::write(folder.path(&format!("{name}.key")), key).unwrap();
}

fn openssl(words: &[&str]) -> String {
    let output = Command::new("openssl").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Openssl, which compares names and key ids byte by byte, accepts what `ca` has signed.
fn verifies(dir: &Path, ca: &str, leaf: &str) {
    fs::write(dir.join("trusted"), ca).unwrap();
    fs::write(dir.join("shown"), leaf).unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    assert!(openssl(&["verify", "-no_check_time", "-CAfile", &path("trusted"), &path("shown")]).contains("OK"));
}

#[test]
fn an_authority_that_ended_is_renewed_and_all_that_trusts_it_goes_on() {
    let (dir, folder) = folder();
    for (name, ended) in [("ca", SystemTime::now() - 400 * DAY), ("soon", SystemTime::now() + 500 * DAY)] {
        let key = KeyPair::generate().unwrap();
        let (params, old) = old_authority("kubernetes", &key, ended);
        let issuer = Issuer::from_params(&params, &key);
        let mut leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
        leaf.use_authority_key_identifier_extension = true;
        let old_leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().pem();
        put(&folder, name, &old, &key.serialize_pem());

        let renewed = folder.authority(name, "kubernetes").unwrap();
        assert_ne!(renewed.certificate_pem(), old);
        assert!(pki::is_valid_now(renewed.certificate_pem()));
        fs::write(dir.path().join("renewed"), renewed.certificate_pem()).unwrap();
        fs::write(dir.path().join("old"), &old).unwrap();
        let begins = |name: &str| {
            let path = dir.path().join(name);
            openssl(&["x509", "-noout", "-startdate", "-in", path.to_str().unwrap()])
        };
        assert_eq!(begins("renewed"), begins("old"), "a clock that was wrong once makes no authority of the future");
        let left = pki::end_time(renewed.certificate_pem()).unwrap().duration_since(SystemTime::now()).unwrap();
        assert!(left > 3000 * DAY, "{left:?}");
        let new_leaf = folder.leaf(&format!("{name}-leaf"), &renewed, &serving_leaf()).unwrap().certificate_pem;
        for (ca, leaf) in [(&*old, &*new_leaf), (renewed.certificate_pem(), &old_leaf), (&old, &old_leaf)] {
            verifies(dir.path(), ca, leaf);
        }
        // Its key is the same, and the next start finds nothing to do.
        assert_eq!(fs::read_to_string(folder.path(&format!("{name}.key"))).unwrap(), key.serialize_pem());
        assert_eq!(folder.authority(name, "x").unwrap().certificate_pem(), renewed.certificate_pem());
        let before = Authority::from_pair(Pair { certificate_pem: old, key_pem: key.serialize_pem() }).unwrap();
        assert_eq!(before.key_hash(), renewed.key_hash());
    }
}

#[test]
fn an_authority_that_others_signed_says_when_it_ended() {
    let (_dir, folder) = folder();
    let (above, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (above_params, _) = old_authority("company", &above, SystemTime::now() + 500 * DAY);
    let signed = |ended: SystemTime| {
        let (params, _) = old_authority("kubernetes", &key, ended);
        params.signed_by(&key, &Issuer::from_params(&above_params, &above)).unwrap().pem()
    };
    put(&folder, "ca", &signed(SystemTime::now() - DAY), &key.serialize_pem());
    let error = folder.authority("ca", "kubernetes").err().unwrap();
    assert!(matches!(error, PkiError::Ended { .. }), "{error}");
    assert!(error.to_string().contains("ca.crt ended on ") && error.to_string().contains("20"), "{error}");
    // While it lasts it is used as it is.
    let lasting = signed(SystemTime::now() + DAY);
    put(&folder, "ca", &lasting, &key.serialize_pem());
    assert_eq!(folder.authority("ca", "kubernetes").unwrap().certificate_pem(), lasting);
    let unborn = old_authority("kubernetes", &key, SystemTime::now() + 5000 * DAY).1;
    put(&folder, "ca", &unborn, &key.serialize_pem());
    let error = folder.authority("ca", "kubernetes").err().unwrap().to_string();
    assert!(error.contains("the clock of this machine is wrong"), "{error}");
}

#[test]
fn an_authority_whose_certificate_was_lost_keeps_its_key() {
    let (dir, folder) = folder();
    let before = folder.authority("ca", "kubernetes").unwrap();
    let leaf = folder.leaf("apiserver", &before, &serving_leaf()).unwrap();
    fs::remove_file(folder.path("ca.crt")).unwrap();
    let after = folder.authority("ca", "kubernetes").unwrap();
    assert_eq!(before.key_hash(), after.key_hash());
    verifies(dir.path(), after.certificate_pem(), &leaf.certificate_pem);
    assert_eq!(folder.leaf("apiserver", &after, &serving_leaf()).unwrap().certificate_pem, leaf.certificate_pem);
}

/// A pair is changed by writing it beside, then the key, then the certificate: whatever a death leaves of that, the
/// next who looks finds one of the two pairs, and the new one once it has its name.
#[test]
fn a_death_in_the_middle_of_a_change_leaves_a_pair() {
    let ca = Authority::generate("kubernetes").unwrap();
    let leaf = Leaf::client("system:node:a", Some("system:nodes"));
    let (old, new) = (ca.issue(&leaf).unwrap(), ca.issue(&leaf).unwrap());
    // What the change itself leaves beside is taken from a folder in which the last step cannot be done.
    let beside = {
        let (_dir, folder) = folder();
        fs::create_dir(folder.path("kubelet-client.crt")).unwrap();
        folder.keep_pair("kubelet-client", &new).unwrap_err();
        fs::read(folder.path("kubelet-client.pair")).unwrap()
    };
    for (step, expected) in [(0, &old), (1, &new), (2, &new), (3, &new)] {
        let (_dir, folder) = folder();
        folder.keep_pair("kubelet-client", &old).unwrap();
        // Half of what was being written beside may lie there too, for others to read.
        for name in ["kubelet-client.pair.new", "kubelet-client.key.new", "kubelet-client.crt.new"] {
            fs::write(folder.path(name), "half").unwrap();
            fs::set_permissions(folder.path(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        if step >= 1 {
            fs::write(folder.path("kubelet-client.pair"), &beside).unwrap();
        }
        if step >= 2 {
            fs::write(folder.path("kubelet-client.key"), &new.key_pem).unwrap();
        }
        if step >= 3 {
            fs::write(folder.path("kubelet-client.crt"), &new.certificate_pem).unwrap();
        }
        let found = folder.pair("kubelet-client").unwrap().unwrap_or_else(|| panic!("no pair after step {step}"));
        assert_eq!((&found.certificate_pem, &found.key_pem), (&expected.certificate_pem, &expected.key_pem), "{step}");
        assert!(!folder.path("kubelet-client.pair").exists());
        folder.keep_pair("kubelet-client", &old).unwrap();
        let mode = fs::metadata(folder.path("kubelet-client.key")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "step {step}");
    }
}
