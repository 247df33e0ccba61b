//! What a process did to files, as `strace` tells it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
};

/// Calls that change files, names or folders, or make them durable, and what was said meanwhile.
const CALLS: &str = "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,fallocate,fchmod,fsync,fdatasync,\
    rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To be written; made if it is not there.
    Open {
        path: PathBuf,
        truncates: bool,
        mode: u32,
    },
    /// At the end of what is there.
    Write {
        path: PathBuf,
        bytes: Vec<u8>,
    },
    /// Changed otherwise.
    Change {
        path: PathBuf,
    },
    Mode {
        path: PathBuf,
        mode: u32,
    },
    Sync {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    MakeDir {
        path: PathBuf,
    },
    /// To people.
    Say {
        text: String,
    },
}

/// The same command, watched.
pub(super) fn traced(command: &Command, into: &Path) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-D", "-f", "-qq", "-y", "-x", "-s", "4000000", "--seccomp-bpf", "-e", "signal=none", "-o"]);
    traced.arg(into).arg("-e").arg(format!("trace={CALLS}")).arg("--");
    traced.arg(command.get_program()).args(command.get_args());
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced
}

/// What succeeded, in the order in which it was done.
pub(super) fn read(trace: &Path) -> Vec<Step> {
    let mut begun = HashMap::<String, String>::new();
    let mut steps = Vec::new();
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(beginning) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread.to_owned(), beginning.to_owned());
            continue;
        }
        let whole = match call.strip_prefix("<... ") {
            Some(rest) => match (begun.remove(thread), rest.split_once(" resumed>")) {
                (Some(beginning), Some((_, end))) => beginning + end,
                _ => continue,
            },
            None => call.to_owned(),
        };
        steps.extend(step(&whole));
    }
    steps
}

fn step(call: &str) -> Option<Step> {
    let (name, rest) = call.split_once('(')?;
    // Results stand in a column.
    let (arguments, result) = rest.rsplit_once("= ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let result: i64 = result.split(['<', ' ']).next()?.parse().ok().filter(|result| *result >= 0)?;
    let arguments = split(arguments);
    let argument = |n: usize| arguments.get(n).map(String::as_str);
    // A call with a folder before each name, or without.
    let named = |n: usize| Some(PathBuf::from(String::from_utf8(text(argument(n)?)?).ok()?));
    let of_descriptor = || Some(PathBuf::from(argument(0)?.split_once('<')?.1.trim_end_matches('>')));
    match name {
        "openat" | "open" => {
            let first = usize::from(name == "openat");
            let flags = argument(first + 1)?;
            let writes = flags.contains("O_WRONLY") || flags.contains("O_RDWR");
            let mode = argument(first + 2).and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0);
            writes.then_some(Step::Open { path: named(first)?, truncates: flags.contains("O_TRUNC"), mode })
        }
        "write" if matches!(argument(0)?.split('<').next(), Some("1" | "2")) => {
            Some(Step::Say { text: String::from_utf8_lossy(&text(argument(1)?)?).into_owned() })
        }
        "write" => {
            let mut bytes = text(argument(1)?)?;
            bytes.truncate(usize::try_from(result).ok()?);
            Some(Step::Write { path: of_descriptor()?, bytes })
        }
        "writev" | "pwrite64" | "pwritev" | "pwritev2" | "ftruncate" | "fallocate" => {
            Some(Step::Change { path: of_descriptor()? })
        }
        "fchmod" => {
            let mode = u32::from_str_radix(argument(1)?, 8).ok()?;
            Some(Step::Mode { path: of_descriptor()?, mode })
        }
        "fsync" | "fdatasync" => Some(Step::Sync { path: of_descriptor()? }),
        "rename" => Some(Step::Rename { from: named(0)?, to: named(1)? }),
        "renameat" | "renameat2" => Some(Step::Rename { from: named(1)?, to: named(3)? }),
        "unlink" | "rmdir" => Some(Step::Remove { path: named(0)? }),
        // Folders are emptied from within, by names that are relative to them.
        "unlinkat" => {
            let folder =
                argument(0)?.split_once('<').map(|(_, folder)| folder.trim_end_matches('>')).unwrap_or_default();
            Some(Step::Remove { path: Path::new(folder).join(named(1)?) })
        }
        "mkdir" => Some(Step::MakeDir { path: named(0)? }),
        "mkdirat" => Some(Step::MakeDir { path: named(1)? }),
        _ => None,
    }
}

/// At the commas between arguments.
fn split(arguments: &str) -> Vec<String> {
    let (mut parts, mut part, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for letter in arguments.chars() {
        match letter {
            '"' if !escaped => quoted = !quoted,
            ',' if !quoted => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                continue;
            }
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
        part.push(letter);
    }
    parts.push(part.trim().to_owned());
    parts
}

/// What a quoted argument stands for.
fn text(quoted: &str) -> Option<Vec<u8>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let (mut bytes, mut rest) = (Vec::with_capacity(inner.len()), inner.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        if *first != b'\\' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let (kind, after) = after.split_first()?;
        rest = after;
        bytes.push(match kind {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 11,
            b'f' => 12,
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            b'0'..=b'7' => {
                let mut value = u32::from(kind - b'0');
                while let Some((digit @ b'0'..=b'7', after)) = rest.split_first().filter(|_| value < 32) {
                    value = value * 8 + u32::from(digit - b'0');
                    rest = after;
                }
                value as u8
            }
            other => *other,
        });
    }
    Some(bytes)
}

#[test]
fn calls_are_read() {
    let path = |path: &str| PathBuf::from(path);
    assert_eq!(
        step(r#"openat(AT_FDCWD</x>, "/d/a.new", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600) = 9</d/a.new>"#),
        Some(Step::Open { path: path("/d/a.new"), truncates: true, mode: 0o600 })
    );
    assert_eq!(
        step(r#"write(9</d/a.new>, "a, \"b\"\n\\", 9) = 8"#),
        Some(Step::Write { path: path("/d/a.new"), bytes: b"a, \"b\"\n\\".to_vec() })
    );
    assert_eq!(step(r#"write(2</dev/null>, "ready", 5) = 5"#), Some(Step::Say { text: "ready".to_owned() }));
    assert_eq!(
        step(r#"write(9</d/a>, "\x00\xff", 2) = 2"#),
        Some(Step::Write { path: path("/d/a"), bytes: vec![0, 255] })
    );
    assert_eq!(step("fsync(9</d/a.new>)       = 0"), Some(Step::Sync { path: path("/d/a.new") }));
    assert_eq!(
        step(r#"rename("/d/a.new", "/d/a") = 0"#),
        Some(Step::Rename { from: path("/d/a.new"), to: path("/d/a") })
    );
    assert_eq!(step(r#"unlink("/d/a") = -1 ENOENT (No such file or directory)"#), None);
    assert_eq!(step(r#"unlinkat(5</d/s>, "b", 0) = 0"#), Some(Step::Remove { path: path("/d/s/b") }));
}
