//! The cipher, and which key is for what.

use std::{borrow::Cow, sync::Arc};

use anyhow::Context;
use bytes::Bytes;
use ring::{
    aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use store::{Seal, Unsealable};

/// What every encrypted value begins with. No object does: they are JSON.
const MARK: &[u8] = b"k8s:enc:";
/// What the keys of all objects begin with here.
const ROOT: &[u8] = b"/registry/";

/// Whether a value is as some key has encrypted it.
pub(super) fn is_sealed(stored: &[u8]) -> bool {
    stored.starts_with(MARK)
}

pub(super) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok().context("the system gives no random numbers")?;
    Ok(bytes)
}

/// A key with what its values begin with.
pub(super) struct Key {
    prefix: Vec<u8>,
    cipher: LessSafeKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("prefix", &String::from_utf8_lossy(&self.prefix)).finish_non_exhaustive()
    }
}

impl Key {
    /// `None` if the secret is of no length that there is.
    pub(super) fn new(name: &str, secret: &[u8]) -> Option<Self> {
        let algorithm = [&AES_128_GCM, &AES_256_GCM].into_iter().find(|a| a.key_len() == secret.len())?;
        let cipher = LessSafeKey::new(UnboundKey::new(algorithm, secret).ok()?);
        Some(Self { prefix: format!("k8s:enc:aesgcm:v1:{name}:").into_bytes(), cipher })
    }

    fn seal(&self, key: &[u8], value: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = random().expect("a server that got keys gets random numbers");
        let mut body = value.to_vec();
        self.cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(key), &mut body)
            .expect("an object is far shorter than what a key can encrypt");
        [&self.prefix[..], &nonce, &body].concat()
    }

    fn overhead(&self) -> usize {
        self.prefix.len() + NONCE_LEN + self.cipher.algorithm().tag_len()
    }

    /// `None` if it was sealed with another key.
    fn open(&self, key: &[u8], stored: &[u8]) -> Option<Result<Bytes, Unsealable>> {
        let (nonce, body) = stored.strip_prefix(&self.prefix[..])?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let length = match self.cipher.open_in_place(nonce, Aad::from(key), &mut body) {
            Ok(value) => value.len(),
            Err(_) => return Some(Err(Unsealable::Refused)),
        };
        body.truncate(length);
        Some(Ok(body.into()))
    }
}

#[derive(Debug)]
pub(super) enum Provider {
    AesGcm(Box<Key>),
    Identity,
}

/// The providers of each kind: the first writes, all read.
#[derive(Debug)]
pub(super) struct Sealer {
    by_prefix: Vec<(Vec<u8>, Arc<[Provider]>)>,
    /// What keys begin with where the values lie, if that is not [`ROOT`].
    elsewhere: Option<Vec<u8>>,
}

impl Sealer {
    pub(super) fn new(by_prefix: Vec<(Vec<u8>, Arc<[Provider]>)>) -> Self {
        Self { by_prefix, elsewhere: None }
    }

    /// The same for values that lie below another prefix.
    pub(super) fn below(self, prefix: Option<Vec<u8>>) -> Self {
        Self { elsewhere: prefix.filter(|prefix| prefix != ROOT), ..self }
    }

    /// The associated data: the key by which the value lies there, as upstream has it.
    fn bound_to<'a>(&self, key: &'a [u8]) -> Cow<'a, [u8]> {
        match (&self.elsewhere, key.strip_prefix(ROOT)) {
            (Some(prefix), Some(rest)) => Cow::Owned([prefix, rest].concat()),
            _ => Cow::Borrowed(key),
        }
    }

    fn providers(&self, key: &[u8]) -> Option<&[Provider]> {
        self.by_prefix.iter().find(|(prefix, _)| key.starts_with(prefix)).map(|(_, providers)| &**providers)
    }
}

impl Seal for Sealer {
    fn seal(&self, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        match self.providers(key)?.first()? {
            Provider::AesGcm(cipher) => Some(cipher.seal(&self.bound_to(key), value)),
            Provider::Identity => None,
        }
    }

    fn concerns(&self, key: &[u8]) -> bool {
        self.providers(key).is_some()
    }

    fn overhead(&self) -> usize {
        let all = self.by_prefix.iter().flat_map(|(_, providers)| providers.first());
        let overhead = |provider: &Provider| match provider {
            Provider::AesGcm(cipher) => cipher.overhead(),
            Provider::Identity => 0,
        };
        all.map(overhead).max().unwrap_or_default()
    }

    fn open(&self, key: &[u8], stored: Bytes) -> Result<Bytes, Unsealable> {
        let providers = self.providers(key).unwrap_or(&[Provider::Identity]);
        if !is_sealed(&stored) {
            let allowed = providers.iter().any(|provider| matches!(provider, Provider::Identity));
            return if allowed { Ok(stored) } else { Err(Unsealable::Plain) };
        }
        providers
            .iter()
            .find_map(|provider| match provider {
                Provider::AesGcm(cipher) => cipher.open(&self.bound_to(key), &stored),
                Provider::Identity => None,
            })
            .unwrap_or(Err(Unsealable::UnknownKey))
    }
}
