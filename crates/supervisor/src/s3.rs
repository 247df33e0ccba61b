//! Snapshots in S3-compatible storage.
//!
//! A snapshot is one object, put by one request: it is there as a whole or not at all. After it was put it is read
//! back and compared. The secret key signs and is never sent, shown or logged.

mod call;
mod config;
mod error;

use std::{path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{Method, StatusCode};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle, actions::ListObjectsV2};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use config::{S3Config, S3Place};
pub use error::S3Error;

use call::{Answer, Caller, Upload};

type Result<T> = std::result::Result<T, S3Error>;

/// How long the signature of a request is good: so long after it was made the request may begin.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
/// Whoever neither takes nor gives a byte for so long is left.
const STALL: Duration = Duration::from_secs(30);
/// Pages of a list, each of a thousand names.
const MAX_PAGES: usize = 100;
/// The largest list or error that is read.
const MAX_TEXT_BYTES: usize = 4 << 20;
/// The largest object that one request may put; S3's limit.
const MAX_OBJECT_BYTES: u64 = 5 << 30;
const CHUNK_BYTES: usize = 256 << 10;

/// A folder of a bucket.
pub struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    caller: Caller,
    folder: String,
}

/// An object in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// Without the folder.
    pub name: String,
    pub bytes: u64,
}

impl S3 {
    /// Reads credentials and certificates; asks nobody yet.
    pub fn open(config: &S3Config) -> Result<S3> {
        S3::open_with(config, STALL)
    }

    fn open_with(config: &S3Config, stall: Duration) -> Result<S3> {
        let endpoint = config.endpoint()?;
        let place = &config.place;
        let caller = Caller::new(&endpoint, &place.bucket, config.ca.as_deref(), stall)?;
        let bucket = Bucket::new(endpoint, UrlStyle::Path, place.bucket.clone(), config.region.clone());
        let bucket = bucket.map_err(|_| S3Error::Place { text: place.to_string() })?;
        Ok(S3 { bucket, credentials: config.credentials()?, caller, folder: place.folder.clone() })
    }

    fn key(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }

    /// For messages.
    fn place(&self, name: &str) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.key(name))
    }

    /// The objects directly in the folder whose names begin with this, in the order of their names.
    pub async fn list(&self, prefix: &str) -> Result<Vec<StoredSnapshot>> {
        let (folder, key) = (self.key(""), self.key(prefix));
        let (mut found, mut next) = (Vec::new(), None::<String>);
        for _ in 0..MAX_PAGES {
            let mut action = self.bucket.list_objects_v2(Some(&self.credentials));
            action.with_prefix(key.clone());
            if let Some(token) = &next {
                action.with_continuation_token(token.clone());
            }
            let answer = self.caller.call("list", Method::GET, action.sign(SIGNED_FOR), &[], None).await?;
            let text = String::from_utf8(answer.expect_ok(MAX_TEXT_BYTES).await?.to_vec());
            let page = ListObjectsV2::parse_response(&text.map_err(|_| S3Error::Answer)?);
            let page = page.map_err(|_| S3Error::Answer)?;
            for object in page.contents {
                if let Some(name) = object.key.strip_prefix(&folder)
                    && !name.contains('/')
                {
                    found.push(StoredSnapshot { name: name.to_owned(), bytes: object.size.unwrap_or_default() });
                }
            }
            next = page.next_continuation_token;
            if next.is_none() {
                found.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(found);
            }
        }
        Err(S3Error::TooMany { folder: self.folder.clone() })
    }

    /// Puts a file under a name that is not taken, reads it back and compares. What is not the same is removed. A file
    /// that is there already, by an attempt whose answer was lost, is fine.
    pub async fn save(&self, path: &Path, name: &str) -> Result<()> {
        let (bytes, sum) = digest(path).await.map_err(|source| S3Error::Io { path: path.to_owned(), source })?;
        if bytes > MAX_OBJECT_BYTES {
            return Err(S3Error::TooLarge { bytes });
        }
        if self.list(name).await?.iter().any(|object| object.name == name) {
            let is_same = self.sum(name).await? == (bytes, sum);
            return if is_same { Ok(()) } else { Err(S3Error::Exists { place: self.place(name) }) };
        }
        let key = self.key(name);
        let mut action = self.bucket.put_object(Some(&self.credentials), &key);
        // A storage that knows the header refuses what arrives otherwise; one that does not is checked below.
        let header = ("x-amz-checksum-sha256", STANDARD.encode(sum));
        action.headers_mut().insert(header.0, header.1.clone());
        let upload = Upload { path: path.to_owned(), bytes };
        let url = action.sign(SIGNED_FOR);
        let answer = self.caller.call("put", Method::PUT, url, &[header], Some(upload)).await?;
        answer.expect_ok(MAX_TEXT_BYTES).await?;
        if self.sum(name).await? == (bytes, sum) {
            return Ok(());
        }
        self.remove(name).await?;
        Err(S3Error::Differs { place: self.place(name) })
    }

    /// Length and SHA-256 of an object, as it comes back.
    async fn sum(&self, name: &str) -> Result<(u64, [u8; 32])> {
        let (mut hash, mut bytes, mut answer) = (Sha256::new(), 0, self.read(name).await?);
        while let Some(chunk) = answer.chunk().await? {
            hash.update(&chunk);
            bytes += chunk.len() as u64;
        }
        Ok((bytes, hash.finalize().into()))
    }

    /// Reads an object into a new file, which is removed again if not all of it comes.
    pub async fn fetch(&self, name: &str, path: &Path) -> Result<()> {
        let mut answer = self.read(name).await?;
        let whole = copy(&mut answer, path).await;
        if whole.is_err() {
            // What is wrong is said below; a leftover is no more than that.
            tokio::fs::remove_file(path).await.ok();
        }
        whole
    }

    /// An object, whose bytes are yet to come.
    async fn read(&self, name: &str) -> Result<Answer> {
        let key = self.key(name);
        let url = self.bucket.get_object(Some(&self.credentials), &key).sign(SIGNED_FOR);
        let answer = self.caller.call("get", Method::GET, url, &[], None).await?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            status => Err(match answer.expect_ok(MAX_TEXT_BYTES).await {
                Err(S3Error::Refused { .. }) if status == StatusCode::NOT_FOUND => {
                    S3Error::NotFound { place: self.place(name) }
                }
                Err(error) => error,
                Ok(_) => S3Error::Answer,
            }),
        }
    }

    /// Removes an object; one that is gone already is fine.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let key = self.key(name);
        let url = self.bucket.delete_object(Some(&self.credentials), &key).sign(SIGNED_FOR);
        let answer = self.caller.call("delete", Method::DELETE, url, &[], None).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        answer.expect_ok(MAX_TEXT_BYTES).await.map(|_| ())
    }
}

async fn copy(answer: &mut Answer, path: &Path) -> Result<()> {
    const OWNER_ONLY: u32 = 0o600;
    let io = |source| S3Error::Io { path: path.to_owned(), source };
    let mut options = tokio::fs::File::options();
    let mut file = options.write(true).create_new(true).mode(OWNER_ONLY).open(path).await.map_err(io)?;
    while let Some(chunk) = answer.chunk().await? {
        file.write_all(&chunk).await.map_err(io)?;
    }
    file.sync_all().await.map_err(io)
}

/// Length and SHA-256 of a file.
async fn digest(path: &Path) -> std::io::Result<(u64, [u8; 32])> {
    let mut file = tokio::fs::File::open(path).await?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok((bytes, hash.finalize().into())),
            count => {
                hash.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests;
