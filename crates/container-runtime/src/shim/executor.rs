//! The last step inside a container before the image's program: is it there, may it run, and what confines it.

use std::{
    ffi::CString,
    path::{Path, PathBuf},
};

use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use oci_spec::runtime::Spec;

use crate::seccomp::Confinement;

#[derive(Clone)]
pub(super) struct Program {
    pub(super) confinement: Option<Confinement>,
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

/// Takes on what confines the process and executes the program. What is allocated here was allocated before, since
/// afterwards the profile may forbid it.
fn execute(confinement: Option<&Confinement>, path: &Path, arguments: &[String]) -> Result<(), String> {
    use std::os::unix::ffi::OsStrExt as _;
    let c = |bytes: &[u8]| CString::new(bytes).map_err(|_| "an argument holds a null byte".to_owned());
    let name = c(path.as_os_str().as_bytes())?;
    let arguments = arguments.iter().map(|a| c(a.as_bytes())).collect::<Result<Vec<CString>, _>>()?;
    let mut pointers: Vec<*const libc::c_char> = arguments.iter().map(|a| a.as_ptr()).collect();
    pointers.push(std::ptr::null());
    if let Some(confinement) = confinement {
        confinement.apply().map_err(|error| format!("cannot load the seccomp filter: {error}"))?;
    }
    // SAFETY: the name and the arguments are nul-terminated and live through the call; the list ends with null.
    unsafe { libc::execv(name.as_ptr(), pointers.as_ptr()) };
    Err(format!("exec {path:?}: {}", plain(&std::io::Error::last_os_error())))
}

impl Executor for Program {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let (arguments, search) = arguments(spec).ok_or(ExecutorError::InvalidArg)?;
        let name = arguments.first().ok_or(ExecutorError::InvalidArg)?;
        let done = find(name, &search).and_then(|path| execute(self.confinement.as_ref(), &path, arguments));
        done.map_err(|error| {
            // Nobody waits for an answer any more: it goes where the program's own words would.
            eprintln!("unable to start container process: {error}");
            ExecutorError::Other(error)
        })
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
