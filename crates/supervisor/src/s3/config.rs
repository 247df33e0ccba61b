//! Which storage, and with whose credentials.

use std::{fmt, os::unix::fs::PermissionsExt, path::PathBuf, str::FromStr};

use rusty_s3::Credentials;
use url::Url;

use super::{Result, S3Error};

/// A bucket and a folder in it, written `s3://bucket/folder`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Place {
    pub bucket: String,
    /// Without slashes at its ends; may be empty.
    pub folder: String,
}

impl S3Place {
    /// The folder and the name of an object: what comes after the last slash.
    pub fn split(&self) -> Option<(S3Place, &str)> {
        let (folder, name) = self.folder.rsplit_once('/').unwrap_or(("", &self.folder));
        let place = S3Place { bucket: self.bucket.clone(), folder: folder.to_owned() };
        (!name.is_empty()).then_some((place, name))
    }
}

impl FromStr for S3Place {
    type Err = S3Error;

    fn from_str(text: &str) -> Result<S3Place> {
        let place = text.strip_prefix("s3://").and_then(|rest| {
            let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
            let folder = folder.trim_end_matches('/');
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            let is_folder = folder.is_empty() || folder.split('/').all(|part| !matches!(part, "" | "." | ".."));
            (!bucket.is_empty() && bucket.chars().all(is_plain) && is_folder)
                .then(|| S3Place { bucket: bucket.to_owned(), folder: folder.to_owned() })
        });
        place.ok_or_else(|| S3Error::Place { text: text.to_owned() })
    }
}

impl fmt::Display for S3Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.folder.is_empty() { Ok(()) } else { write!(f, "/{}", self.folder) }
    }
}

/// A storage. Credentials are read when it is used, and are no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Config {
    pub place: S3Place,
    /// `None`: Amazon's, in the region.
    pub endpoint: Option<String>,
    pub region: String,
    /// Authorities of the endpoint's certificate; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// A file in the form of `~/.aws/credentials`; `None`: the environment.
    pub credentials: Option<PathBuf>,
}

impl S3Config {
    /// Amazon's own storage, with credentials from the environment.
    pub fn new(place: S3Place) -> S3Config {
        S3Config { place, endpoint: None, region: "us-east-1".to_owned(), ca: None, credentials: None }
    }

    pub(super) fn endpoint(&self) -> Result<Url> {
        let text = self.endpoint.clone().unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", self.region));
        let url = Url::parse(&text).ok().filter(|url| {
            let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
            matches!(url.scheme(), "http" | "https") && url.has_host() && is_bare
        });
        // It might have a password in it.
        url.ok_or_else(|| S3Error::Endpoint { text: text.split('@').next_back().unwrap_or_default().to_owned() })
    }

    pub(super) fn credentials(&self) -> Result<Credentials> {
        let Some(path) = &self.credentials else { return Credentials::from_env().ok_or(S3Error::NoCredentials) };
        let io = |source| S3Error::Io { path: path.clone(), source };
        let mode = path.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(S3Error::OpenCredentials { path: path.clone(), mode });
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        parse(&text).ok_or_else(|| S3Error::CredentialsFile { path: path.clone() })
    }
}

/// The profile `default`, or what stands before any profile.
fn parse(text: &str) -> Option<Credentials> {
    let (mut is_ours, mut id, mut secret, mut token) = (true, None, None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(profile) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            is_ours = profile.trim() == "default";
        } else if is_ours && let Some((name, value)) = line.split_once('=') {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match name.trim() {
                "aws_access_key_id" => id = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(match token {
        Some(token) => Credentials::new_with_token(id?, secret?, token),
        None => Credentials::new(id?, secret?),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn places_and_what_is_none() {
        let place = |text: &str| text.parse::<S3Place>().map(|place| (place.bucket, place.folder));
        let found = |bucket: &str, folder: &str| (bucket.to_owned(), folder.to_owned());
        assert_eq!(place("s3://b").unwrap(), found("b", ""));
        assert_eq!(place("s3://b.c-d/").unwrap(), found("b.c-d", ""));
        assert_eq!(place("s3://b/a/b/").unwrap(), found("b", "a/b"));
        for none in ["", "b", "s3://", "s3:///a", "https://b/a", "s3://b/../a", "s3://b//a", "s3://k:s@b/a"] {
            assert!(place(none).is_err(), "{none}");
        }
        let place: S3Place = "s3://b/a/name".parse().unwrap();
        assert_eq!(place.split().unwrap(), ("s3://b/a".parse().unwrap(), "name"));
        assert!("s3://b".parse::<S3Place>().unwrap().split().is_none());
    }

    #[test]
    fn credentials_of_a_file() {
        let text =
            "# mine\n[other]\naws_access_key_id=no\n[default]\naws_access_key_id = a\naws_secret_access_key=s=\n";
        let found = parse(text).unwrap();
        assert_eq!((found.key(), found.secret(), found.token()), ("a", "s=", None));
        assert!(parse("[other]\naws_access_key_id=a\naws_secret_access_key=s").is_none());
        assert!(parse("aws_access_key_id=a\naws_secret_access_key=\n").is_none());
    }

    #[test]
    fn nothing_secret_is_said_of_an_endpoint() {
        let mut config = S3Config::new("s3://b".parse().unwrap());
        assert_eq!(config.endpoint().unwrap().as_str(), "https://s3.us-east-1.amazonaws.com/");
        config.endpoint = Some("https://user:hidden@host".to_owned());
        let error = config.endpoint().unwrap_err().to_string();
        assert!(!error.contains("hidden"), "{error}");
    }
}
