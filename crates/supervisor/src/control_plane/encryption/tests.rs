//! What the file may say, and what becomes of values.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use store::Unsealable;

use super::*;

const SECRET: &[u8] = b"/registry/secrets/default/a";

fn file(providers: &str) -> String {
    format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets, \
         deployments.apps]\n  providers:\n{providers}"
    )
}

fn aesgcm(name: &str, byte: u8) -> String {
    format!("  - aesgcm: {{keys: [{{name: {name}, secret: {}}}]}}\n", STANDARD.encode([byte; 32]))
}

fn sealer(providers: &str) -> anyhow::Result<Sealer> {
    parse(&file(providers), &Resources::built_in())
}

#[test]
fn a_value_is_sealed_in_upstreams_format_for_its_place_only() {
    let sealer = sealer(&aesgcm("key1", 1)).unwrap();
    let sealed = sealer.seal(SECRET, b"{}").unwrap();
    assert!(sealed.starts_with(b"k8s:enc:aesgcm:v1:key1:"));
    assert_eq!(sealed.len(), b"k8s:enc:aesgcm:v1:key1:".len() + 12 + 2 + 16);
    assert_ne!(sealer.seal(SECRET, b"{}").unwrap(), sealed, "a nonce was used twice");
    assert_eq!(sealer.open(SECRET, sealed.clone().into()).unwrap(), "{}");
    // Moved to another place, or changed, it is nothing.
    assert_eq!(sealer.open(b"/registry/secrets/default/b", sealed.clone().into()), Err(Unsealable::Refused));
    let mut changed = sealed;
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(sealer.open(SECRET, changed.into()), Err(Unsealable::Refused));
    assert!(sealer.seal(b"/registry/deployments/default/a", b"{}").is_some());
    assert_eq!(sealer.seal(b"/registry/configmaps/default/a", b"{}"), None);
    assert_eq!(sealer.open(b"/registry/configmaps/default/a", Bytes::from("{}")).unwrap(), "{}");
}

#[test]
fn the_first_provider_writes_and_all_read() {
    let old = sealer(&aesgcm("key1", 1)).unwrap();
    let new = sealer(&(aesgcm("key2", 2) + &aesgcm("key1", 1) + "  - identity: {}\n")).unwrap();
    let sealed: Bytes = old.seal(SECRET, b"{}").unwrap().into();
    assert_eq!(new.open(SECRET, sealed.clone()).unwrap(), "{}");
    assert_eq!(new.open(SECRET, Bytes::from("{}")).unwrap(), "{}");
    assert!(new.seal(SECRET, b"{}").unwrap().starts_with(b"k8s:enc:aesgcm:v1:key2:"));
    let alone = sealer(&aesgcm("key2", 2)).unwrap();
    assert_eq!(alone.open(SECRET, sealed), Err(Unsealable::UnknownKey { key: "aesgcm key \"key1\"".to_owned() }));
    assert_eq!(alone.open(SECRET, Bytes::from("{}")), Err(Unsealable::Plain));
    assert_eq!(sealer("  - identity: {}\n").unwrap().seal(SECRET, b"{}"), None);
}

/// From any provider to any other, as an administrator changes them.
#[test]
fn providers_follow_each_other() {
    let one = |provider: &str, name: &str, byte: u8| {
        format!("  - {provider}: {{keys: [{{name: {name}, secret: {}}}]}}\n", STANDARD.encode([byte; 32]))
    };
    let providers = ["aesgcm", "aescbc", "secretbox"];
    for (old, new) in providers.iter().flat_map(|old| providers.map(|new| (*old, new))) {
        let before = sealer(&one(old, "a", 1)).unwrap();
        let sealed: Bytes = before.seal(SECRET, b"{}").unwrap().into();
        assert!(sealed.starts_with(format!("k8s:enc:{old}:v1:a:").as_bytes()));
        // Also where the new key has the name of the old one.
        for name in ["a", "b"] {
            let both = sealer(&(one(new, name, 2) + &one(old, "a", 1))).unwrap();
            assert_eq!(both.open(SECRET, sealed.clone()).unwrap(), "{}");
            assert!(both.seal(SECRET, b"{}").unwrap().starts_with(format!("k8s:enc:{new}:v1:{name}:").as_bytes()));
        }
        let plain = sealer(&("  - identity: {}\n".to_owned() + &one(old, "a", 1))).unwrap();
        assert_eq!((plain.open(SECRET, sealed.clone()).unwrap(), plain.seal(SECRET, b"{}")), (Bytes::from("{}"), None));
        let none = sealer("  - identity: {}\n").unwrap().open(SECRET, sealed).unwrap_err();
        assert_eq!(
            none.to_string(),
            format!("no matching key was found: it is encrypted with {old} key \"a\", which is not configured")
        );
    }
}

#[test]
fn what_is_wrong_is_named_and_no_secret_shown() {
    let error = |providers: &str| format!("{:#}", sealer(providers).unwrap_err());
    assert!(error("  - kms: {keys: []}\n").contains("kms is not supported"));
    assert!(error("  - aescbc: {keys: []}\n").contains("aescbc has no keys"));
    assert!(error("  - aesgcm: {keys: [{name: a, secret: aGVsbG8=}]}\n").contains("5 bytes"));
    let wrong = error("  - aesgcm: {keys: [{name: a, secret: 'hush, hush'}]}\n");
    assert!(wrong.contains("base64") && !wrong.contains("hush"), "{wrong}");
    assert!(error("  - aesgcm: {keys: [{name: 'a:b', secret: aGVsbG8=}]}\n").contains("colon"));
    let unknown = file("  - identity: {}\n").replace("deployments.apps", "wishes");
    let unknown = parse(&unknown, &Resources::built_in()).unwrap_err();
    assert!(format!("{unknown:#}").contains("wishes"));
    let custom = file(&aesgcm("key1", 1)).replace("deployments.apps", "wishes.example.com, '*.other.io'");
    let custom = parse(&custom, &Resources::built_in()).unwrap();
    assert!(custom.seal(b"/registry/example.com/wishes/default/a", b"{}").is_some());
    assert!(custom.seal(b"/registry/other.io/things/a", b"{}").is_some());
    assert!(custom.seal(b"/registry/example.com/others/a", b"{}").is_none());
    assert!(!format!("{:?}", sealer(&aesgcm("key1", 1)).unwrap()).contains("AQEB"));
}

#[test]
fn a_data_folder_gets_a_key_of_its_own_that_only_its_owner_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let seal = open(None, dir.path(), None, &Resources::built_in()).unwrap();
    let sealed = seal.seal(SECRET, b"{}").unwrap();
    let again = open(None, dir.path(), None, &Resources::built_in()).unwrap();
    assert_eq!(again.open(SECRET, sealed.into()).unwrap(), "{}");
    let path = dir.path().join("encryption.yaml");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = open(None, dir.path(), None, &Resources::built_in()).unwrap_err();
    assert!(format!("{refused:#}").contains("chmod 600"), "{refused:#}");
}

#[test]
fn what_lies_below_another_prefix_is_bound_to_its_key_there() {
    let dir = tempfile::tempdir().unwrap();
    let here = open(None, dir.path(), None, &Resources::built_in()).unwrap();
    let there = open(None, dir.path(), Some(b"/blue/".to_vec()), &Resources::built_in()).unwrap();
    let same = open(None, dir.path(), Some(b"/registry/".to_vec()), &Resources::built_in()).unwrap();
    let key = b"/registry/secrets/n/a";
    let sealed = Bytes::from(there.seal(key, b"{}").unwrap());
    assert_eq!(there.open(key, sealed.clone()).unwrap(), "{}");
    assert!(here.open(key, sealed).is_err());
    let plain = Bytes::from(here.seal(key, b"{}").unwrap());
    assert_eq!(same.open(key, plain).unwrap(), "{}");
}
