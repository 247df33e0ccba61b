//! Upstream's ciphers, byte for byte: what its API servers make of a value with `aesgcm`, `aescbc` and `secretbox`.

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit, block_padding::Pkcs7};
use crypto_secretbox::{XSalsa20Poly1305, aead::Aead as _};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// What a provider of the configuration is called there, and in the values it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    AesGcm,
    AesCbc,
    Secretbox,
}

impl Algorithm {
    pub(super) const ALL: [Self; 3] = [Self::AesGcm, Self::AesCbc, Self::Secretbox];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AesGcm => "aesgcm",
            Self::AesCbc => "aescbc",
            Self::Secretbox => "secretbox",
        }
    }

    /// How many bytes a secret may have. Unlike Kubernetes: no AES-GCM with 24, which the library does not have.
    pub(super) fn secret_lengths(self) -> &'static str {
        match self {
            Self::AesGcm => "16 or 32",
            Self::AesCbc => "16, 24 or 32",
            Self::Secretbox => "32",
        }
    }

    /// The bytes before the encrypted ones, which are new each time.
    fn nonce_length(self) -> usize {
        match self {
            Self::AesGcm => NONCE_LEN,
            Self::AesCbc => 16,
            Self::Secretbox => 24,
        }
    }
}

/// An algorithm with its key.
pub(super) struct Cipher {
    algorithm: Algorithm,
    key: Key,
}

enum Key {
    AesGcm(Box<LessSafeKey>),
    /// As it was given: each value begins anew.
    AesCbc(Vec<u8>),
    Secretbox(Box<XSalsa20Poly1305>),
}

impl Cipher {
    /// `None` if the secret is of no length that there is.
    pub(super) fn new(algorithm: Algorithm, secret: &[u8]) -> Option<Self> {
        let key = match algorithm {
            Algorithm::AesGcm => {
                let length = [&AES_128_GCM, &AES_256_GCM].into_iter().find(|a| a.key_len() == secret.len())?;
                Key::AesGcm(Box::new(LessSafeKey::new(UnboundKey::new(length, secret).ok()?)))
            }
            Algorithm::AesCbc => matches!(secret.len(), 16 | 24 | 32).then(|| Key::AesCbc(secret.to_vec()))?,
            Algorithm::Secretbox => Key::Secretbox(Box::new(crypto_secretbox::KeyInit::new_from_slice(secret).ok()?)),
        };
        Some(Self { algorithm, key })
    }

    /// How many bytes longer than a value its encrypted form is, at most: a nonce, and a tag or a padding of 16.
    pub(super) fn overhead(&self) -> usize {
        self.algorithm.nonce_length() + 16
    }

    /// The value with its nonce before it. Only `aesgcm` binds it to its place.
    pub(super) fn seal(&self, place: &[u8], value: &[u8]) -> anyhow::Result<Vec<u8>> {
        let nonce = super::sealer::random::<24>()?;
        Ok(self.seal_with(&nonce[..self.algorithm.nonce_length()], place, value))
    }

    fn seal_with(&self, nonce: &[u8], place: &[u8], value: &[u8]) -> Vec<u8> {
        const SHORT: &str = "an object is far shorter than what a key can encrypt";
        let body = match &self.key {
            Key::AesGcm(key) => {
                let nonce = Nonce::try_assume_unique_for_key(nonce).expect("the nonce has its length");
                let mut body = value.to_vec();
                key.seal_in_place_append_tag(nonce, Aad::from(place), &mut body).expect(SHORT);
                body
            }
            Key::AesCbc(key) => match key.len() {
                16 => encrypted::<Aes128>(key, nonce, value),
                24 => encrypted::<Aes192>(key, nonce, value),
                _ => encrypted::<Aes256>(key, nonce, value),
            },
            Key::Secretbox(key) => key.encrypt(nonce.into(), value).expect(SHORT),
        };
        [nonce, &body].concat()
    }

    /// `None` if this key did not write it, or not for this place, or it was changed since.
    pub(super) fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_at_checked(self.algorithm.nonce_length())?;
        match &self.key {
            Key::AesGcm(key) => {
                let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
                let mut body = body.to_vec();
                let length = key.open_in_place(nonce, Aad::from(place), &mut body).ok()?.len();
                body.truncate(length);
                Some(body)
            }
            Key::AesCbc(key) => match key.len() {
                16 => decrypted::<Aes128>(key, nonce, body),
                24 => decrypted::<Aes192>(key, nonce, body),
                _ => decrypted::<Aes256>(key, nonce, body),
            },
            Key::Secretbox(key) => key.decrypt(nonce.into(), body).ok(),
        }
    }
}

const LENGTHS: &str = "the key has the cipher's length, and the nonce a block's";

fn encrypted<C>(key: &[u8], nonce: &[u8], value: &[u8]) -> Vec<u8>
where
    cbc::Encryptor<C>: KeyIvInit + BlockEncryptMut,
    C: cbc::cipher::BlockEncryptMut + cbc::cipher::BlockCipher,
{
    let cipher = cbc::Encryptor::<C>::new_from_slices(key, nonce).expect(LENGTHS);
    cipher.encrypt_padded_vec_mut::<Pkcs7>(value)
}

fn decrypted<C>(key: &[u8], nonce: &[u8], body: &[u8]) -> Option<Vec<u8>>
where
    cbc::Decryptor<C>: KeyIvInit + BlockDecryptMut,
    C: cbc::cipher::BlockDecryptMut + cbc::cipher::BlockCipher,
{
    let cipher = cbc::Decryptor::<C>::new_from_slices(key, nonce).expect(LENGTHS);
    cipher.decrypt_padded_vec_mut::<Pkcs7>(body).ok()
}

#[cfg(test)]
mod tests;
