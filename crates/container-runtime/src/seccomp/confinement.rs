//! A container's filter beside its specification: written by the daemon, loaded by the container's processes.
//!
//! The file is sixteen bytes, the flags and the capabilities that stay, and then the program.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::{Filter, compile::INSTRUCTION_BYTES};

const HEADER_BYTES: usize = 16;
/// The header and as many instructions as the kernel takes.
const FILE_BYTES: u64 = HEADER_BYTES as u64 + 4096 * INSTRUCTION_BYTES as u64;
const LAST_CAPABILITY: u32 = 40;

/// What a process takes on right before it executes its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confinement {
    pub(crate) filter: Filter,
    /// By bit, the capabilities that stay in the bounding set. Loading a filter may need more than the container has;
    /// executing the program takes it away, since it is not in the bounding set any more.
    pub(crate) keep: u64,
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the container's seccomp filter {why}"))
}

impl Confinement {
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.filter.program.len());
        bytes.extend_from_slice(&u64::from(self.filter.flags).to_ne_bytes());
        bytes.extend_from_slice(&self.keep.to_ne_bytes());
        bytes.extend_from_slice(&self.filter.program);
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&bytes)
    }

    /// Reads what the daemon wrote, and nothing that anyone else may have written.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path)?;
        let about = file.metadata()?;
        if about.uid() != nix::unistd::geteuid().as_raw() || about.mode() & 0o077 != 0 || !about.is_file() {
            return Err(invalid("may have been written by others"));
        }
        Self::parse(file)
    }

    fn parse(file: File) -> io::Result<Self> {
        let mut bytes = Vec::new();
        file.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
        let header =
            bytes.split_first_chunk::<8>().and_then(|(flags, rest)| Some((flags, rest.split_first_chunk::<8>()?)));
        let Some((flags, (keep, program))) = header else { return Err(invalid("is cut short")) };
        if program.is_empty() || program.len() % INSTRUCTION_BYTES != 0 || bytes.len() as u64 > FILE_BYTES {
            return Err(invalid("is no program"));
        }
        let flags = u32::try_from(u64::from_ne_bytes(*flags)).map_err(|_| invalid("has unknown flags"))?;
        Ok(Self { filter: Filter { flags, program: program.to_vec() }, keep: u64::from_ne_bytes(*keep) })
    }

    /// Takes it on, for good. Afterwards only what the profile allows may be called, by the very next instruction.
    pub(crate) fn apply(&self) -> io::Result<()> {
        self.limit()?;
        let mut instructions: Vec<libc::sock_filter> = self
            .filter
            .program
            .chunks_exact(INSTRUCTION_BYTES)
            .map(|bytes| libc::sock_filter {
                code: u16::from_ne_bytes([bytes[0], bytes[1]]),
                jt: bytes[2],
                jf: bytes[3],
                k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            })
            .collect();
        let len = u16::try_from(instructions.len()).map_err(|_| invalid("is too long"))?;
        let program = libc::sock_fprog { len, filter: instructions.as_mut_ptr() };
        // SAFETY: the program's pointer and length describe `instructions`, which lives through the call.
        let loaded = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, self.filter.flags, &raw const program)
        };
        // Giving memory back may be forbidden from here on.
        std::mem::forget(instructions);
        match loaded {
            0 => Ok(()),
            1.. => Err(io::Error::other("another thread cannot take on the seccomp filter")),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Takes from the bounding set what does not stay.
    fn limit(&self) -> io::Result<()> {
        for capability in (0..=LAST_CAPABILITY).filter(|bit| self.keep & (1 << bit) == 0) {
            let number = libc::c_ulong::from(capability);
            // SAFETY: plain numbers.
            let held = unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) } == 1;
            // A capability this kernel lacks, or that is gone already, needs no dropping.
            // SAFETY: plain numbers.
            if held && unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}
