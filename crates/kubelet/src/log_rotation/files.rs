//! The files of one log: `0.log`, which the container writes, and before it `0.log.<time>` and `0.log.<time>.gz`.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use api::jiff::Timestamp;
use flate2::{Compression, write::GzEncoder};

const COMPRESSED: &str = ".gz";
/// Being compressed; what a crash left of it is removed.
const HALF_DONE: &str = ".tmp";
/// The log itself and the one that has just been rotated are not among the rotated ones that stay.
const NEWEST_TWO: usize = 2;

/// Where a log goes that is rotated now.
pub(super) fn away(log: &Path, now: Timestamp) -> PathBuf {
    with_suffix(log, &now.strftime(".%Y%m%d-%H%M%S").to_string())
}

/// Makes room for one more rotated log: damage and excess are removed, the rest is compressed.
pub(super) fn tidy(log: &Path, max_files: usize) -> io::Result<()> {
    let all = rotated(log)?;
    let twin = |path: &PathBuf| all.contains(&with_suffix(path, COMPRESSED));
    let (useless, mut kept): (Vec<PathBuf>, Vec<PathBuf>) =
        all.iter().cloned().partition(|path| ends_with(path, HALF_DONE) || twin(path));
    let excess = kept.len().saturating_sub(max_files.saturating_sub(NEWEST_TWO));
    for path in useless.into_iter().chain(kept.drain(..excess)) {
        remove(&path)?;
    }
    kept.iter().filter(|path| !ends_with(path, COMPRESSED)).try_for_each(|path| compress(path))
}

/// Removes a log with all that was rotated of it.
pub(crate) fn remove_all(log: &Path) -> io::Result<()> {
    rotated(log)?.iter().try_for_each(|path| remove(path))?;
    remove(log)
}

/// Oldest first, as their names sort.
fn rotated(log: &Path) -> io::Result<Vec<PathBuf>> {
    let Some((folder, name)) = log.parent().zip(log.file_name()) else { return Ok(Vec::new()) };
    let prefix = format!("{}.", name.to_string_lossy());
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn ends_with(path: &Path, suffix: &str) -> bool {
    path.to_string_lossy().ends_with(suffix)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn compress(path: &Path) -> io::Result<()> {
    let scratch = with_suffix(path, HALF_DONE);
    let mut from = File::open(path)?;
    let mut to = GzEncoder::new(File::create(&scratch)?, Compression::default());
    io::copy(&mut from, &mut to)?;
    to.finish()?;
    fs::rename(&scratch, with_suffix(path, COMPRESSED))?;
    remove(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::io::Read;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn old_logs_are_compressed_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| fs::write(folder.path().join(name), name).unwrap();
        let log = folder.path().join("0.log");
        for name in ["0.log", "0.log.1.gz", "0.log.2.gz", "0.log.3", "0.log.3.gz", "0.log.4", "0.log.4.tmp", "1.log"] {
            make(name);
        }
        // Three rotated ones stay of which one is being made room for.
        tidy(&log, 4).unwrap();
        assert_eq!(names(folder.path()), ["0.log", "0.log.3.gz", "0.log.4.gz", "1.log"]);
        let mut text = String::new();
        let packed = File::open(folder.path().join("0.log.4.gz")).unwrap();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(text, "0.log.4");
        tidy(&log, 2).unwrap();
        assert_eq!(names(folder.path()), ["0.log", "1.log"]);
        let away = away(&log, "2026-01-02T03:04:05Z".parse().unwrap());
        assert_eq!(away.file_name().unwrap(), "0.log.20260102-030405");
        fs::write(&away, "").unwrap();
        remove_all(&log).unwrap();
        assert_eq!(names(folder.path()), ["1.log"]);
    }
}
