//! Which key is for what.

use std::{borrow::Cow, sync::Arc};

use anyhow::Context;
use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use store::{Seal, Unsealable};

use super::cipher::{Algorithm, Cipher};

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

/// With which key a value is encrypted, for people; `k8s:enc:PROVIDER:VERSION:NAME:` is what it begins with.
fn key_of(sealed: &[u8]) -> String {
    /// As much of a value as may be shown: what follows the name is no text.
    const LONGEST_NAME: usize = 253;
    let mut parts = sealed[MARK.len()..].splitn(4, |byte| *byte == b':');
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok()).filter(|t| t.len() <= LONGEST_NAME);
    match (text(), text(), text()) {
        (Some(provider), Some(_), Some(name)) => format!("{provider} key {name:?}"),
        _ => "an unknown provider".to_owned(),
    }
}

/// A key with what its values begin with.
pub(super) struct Key {
    prefix: Vec<u8>,
    cipher: Cipher,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("prefix", &String::from_utf8_lossy(&self.prefix)).finish_non_exhaustive()
    }
}

impl Key {
    /// `None` if the secret is of no length that there is.
    pub(super) fn new(algorithm: Algorithm, name: &str, secret: &[u8]) -> Option<Self> {
        let prefix = format!("k8s:enc:{}:v1:{name}:", algorithm.name()).into_bytes();
        Some(Self { prefix, cipher: Cipher::new(algorithm, secret)? })
    }

    fn seal(&self, place: &[u8], value: &[u8]) -> Vec<u8> {
        let sealed = self.cipher.seal(place, value).expect("a server that got keys gets random numbers");
        [&self.prefix[..], &sealed].concat()
    }

    fn overhead(&self) -> usize {
        self.prefix.len() + self.cipher.overhead()
    }

    /// `None` if it was sealed with a key of another name.
    fn open(&self, place: &[u8], stored: &[u8]) -> Option<Result<Bytes, Unsealable>> {
        let sealed = stored.strip_prefix(&self.prefix[..])?;
        Some(self.cipher.open(place, sealed).map(Bytes::from).ok_or(Unsealable::Refused))
    }
}

#[derive(Debug)]
pub(super) enum Provider {
    Key(Box<Key>),
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
            Provider::Key(first) => Some(first.seal(&self.bound_to(key), value)),
            Provider::Identity => None,
        }
    }

    fn concerns(&self, key: &[u8]) -> bool {
        self.providers(key).is_some()
    }

    fn overhead(&self) -> usize {
        let all = self.by_prefix.iter().flat_map(|(_, providers)| providers.first());
        let overhead = |provider: &Provider| match provider {
            Provider::Key(key) => key.overhead(),
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
        // As upstream does: keys may share a name while one replaces the other, so all of them are tried.
        let mut refused = None;
        for provider in providers {
            let Provider::Key(cipher) = provider else { continue };
            match cipher.open(&self.bound_to(key), &stored) {
                Some(Ok(value)) => return Ok(value),
                Some(Err(why)) => refused = Some(why),
                None => {}
            }
        }
        Err(refused.unwrap_or_else(|| Unsealable::UnknownKey { key: key_of(&stored) }))
    }
}
