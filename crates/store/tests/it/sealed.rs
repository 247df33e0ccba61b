//! Values that lie on disk otherwise than in memory.

use std::{fs, path::Path, sync::Arc};

use bytes::Bytes;
use store::{OpenError, Seal, Store, StoreConfig, Unsealable, Write};

use crate::ground::folder;

/// No cipher: every byte of a secret is turned by the key, after a mark that names it.
#[derive(Debug)]
struct Turn(Vec<u8>);

impl Turn {
    fn turned(key: u8, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().map(|byte| byte ^ key).collect()
    }
}

impl Seal for Turn {
    fn seal(&self, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let first = *self.0.first()?;
        key.starts_with(b"secret/").then(|| [&[b'!', first][..], &Self::turned(first, value)].concat())
    }

    fn overhead(&self) -> usize {
        2
    }

    fn open(&self, _key: &[u8], stored: Bytes) -> Result<Bytes, Unsealable> {
        match &stored[..] {
            [b'!', key, rest @ ..] if self.0.contains(key) => Ok(Self::turned(*key, rest).into()),
            [b'!', ..] => Err(Unsealable::UnknownKey { key: "another".to_owned() }),
            _ => Ok(stored),
        }
    }
}

fn config(dir: &Path, keys: &[u8]) -> StoreConfig {
    StoreConfig { seal: Some(Arc::new(Turn(keys.to_vec()))), ..StoreConfig::new(dir) }
}

/// Whether these bytes lie in a file of the store, which may be removed while we look.
fn lies_there(dir: &Path, bytes: &[u8]) -> bool {
    let mut files = fs::read_dir(dir).unwrap().filter_map(|entry| match fs::read(entry.unwrap().path()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        content => Some(content.unwrap()),
    });
    files.any(|file| file.windows(bytes.len()).any(|window| window == bytes))
}

#[tokio::test]
async fn what_is_sealed_is_read_back_and_lies_nowhere_in_the_open() {
    let dir = folder();
    let (secret, plain) = (&b"a word for nobody"[..], &b"a word for all"[..]);
    let store = Store::open(config(dir.path(), &[7])).unwrap();
    store.commit(Write::put(&b"secret/a"[..], secret)).await.unwrap();
    let all = [store.commit(Write::put(&b"open/a"[..], plain)).await.unwrap()];
    assert!(!lies_there(dir.path(), secret) && lies_there(dir.path(), plain));
    assert_eq!(store.rewrite().await.unwrap(), all[0].revision);
    assert!(!lies_there(dir.path(), secret) && lies_there(dir.path(), plain));
    let file = dir.path().join("saved");
    store.savable().unwrap().save(&mut fs::File::create(&file).unwrap()).unwrap();
    assert!(!lies_there(dir.path(), secret));
    drop(store);
    let store = Store::open(config(dir.path(), &[7])).unwrap();
    assert_eq!(store.snapshot().get(b"secret/a").unwrap().value, secret);
    assert_eq!(store.snapshot().get(b"open/a").unwrap().value, plain);
    // A restore needs no key; opening what was restored does.
    let new = dir.path().join("new");
    store::restore(&file, &new).unwrap();
    let refused = Store::open(config(&new, &[])).err();
    assert!(matches!(&refused, Some(OpenError::Sealed { key, .. }) if key == "secret/a"), "{refused:?}");
    let again = Store::open(config(&new, &[7])).unwrap();
    assert_eq!(again.snapshot().get(b"secret/a").unwrap().value, secret);
}

#[tokio::test]
async fn a_key_is_changed_and_the_old_one_thrown_away() {
    let dir = folder();
    // First in the open, then with one key, then with another: each still reads what the one before wrote.
    for (step, keys) in [&[][..], &[7], &[9, 7]].into_iter().enumerate() {
        let store = Store::open(config(dir.path(), keys)).unwrap();
        assert_eq!(store.snapshot().count(b"secret/"), step);
        store.commit(Write::put(format!("secret/{step}").as_bytes(), "the same word")).await.unwrap();
        store.close().await;
    }
    assert!(lies_there(dir.path(), b"the same word"));
    assert!(matches!(Store::open(config(dir.path(), &[9])).err(), Some(OpenError::Sealed { .. })));

    let store = Store::open(config(dir.path(), &[9, 7])).unwrap();
    store.rewrite().await.unwrap();
    assert!(!lies_there(dir.path(), b"the same word"));
    assert!(!lies_there(dir.path(), &Turn::turned(7, b"the same word")));
    store.close().await;
    drop(store);
    let store = Store::open(config(dir.path(), &[9])).unwrap();
    for step in 0..3 {
        assert_eq!(store.snapshot().get(format!("secret/{step}").as_bytes()).unwrap().value, "the same word");
    }
    // Again at the same revision, and while others write.
    store.rewrite().await.unwrap();
    let (first, second) = tokio::join!(store.rewrite(), store.rewrite());
    assert_eq!(first.unwrap(), second.unwrap());
    let writes = (0..50).map(|n| store.commit(Write::put(format!("k/{n}").as_bytes(), "v")));
    let (rewritten, written) = tokio::join!(store.rewrite(), futures::future::join_all(writes));
    rewritten.unwrap();
    assert!(written.iter().all(Result::is_ok));
    drop(store);
    assert_eq!(Store::open(config(dir.path(), &[9])).unwrap().snapshot().count(b""), 53);
}
