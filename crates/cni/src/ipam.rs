//! Which sandbox has which address: one file per address, made exclusively, so that a killed daemon loses nothing.

use std::{
    collections::BTreeMap,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Error, HostPort, Range, Result};

/// What stands in the file of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub sandbox: String,
    #[serde(default)]
    pub host_ports: Vec<HostPort>,
}

#[derive(Debug)]
pub(crate) struct Addresses {
    folder: PathBuf,
    range: Range,
    taken: BTreeMap<Ipv4Addr, Reservation>,
    /// Addresses are given in turn, so that one just freed rests as long as possible.
    cursor: u32,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

impl Addresses {
    pub(crate) fn open(folder: &Path, range: Range) -> Result<Self> {
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
        let mut taken = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
            let path = entry.map_err(failed("read", folder))?.path();
            let Some(ip) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok()) else {
                continue;
            };
            let bytes = fs::read(&path).map_err(failed("read", &path))?;
            match serde_json::from_slice(&bytes) {
                Ok(reservation) => drop(taken.insert(ip, reservation)),
                // The machine lost power between making and filling the file: no pod ever had the address.
                Err(_) => fs::remove_file(&path).map_err(failed("remove", &path))?,
            }
        }
        let cursor = taken.keys().next_back().map_or(range.first(), |ip| u32::from(*ip) + 1);
        Ok(Self { folder: folder.to_owned(), range, taken, cursor })
    }

    pub(crate) fn reservations(&self) -> impl Iterator<Item = (&Ipv4Addr, &Reservation)> {
        self.taken.iter()
    }

    pub(crate) fn of(&self, sandbox: &str) -> Option<Ipv4Addr> {
        self.taken.iter().find(|(_, r)| r.sandbox == sandbox).map(|(ip, _)| *ip)
    }

    /// Gives the sandbox an address, the one it has if it has one.
    pub(crate) fn reserve(&mut self, reservation: Reservation) -> Result<Ipv4Addr> {
        if let Some(ip) = self.of(&reservation.sandbox) {
            return Ok(ip);
        }
        let (first, last) = (self.range.first(), self.range.last());
        for _ in first..=last {
            if !(first..=last).contains(&self.cursor) {
                self.cursor = first;
            }
            let ip = Ipv4Addr::from(self.cursor);
            self.cursor += 1;
            if self.taken.contains_key(&ip) {
                continue;
            }
            let path = self.folder.join(ip.to_string());
            let temporary = self.folder.join(format!("{ip}.tmp"));
            let bytes = serde_json::to_vec(&reservation)
                .map_err(|source| Error::BadReservation { path: path.clone(), source })?;
            fs::write(&temporary, bytes).map_err(failed("write", &temporary))?;
            fs::rename(&temporary, &path).map_err(failed("create", &path))?;
            self.taken.insert(ip, reservation);
            return Ok(ip);
        }
        Err(Error::Exhausted { range: self.range.to_string(), used: self.taken.len() })
    }

    /// Gives back what a sandbox has; nothing is fine.
    pub(crate) fn release(&mut self, sandbox: &str) -> Result<Option<(Ipv4Addr, Reservation)>> {
        let Some(ip) = self.of(sandbox) else { return Ok(None) };
        let path = self.folder.join(ip.to_string());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &path)(error)),
            _ => {}
        }
        Ok(self.taken.remove(&ip).map(|reservation| (ip, reservation)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn reservation(sandbox: &str) -> Reservation {
        Reservation { sandbox: sandbox.into(), host_ports: Vec::new() }
    }

    #[test]
    fn addresses_survive_reopening_and_go_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let range: Range = "10.9.0.0/29".parse().unwrap();
        let mut addresses = Addresses::open(folder.path(), range).unwrap();
        let a = addresses.reserve(reservation("a")).unwrap();
        let b = addresses.reserve(reservation("b")).unwrap();
        assert_ne!(a, b);
        assert_eq!(addresses.reserve(reservation("a")).unwrap(), a, "the same sandbox keeps its address");
        addresses.release("a").unwrap();
        let mut addresses = Addresses::open(folder.path(), range).unwrap();
        assert_eq!(addresses.of("b"), Some(b));
        let c = addresses.reserve(reservation("c")).unwrap();
        assert_ne!(c, a, "an address just freed rests");
        for name in ["d", "e", "f"] {
            addresses.reserve(reservation(name)).unwrap();
        }
        assert!(matches!(addresses.reserve(reservation("g")), Err(Error::Exhausted { used: 5, .. })));
        assert!(addresses.release("nobody").unwrap().is_none());
    }
}
