//! A container's log file as the runtime writes it: `<time> <stream> <P|F> <text>` lines, renamed away when rotated.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use api::jiff::Timestamp;

use super::log_request::LogOptions;

/// Bytes read in one go.
const CHUNK: usize = 64 * 1024;
/// The runtime writes no longer lines; one that is longer is damage and passed over.
const MAX_LINE: usize = 256 * 1024;

pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Read, but not yet a whole line.
    rest: Vec<u8>,
    /// Bytes the reader may still have.
    left: Option<u64>,
    /// The last line given out was a part: what follows belongs to it.
    within_line: bool,
}

impl LogFile {
    /// Opens the log where the options say to begin.
    pub(super) fn open(path: &Path, options: &LogOptions) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if let Some(lines) = options.tail {
            let start = tail_start(&mut file, lines)?;
            file.seek(SeekFrom::Start(start))?;
        }
        Ok(Self { path: path.to_owned(), file, rest: Vec::new(), left: options.limit, within_line: false })
    }

    /// The next lines, as the reader shall see them; empty at the end of what is there now. `None` when the reader
    /// has all it may have.
    pub(super) fn read(&mut self, options: &LogOptions) -> io::Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        while out.is_empty() {
            if self.left == Some(0) {
                return Ok(None);
            }
            let before = self.rest.len();
            self.rest.resize(before + CHUNK, 0);
            let count = self.file.read(&mut self.rest[before..])?;
            self.rest.truncate(before + count);
            if count == 0 {
                let Some(next) = self.renamed()? else { return Ok(Some(out)) };
                // The runtime opened the new file before it let go of this one, and may have written more to it since.
                self.rest.resize(before + CHUNK, 0);
                let count = self.file.read(&mut self.rest[before..])?;
                self.rest.truncate(before + count);
                if count == 0 {
                    self.file = next;
                    self.rest.clear();
                    continue;
                }
            }
            let Some(end) = self.rest.iter().rposition(|b| *b == b'\n') else {
                if self.rest.len() > MAX_LINE {
                    self.rest.clear();
                }
                continue;
            };
            let lines: Vec<u8> = self.rest.drain(..=end).collect();
            for line in lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
                self.show(line, options, &mut out);
            }
        }
        if let Some(left) = &mut self.left {
            out.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= out.len() as u64;
        }
        Ok(Some(out))
    }

    /// The file that now bears the name, if it is another one.
    fn renamed(&self) -> io::Result<Option<File>> {
        let now = match File::open(&self.path) {
            Ok(file) => file,
            // Between rename and the new file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok((now.metadata()?.ino() != self.file.metadata()?.ino()).then_some(now))
    }

    fn show(&mut self, line: &[u8], options: &LogOptions, out: &mut Vec<u8>) {
        let mut fields = line.splitn(4, |b| *b == b' ');
        let (Some(time), Some(stream), Some(tag)) = (fields.next(), fields.next(), fields.next()) else { return };
        let text = fields.next().unwrap_or_default();
        if options.stream.as_ref().is_some_and(|s| s.as_bytes() != stream) {
            return;
        }
        if let Some(since) = options.since {
            let time = std::str::from_utf8(time).ok().and_then(|t| t.parse::<Timestamp>().ok());
            if time.is_none_or(|time| time < since) {
                return;
            }
        }
        if options.timestamps && !self.within_line {
            out.extend_from_slice(time);
            out.push(b' ');
        }
        out.extend_from_slice(text);
        self.within_line = tag == b"P";
        if !self.within_line {
            out.push(b'\n');
        }
    }
}

/// Where the last so many lines begin.
fn tail_start(file: &mut File, lines: u64) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut found = 0;
    let mut chunk = vec![0; CHUNK];
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        let part = &mut chunk[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        for (at, byte) in part.iter().enumerate().rev() {
            if *byte == b'\n' {
                found += 1;
                // The first line end belongs to the last line.
                if found > lines {
                    return Ok(start + at as u64 + 1);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::io::Write;

    use super::*;

    const LOG: &str = "2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:02Z stderr F two\n\
        2026-01-01T00:00:03Z stdout P thr\n2026-01-01T00:00:03Z stdout F ee\n";

    fn read(options: &LogOptions) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        std::fs::write(&path, LOG).unwrap();
        let mut log = LogFile::open(&path, options).unwrap();
        String::from_utf8(log.read(options).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn lines_are_joined_filtered_and_cut() {
        assert_eq!(read(&LogOptions::default()), "one\ntwo\nthree\n");
        assert_eq!(read(&LogOptions { stream: Some("stderr".to_owned()), ..LogOptions::default() }), "two\n");
        assert_eq!(read(&LogOptions { tail: Some(2), ..LogOptions::default() }), "three\n");
        assert_eq!(read(&LogOptions { tail: Some(0), ..LogOptions::default() }), "");
        assert_eq!(read(&LogOptions { limit: Some(5), ..LogOptions::default() }), "one\nt");
        let since = Some("2026-01-01T00:00:02Z".parse().unwrap());
        assert_eq!(read(&LogOptions { since, ..LogOptions::default() }), "two\nthree\n");
        let stamped = read(&LogOptions { timestamps: true, tail: Some(2), ..LogOptions::default() });
        assert_eq!(stamped, "2026-01-01T00:00:03Z three\n");
    }

    #[test]
    fn a_rotated_log_goes_on_in_its_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        std::fs::write(&path, "2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:01Z stdout F cu").unwrap();
        let options = LogOptions::default();
        let mut log = LogFile::open(&path, &options).unwrap();
        let mut next = || String::from_utf8(log.read(&options).unwrap().unwrap()).unwrap();
        assert_eq!(next(), "one\n");
        assert_eq!(next(), "");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"t\n").unwrap();
        assert_eq!(next(), "cut\n");
        std::fs::rename(&path, dir.path().join("0.log.old")).unwrap();
        assert_eq!(next(), "");
        std::fs::write(&path, "2026-01-01T00:00:02Z stdout F two\n").unwrap();
        assert_eq!(next(), "two\n");
    }
}
