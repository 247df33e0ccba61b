//! Against what others make of the same: OpenSSL for AES, NaCl for secretbox, laid out as upstream's transformers do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

const PLACE: &[u8] = b"/registry/secrets/default/a";
const VALUE: &[u8] = b"k8s\0{\"kind\":\"Secret\"}";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn cipher(algorithm: Algorithm, length: u8) -> Cipher {
    Cipher::new(algorithm, &(0..length).collect::<Vec<u8>>()).unwrap()
}

fn nonce(algorithm: Algorithm) -> Vec<u8> {
    (100..).take(algorithm.nonce_length()).collect()
}

/// The nonce, and then these bytes.
#[track_caller]
fn check(algorithm: Algorithm, length: u8, value: &[u8], expected: &str) {
    let (cipher, nonce) = (cipher(algorithm, length), nonce(algorithm));
    let sealed = [&nonce[..], &hex(expected)].concat();
    assert_eq!(cipher.seal_with(&nonce, PLACE, value), sealed);
    assert_eq!(cipher.open(PLACE, &sealed).unwrap(), value);
}

#[test]
fn aesgcm_is_openssls() {
    check(Algorithm::AesGcm, 16, VALUE, "715a3da5a020d393f55a752aa4994e8f42ed0cddef30815518cddcc10c0c33e29522d2ae27");
    check(Algorithm::AesGcm, 32, VALUE, "2323ad6602cb3df750067dd2f8360f9e30a77228f60f81785c9c1992cd49a61386949809e8");
}

#[test]
fn aescbc_is_openssls() {
    let of = |length, expected: [&str; 2]| {
        check(Algorithm::AesCbc, length, VALUE, expected[0]);
        // A whole block has a block of padding.
        check(Algorithm::AesCbc, length, &VALUE[..16], expected[1]);
    };
    let same = "2d608d5f8435c8adb28395d1cbdf0ac1";
    of(16, [&format!("{same}b8152620a987dc18eded3e43991e01c8"), &format!("{same}1b6c1a4fa1e96ec1da41823537adba18")]);
    let same = "403c254170d1db6d224ca8b3ffab31bc";
    of(24, [&format!("{same}64a7131db1203a8369f3ebe68b4c293e"), &format!("{same}a0d77bc14ecef6c3c38cf65c935de2e3")]);
    let same = "627309cb3f80ab4039780c4c218f1032";
    of(32, [&format!("{same}021137378a5e92c554b512240dc3d0d0"), &format!("{same}8ec8da5c30d2c1dd1956716a38c00d77")]);
}

#[test]
fn secretbox_is_nacls() {
    check(
        Algorithm::Secretbox,
        32,
        VALUE,
        "647cb5cb794f29dd49f3758ee2284dde6981eac94194a580de9901ae15d7c67b4ccf4c8599",
    );
    // The example of NaCl's authors.
    let key = hex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    let nonce = hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
    let value = hex(concat!(
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f4",
        "1db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52",
        "f0a089bc76897040e082f937763848645e0705",
    ));
    let sealed = hex(concat!(
        "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b",
        "4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da",
        "99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5",
    ));
    let cipher = Cipher::new(Algorithm::Secretbox, &key).unwrap();
    assert_eq!(cipher.seal_with(&nonce, PLACE, &value), [nonce, sealed].concat());
}

#[test]
fn what_was_changed_or_is_none_of_ours_is_refused() {
    for (algorithm, length) in [(Algorithm::AesGcm, 32), (Algorithm::AesCbc, 32), (Algorithm::Secretbox, 32)] {
        let cipher = cipher(algorithm, length);
        let sealed = cipher.seal(PLACE, VALUE).unwrap();
        assert_eq!(cipher.open(PLACE, &sealed).unwrap(), VALUE);
        assert_ne!(cipher.seal(PLACE, VALUE).unwrap(), sealed, "a nonce was used twice");
        assert!(sealed.len() <= VALUE.len() + cipher.overhead());
        for cut in 0..sealed.len() {
            assert_ne!(cipher.open(PLACE, &sealed[..cut]).as_deref(), Some(VALUE), "{algorithm:?} cut at {cut}");
        }
        let other = Cipher::new(algorithm, &[7; 32]).unwrap();
        assert_ne!(other.open(PLACE, &sealed).as_deref(), Some(VALUE));
        if algorithm != Algorithm::AesCbc {
            let mut changed = sealed;
            *changed.last_mut().unwrap() ^= 1;
            assert_eq!(cipher.open(PLACE, &changed), None);
        }
    }
    for (algorithm, length) in [(Algorithm::AesGcm, 24), (Algorithm::AesCbc, 31), (Algorithm::Secretbox, 16)] {
        assert!(Cipher::new(algorithm, &vec![0; length]).is_none());
    }
}
