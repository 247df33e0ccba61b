//! A container's log in the format of the CRI: time, stream, `F` for a full line or `P` for a part, text.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::protocol::now;

/// A longer line is written in parts, as containerd does.
const LINE_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
}

/// The unfinished line of one stream.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<u8>);

impl Log {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)? })
    }

    /// Goes on in a fresh file, after the old one was renamed.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        Ok(())
    }

    /// Writes what came from a stream; each write to the file is whole lines.
    pub(super) fn write(&mut self, stream: &str, line: &mut Line, mut bytes: &[u8]) -> io::Result<()> {
        let stamp = timestamp(now());
        let mut out = Vec::with_capacity(bytes.len() + 64);
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            line.0.extend_from_slice(&bytes[..end]);
            emit(&mut out, &stamp, stream, &mut line.0, true);
            bytes = &bytes[end + 1..];
        }
        line.0.extend_from_slice(bytes);
        if line.0.len() >= LINE_BYTES {
            emit(&mut out, &stamp, stream, &mut line.0, false);
        }
        self.file.write_all(&out)
    }

    /// Writes what a stream left without a line end.
    pub(super) fn finish(&mut self, stream: &str, line: &mut Line) -> io::Result<()> {
        if line.0.is_empty() {
            return Ok(());
        }
        let mut out = Vec::new();
        emit(&mut out, &timestamp(now()), stream, &mut line.0, false);
        self.file.write_all(&out)
    }
}

fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

fn emit(out: &mut Vec<u8>, stamp: &str, stream: &str, line: &mut Vec<u8>, full: bool) {
    let mut parts = line.chunks(LINE_BYTES).peekable();
    let mut part = |text: &[u8], tag: &str| {
        out.extend_from_slice(stamp.as_bytes());
        out.push(b' ');
        out.extend_from_slice(stream.as_bytes());
        out.extend_from_slice(tag.as_bytes());
        out.extend_from_slice(text);
        out.push(b'\n');
    };
    if parts.peek().is_none() {
        part(b"", if full { " F " } else { " P " });
    }
    while let Some(text) = parts.next() {
        let last = parts.peek().is_none();
        part(text, if last && full { " F " } else { " P " });
    }
    line.clear();
}

/// RFC 3339 with nanoseconds, in UTC. Days to date after the well-known civil calendar arithmetic.
fn timestamp(nanoseconds: i64) -> String {
    let (seconds, nanos) = (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{nanos:09}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(timestamp(1_709_210_096_000_000_007), "2024-02-29T12:34:56.000000007Z");
    }

    #[test]
    fn lines_are_full_or_partial() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let mut log = Log::open(&path).unwrap();
        let mut line = Line::default();
        log.write("stdout", &mut line, b"one\ntw").unwrap();
        log.write("stdout", &mut line, b"o\n\n").unwrap();
        log.write("stdout", &mut line, &vec![b'x'; LINE_BYTES + 1]).unwrap();
        log.write("stdout", &mut line, b"end").unwrap();
        log.finish("stdout", &mut line).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().map(|l| l.split_once(' ').unwrap().1).collect();
        assert_eq!(lines[0], "stdout F one");
        assert_eq!(lines[1], "stdout F two");
        assert_eq!(lines[2], "stdout F ");
        assert_eq!(lines[3].len(), "stdout P ".len() + LINE_BYTES);
        assert_eq!(lines[4], "stdout P x");
        assert_eq!(lines[5], "stdout P end");
    }
}
