//! The last step inside a container before the image's program: is it there, may it run, and, for additional
//! commands, the seccomp filter, which libcontainer loads for the first process only.

use std::{
    ffi::CString,
    path::{Path, PathBuf},
};

use libcontainer::{
    seccomp::initialize_seccomp,
    workload::{Executor, ExecutorError, ExecutorValidationError},
};
use oci_spec::runtime::{LinuxSeccomp, Spec};

const LAST_CAPABILITY: u32 = 40;

#[derive(Clone)]
pub(super) struct Program {
    /// The filter to load, and the capabilities (by bit) that stay in the bounding set. Until then the process has what
    /// loading a filter needs; executing the program takes it away, since it is not in the bounding set any more.
    pub(super) confine: Option<(LinuxSeccomp, u64)>,
}

fn find(name: &str, search: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        let path = PathBuf::from(name);
        return match path.metadata() {
            Ok(_) => Ok(path),
            Err(error) => Err(format!("exec: \"{name}\": stat {name}: {}", plain(&error))),
        };
    }
    let mut denied = false;
    for folder in search.split(':') {
        let path = Path::new(if folder.is_empty() { "." } else { folder }).join(name);
        if path.is_file() {
            if runs(&path) {
                return Ok(path);
            }
            denied = true;
        }
    }
    let why = if denied { "permission denied" } else { "executable file not found in $PATH" };
    Err(format!("exec: \"{name}\": {why}"))
}

/// Without the number Rust adds.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

/// Whether this process, whoever it is by now, may execute the file.
fn runs(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: the path is nul-terminated.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) == 0 }
}

fn arguments(spec: &Spec) -> Option<(&Vec<String>, String)> {
    let process = spec.process().as_ref()?;
    let search = process.env().iter().flatten().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or_default();
    Some((process.args().as_ref()?, search.to_owned()))
}

fn limit(keep: u64) {
    for capability in 0..=LAST_CAPABILITY {
        if keep & (1 << capability) == 0 {
            // SAFETY: plain numbers. A capability this kernel lacks needs no dropping.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) };
        }
    }
}

impl Executor for Program {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let (arguments, search) = arguments(spec).ok_or(ExecutorError::InvalidArg)?;
        let name = arguments.first().ok_or(ExecutorError::InvalidArg)?;
        let path = find(name, &search).map_err(ExecutorError::Other)?;
        let c = |text: &str| CString::new(text).map_err(|_| ExecutorError::InvalidArg);
        let path = c(&path.display().to_string())?;
        let arguments = arguments.iter().map(|a| c(a)).collect::<Result<Vec<CString>, _>>()?;
        if let Some((filter, keep)) = &self.confine {
            limit(*keep);
            initialize_seccomp(filter).map_err(|error| ExecutorError::Other(error.to_string()))?;
        }
        nix::unistd::execv(&path, &arguments)
            .map(|never| match never {})
            .map_err(|error| ExecutorError::Other(format!("exec {path:?}: {error}")))
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let failed = ExecutorValidationError::ArgValidationError;
        let (arguments, search) = arguments(spec).ok_or_else(|| failed("no command specified".into()))?;
        let name = arguments.first().ok_or_else(|| failed("no command specified".into()))?;
        let path = find(name, &search).map_err(failed)?;
        if path.is_dir() {
            return Err(failed(format!("exec: \"{name}\": is a directory")));
        }
        if runs(&path) { Ok(()) } else { Err(failed(format!("exec: \"{name}\": permission denied"))) }
    }
}
