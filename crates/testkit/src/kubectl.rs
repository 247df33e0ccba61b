//! Unmodified kubectl, in every version on the machine.

use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::{Output, binary::knarr, eventually};

/// The minor versions that must work.
const VERSIONS: std::ops::RangeInclusive<u32> = 27..=33;

/// One version of kubectl with one kubeconfig and, if wanted, one namespace.
#[derive(Clone, Debug)]
pub struct Kubectl {
    binary: PathBuf,
    /// What stands behind the binary: nothing, or the word that makes it kubectl.
    verb: Option<&'static str>,
    kubeconfig: PathBuf,
    home: PathBuf,
    namespace: Option<String>,
    editor: Option<PathBuf>,
    /// Words before the binary, such as `nsenter` and its flags.
    prefix: Vec<String>,
    /// `1.27`; of the kubectl on the PATH when its version is not in its name.
    pub version: String,
}

/// Versions and binaries, oldest first. Several versions may stand beside the kubectl on the PATH.
fn binaries() -> &'static [(String, PathBuf)] {
    static FOUND: OnceLock<Vec<(String, PathBuf)>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let on_path = std::env::var_os("PATH")
            .iter()
            .flat_map(std::env::split_paths)
            .map(|folder| folder.join("kubectl"))
            .find(|path| path.is_file())
            .expect("kubectl is on the PATH");
        let real = on_path.canonicalize().expect("kubectl's link leads somewhere");
        let folder = real.parent().expect("a file has a folder");
        let mut found = Vec::new();
        for minor in VERSIONS {
            let path = folder.join(format!("kubectl.1.{minor}"));
            if path.is_file() {
                found.push((format!("1.{minor}"), path));
            } else {
                println!("skipped: there is no kubectl 1.{minor} beside {}", real.display());
            }
        }
        if found.is_empty() {
            found.push(("on the PATH".to_owned(), real));
        }
        found
    })
}

impl Kubectl {
    pub fn all(kubeconfig: &Path, home: &Path) -> Vec<Self> {
        binaries().iter().map(|(version, binary)| Self::new(version, binary, kubeconfig, home)).collect()
    }

    pub fn newest(kubeconfig: &Path, home: &Path) -> Self {
        let (version, binary) = binaries().last().expect("there is one at least");
        Self::new(version, binary, kubeconfig, home)
    }

    fn new(version: &str, binary: &Path, kubeconfig: &Path, home: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            verb: None,
            kubeconfig: kubeconfig.to_owned(),
            home: home.join(format!("home-{}", version.replace(' ', "-"))),
            namespace: None,
            editor: None,
            prefix: Vec::new(),
            version: version.to_owned(),
        }
    }

    /// The same of our own executable.
    pub fn ours(&self) -> Self {
        let version = "knarr".to_owned();
        Self { binary: knarr().to_owned(), verb: Some("kubectl"), version, ..self.clone() }
    }

    /// The same with `-n`.
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self.clone() }
    }

    /// The same with an editor for `kubectl edit`.
    pub fn with_editor(&self, editor: &Path) -> Self {
        Self { editor: Some(editor.to_owned()), ..self.clone() }
    }

    /// The same behind these words.
    pub fn behind<S: Into<String>>(&self, prefix: impl IntoIterator<Item = S>) -> Self {
        Self { prefix: prefix.into_iter().map(Into::into).collect(), ..self.clone() }
    }

    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }

    /// The command, not yet started.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = match self.prefix.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        command.args(self.verb);
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.home).env_remove("KUBECTL_EXTERNAL_DIFF");
        // No version prints colours or asks questions of somebody who is not there.
        command.env("TERM", "dumb");
        if let Some(editor) = &self.editor {
            command.env("EDITOR", editor).env_remove("KUBE_EDITOR");
        }
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        command.args(arguments);
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.run_with("", arguments)
    }

    /// Runs it to its end with `input` on its standard input.
    #[track_caller]
    pub fn run_with<S: AsRef<OsStr>>(&self, input: &str, arguments: impl IntoIterator<Item = S>) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{shown}: {e}"));
        let mut stdin = child.stdin.take().expect("it was asked for");
        // What comes back is read meanwhile: one that may not write stops reading.
        let output = std::thread::scope(|scope| {
            // kubectl that does not read its input closes it, which is no failure of the test.
            scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
            child.wait_with_output().expect("a child can be waited for")
        });
        Output {
            command: shown,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs words split at blanks; must succeed. For commands without quoting.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        self.run(line.split_whitespace()).ok()
    }

    /// Runs words split at blanks; must fail. Answers what was printed on standard error.
    #[track_caller]
    pub fn fails(&self, line: &str) -> String {
        self.run(line.split_whitespace()).fails()
    }

    /// Runs words split at blanks until they succeed and print what is right: what a container writes, what is recorded
    /// of it and what others make of a change come after it, and nobody is told when.
    #[track_caller]
    pub fn until(&self, line: &str, is_right: impl Fn(&str) -> bool) -> String {
        eventually(&format!("`kubectl {line}` prints what is right"), || {
            let seen = self.run(line.split_whitespace());
            if seen.is_success() && is_right(&seen.stdout) { Ok(seen.stdout) } else { Err(seen) }
        })
    }

    /// The same until this stands in what is printed.
    #[track_caller]
    pub fn until_says(&self, line: &str, text: &str) -> String {
        self.until(line, |seen| seen.contains(text))
    }

    /// One value by a JSON path, such as `deploy/web {.spec.replicas}`.
    #[track_caller]
    pub fn value(&self, object: &str, path: &str) -> String {
        self.run(["get", object, "-o", &format!("jsonpath={path}")]).ok()
    }

    /// Applies a manifest; must succeed.
    #[track_caller]
    pub fn apply(&self, manifest: &str) -> String {
        self.run_with(manifest, ["apply", "-f", "-"]).ok()
    }
}
