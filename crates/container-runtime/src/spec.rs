//! The OCI runtime specification of a container, made from what the CRI says and what the image says.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use cri::{CriError, v1};
use images::ImageConfig;
use serde_json::{Map, Value, json};

use crate::{
    capabilities,
    cgroup::Hierarchies,
    devices,
    mounts::{self, Propagation},
    protocol::Propagating,
    resources,
    seccomp::Profile,
    user,
};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything a container's specification is made of.
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a v1::ContainerConfig,
    pub(crate) sandbox: &'a v1::PodSandboxConfig,
    pub(crate) image: &'a ImageConfig,
    pub(crate) rootfs: &'a Path,
    pub(crate) sandbox_folder: &'a Path,
    pub(crate) cgroup: &'a Path,
    /// Under version 1, its directory in each hierarchy and what the hierarchy is called.
    pub(crate) cgroup_v1: Vec<(String, PathBuf)>,
    pub(crate) hierarchies: &'a Hierarchies,
    /// The process that holds the pod's namespaces, and the first process of a shared one.
    pub(crate) shim: i32,
    pub(crate) init: Option<i32>,
    /// The process whose process namespace is to be joined.
    pub(crate) target: Option<i32>,
}

type Result<T> = std::result::Result<T, CriError>;
type ProfileType = v1::security_profile::ProfileType;

/// What a container's processes take on when they execute their program: a filter of system calls, and the bounding set
/// of capabilities, as bits.
pub(crate) struct Confine {
    pub(crate) profile: Profile,
    pub(crate) keep: u64,
}

fn profile_type(config: &v1::ContainerConfig) -> Result<ProfileType> {
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    if security.is_some_and(|security| security.privileged) {
        return Ok(ProfileType::Unconfined);
    }
    // The zero value is the runtime's default, so it is also what an absent profile reads as: on by default.
    let kind = security.and_then(|security| security.seccomp.as_ref()).map_or(0, |profile| profile.profile_type);
    ProfileType::try_from(kind).map_err(|_| invalid(format!("unknown seccomp profile type {kind}")))
}

/// Whether the container's processes must load a filter.
pub(crate) fn is_confined(config: &v1::ContainerConfig) -> bool {
    !matches!(profile_type(config), Ok(ProfileType::Unconfined))
}

/// Loading a filter needs CAP_SYS_ADMIN of a process that may gain privileges. It begins with that, and gives it up when
/// it executes its program; see the shim's executor.
fn let_load_a_filter(process: &mut Value) {
    if process["noNewPrivileges"] == true {
        return;
    }
    for set in ["bounding", "effective", "permitted"] {
        if let Some(names) = process["capabilities"][set].as_array_mut() {
            for name in ["CAP_SYS_ADMIN", "CAP_SETPCAP"] {
                if !names.iter().any(|given| given == name) {
                    names.push(json!(name));
                }
            }
        }
    }
}

fn invalid(message: impl Into<String>) -> CriError {
    CriError::invalid_argument(message)
}

impl Parts<'_> {
    fn linux(&self) -> v1::LinuxContainerConfig {
        self.config.linux.clone().unwrap_or_default()
    }

    fn security(&self) -> v1::LinuxContainerSecurityContext {
        self.linux().security_context.unwrap_or_default()
    }

    fn namespaces(&self) -> v1::NamespaceOption {
        self.security().namespace_options.unwrap_or_default()
    }

    /// The specification, and what its processes' filter is made from.
    pub(crate) fn build(&self) -> Result<(Value, Option<Confine>)> {
        let security = self.security();
        let mut process = self.process(None)?;
        let confine = self.confine(&process)?;
        if confine.is_some() {
            let_load_a_filter(&mut process);
        }
        let mut linux = Map::new();
        linux.insert("cgroupsPath".into(), json!(self.cgroup));
        linux.insert("namespaces".into(), self.namespace_list());
        linux.insert("resources".into(), self.resources()?);
        linux.insert("devices".into(), self.devices()?);
        if !security.privileged {
            linux.insert("maskedPaths".into(), json!(security.masked_paths));
            linux.insert("readonlyPaths".into(), json!(security.readonly_paths));
        }
        let (mounts, propagation) = self.mounts()?;
        if let Some(propagation) = propagation {
            linux.insert("rootfsPropagation".into(), json!(propagation));
        }
        // No host name: the shim has set it in the namespace that is joined.
        let spec = json!({
            "ociVersion": "1.0.2",
            "process": process,
            "root": {"path": self.rootfs, "readonly": security.readonly_rootfs},
            "mounts": mounts,
            "linux": linux,
            "annotations": self.config.annotations,
        });
        Ok((spec, confine))
    }

    pub(crate) fn user(&self) -> Result<user::User> {
        let security = self.security();
        let named = match (&security.run_as_user, security.run_as_username.as_str()) {
            (Some(uid), _) => uid.value.to_string(),
            (None, "") => self.image.user.clone(),
            (None, name) => name.to_owned(),
        };
        // A user given by the pod leaves the image's group behind.
        let group = match &security.run_as_group {
            Some(gid) => Some(id(gid.value)?),
            None => None,
        };
        let supplemental = security.supplemental_groups.iter().map(|g| id(*g)).collect::<Result<Vec<u32>>>()?;
        let merge = security.supplemental_groups_policy != v1::SupplementalGroupsPolicy::Strict as i32;
        let wanted = user::Wanted { user: &named, group, supplemental: &supplemental, merge };
        user::resolve(&wanted, self.rootfs).map_err(CriError::unknown)
    }

    /// The container's process, or one more with another command.
    pub(crate) fn process(&self, exec: Option<(&[String], bool)>) -> Result<Value> {
        let security = self.security();
        let config = self.config;
        let user = self.user()?;
        let tty = exec.map_or(config.tty, |(_, tty)| tty);
        let arguments = match exec {
            Some((command, _)) => command.to_vec(),
            None => self.arguments()?,
        };
        let wanted = security.capabilities.clone().unwrap_or_default();
        let set = capabilities::for_container(
            security.privileged,
            &wanted.add_capabilities,
            &wanted.drop_capabilities,
            capabilities::bounding(),
        )
        .map_err(invalid)?;
        // Only root starts with them; others may get them from files.
        let active = if user.uid == 0 { set.clone() } else { Vec::new() };
        let mut process = json!({
            "terminal": tty,
            "user": {"uid": user.uid, "gid": user.gid, "additionalGids": user.additional},
            "args": arguments,
            "env": self.environment(&user, tty),
            "cwd": self.working_directory(),
            "capabilities": {"bounding": set, "effective": active, "permitted": active},
        });
        if security.no_new_privs {
            process["noNewPrivileges"] = json!(true);
        }
        if let Some(adjust) = self.linux().resources.map(|r| r.oom_score_adj) {
            process["oomScoreAdj"] = json!(adjust.max(own_oom_score()));
        }
        Ok(process)
    }

    /// One more process.
    pub(crate) fn command(&self, command: &[String], tty: bool) -> Result<Value> {
        let mut process = self.process(Some((command, tty)))?;
        if is_confined(self.config) {
            let_load_a_filter(&mut process);
        }
        Ok(process)
    }

    fn arguments(&self) -> Result<Vec<String>> {
        let config = self.config;
        let mut arguments =
            if config.command.is_empty() { self.image.entrypoint.clone() } else { config.command.clone() };
        if !config.args.is_empty() {
            arguments.extend(config.args.iter().cloned());
        } else if config.command.is_empty() {
            arguments.extend(self.image.cmd.iter().cloned());
        }
        if arguments.is_empty() { Err(invalid("no command specified")) } else { Ok(arguments) }
    }

    fn working_directory(&self) -> String {
        let given = [&self.config.working_dir, &self.image.working_dir];
        given.into_iter().find(|dir| !dir.is_empty()).map_or_else(|| "/".to_owned(), Clone::clone)
    }

    fn environment(&self, user: &user::User, tty: bool) -> Vec<String> {
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        let mut order = Vec::new();
        let mut set = |key: &str, value: &str, replace: bool| {
            if !values.contains_key(key) {
                order.push(key.to_owned());
            } else if !replace {
                return;
            }
            values.insert(key.to_owned(), value.to_owned());
        };
        for pair in &self.image.env {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            set(key, value, true);
        }
        for pair in &self.config.envs {
            set(&pair.key, &pair.value, true);
        }
        let (path, search) = DEFAULT_PATH.split_once('=').unwrap_or_default();
        set(path, search, false);
        set("HOSTNAME", &sandbox_hostname(self.sandbox), false);
        set("HOME", user.home.as_deref().unwrap_or("/"), false);
        if tty {
            set("TERM", "xterm", false);
        }
        order.into_iter().map(|key| format!("{key}={}", values.get(&key).map_or("", String::as_str))).collect()
    }

    fn namespace_list(&self) -> Value {
        let options = self.namespaces();
        let shim = |kind: &str| format!("/proc/{}/ns/{kind}", self.shim);
        let mut list = vec![
            json!({"type": "mount"}),
            // For a pod in the host's namespaces these are the host's, since the shim never left them.
            json!({"type": "network", "path": shim("net")}),
            json!({"type": "ipc", "path": shim("ipc")}),
            json!({"type": "uts", "path": shim("uts")}),
        ];
        if self.hierarchies.is_v2() && !self.security().privileged {
            // As containerd: the container sees its own group as the root of all.
            list.push(json!({"type": "cgroup"}));
        }
        match v1::NamespaceMode::try_from(options.pid) {
            Ok(v1::NamespaceMode::Node) => {}
            Ok(v1::NamespaceMode::Pod) if self.init.is_some() => {
                list.push(json!({"type": "pid", "path": format!("/proc/{}/ns/pid", self.init.unwrap_or(0))}));
            }
            Ok(v1::NamespaceMode::Target) if self.target.is_some() => {
                list.push(json!({"type": "pid", "path": format!("/proc/{}/ns/pid", self.target.unwrap_or(0))}));
            }
            _ => list.push(json!({"type": "pid"})),
        }
        Value::Array(list)
    }

    fn resources(&self) -> Result<Value> {
        let given = self.linux().resources.unwrap_or_default();
        let mut all = resources::resources(&given, self.hierarchies).map_err(|error| invalid(error.to_string()))?;
        let everything = self.security().privileged;
        let mut devices = vec![json!({"allow": everything, "access": "rwm"})];
        for device in &self.config.devices {
            if let Ok((kind, major, minor)) = device_numbers(&device.host_path) {
                let access = if device.permissions.is_empty() { "rwm" } else { &device.permissions };
                devices.push(json!({"allow": true, "type": kind, "major": major, "minor": minor, "access": access}));
            }
        }
        all["devices"] = json!(devices);
        Ok(all)
    }

    fn devices(&self) -> Result<Value> {
        let mut list = Vec::new();
        let mut add = |host: &str, inside: &str| -> Result<()> {
            let (kind, major, minor) =
                device_numbers(host).map_err(|e| invalid(format!("cannot use device {host:?}: {e}")))?;
            list.push(json!({
                "path": inside, "type": kind, "major": major, "minor": minor,
                "fileMode": 0o660, "uid": 0, "gid": 0
            }));
            Ok(())
        };
        for device in &self.config.devices {
            add(&device.host_path, &device.container_path)?;
        }
        if self.security().privileged {
            for path in host_devices() {
                add(&path, &path)?;
            }
        }
        Ok(Value::Array(list))
    }

    fn confine(&self, process: &Value) -> Result<Option<Confine>> {
        let bounding = process["capabilities"]["bounding"].as_array().into_iter().flatten();
        let capabilities: Vec<String> = bounding.filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let keep = capabilities::mask(&capabilities);
        let profile = match profile_type(self.config)? {
            ProfileType::Unconfined => return Ok(None),
            ProfileType::RuntimeDefault => Profile::Default { capabilities },
            ProfileType::Localhost => {
                let path = self.security().seccomp.unwrap_or_default().localhost_ref;
                Profile::local(&path).map_err(|error| invalid(error.to_string()))?
            }
        };
        Ok(Some(Confine { profile, keep }))
    }

    /// Version 1 hierarchy by hierarchy: what libcontainer makes of a mount of that type could be written to, and it
    /// looks for its own process in vain where another's process namespace is joined.
    fn cgroup_mounts(&self, access: &str) -> Vec<Value> {
        if self.cgroup_v1.is_empty() {
            return vec![json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                   "options": ["nosuid", "noexec", "nodev", "relatime", access]})];
        }
        let top = json!({"destination": "/sys/fs/cgroup", "type": "tmpfs", "source": "tmpfs",
                   "options": ["nosuid", "noexec", "nodev", "mode=755", "size=64k"]});
        let each = self.cgroup_v1.iter().map(|(name, directory)| {
            json!({"destination": format!("/sys/fs/cgroup/{name}"), "type": "bind", "source": directory,
                   "options": ["bind", "rprivate", "nosuid", "noexec", "nodev", access]})
        });
        std::iter::once(top).chain(each).collect()
    }

    fn mounts(&self) -> Result<(Vec<Value>, Option<&'static str>)> {
        let security = self.security();
        let sysfs = if security.privileged { "rw" } else { "ro" };
        let mut mounts = vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}),
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                   "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
            json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                   "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]}),
            json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
                   "options": ["nosuid", "noexec", "nodev"]}),
            json!({"destination": "/sys", "type": "sysfs", "source": "sysfs",
                   "options": ["nosuid", "noexec", "nodev", sysfs]}),
        ];
        mounts.extend(self.cgroup_mounts(sysfs));
        let given: Vec<&str> = self.config.mounts.iter().map(|m| m.container_path.as_str()).collect();
        let host_ipc = self.namespaces().ipc == v1::NamespaceMode::Node as i32;
        let shm = if host_ipc { PathBuf::from("/dev/shm") } else { self.sandbox_folder.join("shm") };
        let files = [
            ("/dev/shm", shm, true),
            ("/etc/resolv.conf", self.sandbox_folder.join("resolv.conf"), false),
            ("/etc/hostname", self.sandbox_folder.join("hostname"), false),
            ("/etc/hosts", self.sandbox_folder.join("hosts"), false),
        ];
        for (inside, from, shared) in files {
            if !given.contains(&inside) {
                let access = if security.readonly_rootfs && !shared { "ro" } else { "rw" };
                mounts.push(json!({
                    "destination": inside, "type": "bind", "source": from, "options": ["rbind", "rprivate", access]
                }));
            }
        }
        // Outer mounts before what is mounted inside them.
        let mut own: Vec<&v1::Mount> = self.config.mounts.iter().collect();
        own.sort_by_key(|mount| mount.container_path.matches('/').count());
        let mut root_propagation = None;
        for mount in own {
            let (value, propagation) = one_mount(mount)?;
            mounts.push(value);
            root_propagation = root_propagation.max(propagation);
        }
        // libcontainer knows these words without the `r`, and means it.
        let root_propagation = root_propagation.map(|p| if p == 2 { "shared" } else { "slave" });
        Ok((mounts, root_propagation))
    }
}

/// The mount, and how much of propagation it needs from the root: 1 to receive, 2 to send.
fn one_mount(mount: &v1::Mount) -> Result<(Value, Option<u8>)> {
    if mount.image.as_ref().is_some_and(|image| !image.image.is_empty()) {
        return Err(CriError::unimplemented("image volumes are not supported"));
    }
    if !mount.uid_mappings.is_empty() {
        return Err(CriError::unimplemented("idmapped mounts are not supported"));
    }
    if mount.recursive_read_only && !mount.readonly {
        return Err(invalid(format!("mount {:?} is recursive_read_only and not readonly", mount.container_path)));
    }
    let source = Path::new(&mount.host_path);
    if !source.exists() {
        // As Docker did and the kubelet relies on for plain host paths.
        std::fs::create_dir_all(source)
            .map_err(|e| CriError::unknown(format!("failed to mkdir {:?}: {e}", mount.host_path)))?;
    }
    let (option, need) = match v1::MountPropagation::try_from(mount.propagation) {
        Ok(v1::MountPropagation::PropagationHostToContainer) => ("rslave", Some(1)),
        Ok(v1::MountPropagation::PropagationBidirectional) => ("rshared", Some(2)),
        _ => ("rprivate", None),
    };
    if need.is_some() {
        check_propagation(source, option)?;
    }
    let access = if mount.readonly { "ro" } else { "rw" };
    let mut options = vec!["rbind", option, access];
    if mount.recursive_read_only {
        options.push("rro");
    }
    let value = json!({
        "destination": mount.container_path, "type": "bind", "source": mount.host_path, "options": options
    });
    Ok((value, need))
}

/// The devices a container may use; none stands for all.
pub(crate) fn devices(config: &v1::ContainerConfig) -> Option<Vec<devices::Rule>> {
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    if security.is_some_and(|security| security.privileged) {
        return None;
    }
    let own = config.devices.iter().filter_map(|device| {
        let (kind, major, minor) = device_numbers(&device.host_path).ok()?;
        let kind = if kind == "b" { devices::Kind::Block } else { devices::Kind::Character };
        let letters = if device.permissions.is_empty() { "rwm" } else { &device.permissions };
        let number = |number| u32::try_from(number).ok();
        Some(devices::Rule {
            kind: Some(kind),
            major: Some(number(major)?),
            minor: Some(number(minor)?),
            access: devices::access(letters),
        })
    });
    Some(devices::standard().into_iter().chain(own).collect())
}

/// The sources of mounts that are not private.
pub(crate) fn propagating(config: &v1::ContainerConfig) -> Vec<Propagating> {
    let mut found: Vec<Propagating> = Vec::new();
    for mount in &config.mounts {
        let sends = match v1::MountPropagation::try_from(mount.propagation) {
            Ok(v1::MountPropagation::PropagationBidirectional) => true,
            Ok(v1::MountPropagation::PropagationHostToContainer) => false,
            _ => continue,
        };
        let path = PathBuf::from(&mount.host_path);
        match found.iter_mut().find(|other| other.path == path) {
            Some(other) => other.sends |= sends,
            None => found.push(Propagating { path, sends }),
        }
    }
    found
}

/// What the host mounts later comes only by a mount that passes it on. Texts as containerd has them.
fn check_propagation(source: &Path, option: &str) -> Result<()> {
    let found = mounts::propagation(source)
        .map_err(|e| CriError::unknown(format!("failed to look up the mount of {source:?}: {e}")))?;
    let (mount, wanted, fits) = match (&found, option) {
        ((mount, kind), "rshared") => (mount, "shared", *kind == Propagation::Shared),
        ((mount, kind), _) => (mount, "shared or slave", *kind != Propagation::Private),
    };
    if fits {
        return Ok(());
    }
    Err(invalid(format!("path {source:?} is mounted on {mount:?} but it is not a {wanted} mount")))
}

fn id(value: i64) -> Result<u32> {
    u32::try_from(value).map_err(|_| invalid(format!("{value} is not a user or group id")))
}

/// The score no process of ours may go below without a capability this machine may lack.
fn own_oom_score() -> i64 {
    let lacks = !capabilities::bounding().contains("SYS_RESOURCE");
    if !lacks {
        return -1000;
    }
    std::fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0)
}

fn device_numbers(path: &str) -> std::io::Result<(&'static str, u64, u64)> {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let stat = std::fs::metadata(path)?;
    let kind = if stat.file_type().is_block_device() {
        "b"
    } else if stat.file_type().is_char_device() {
        "c"
    } else {
        return Err(std::io::Error::other("not a device node"));
    };
    Ok((kind, u64::from(libc::major(stat.rdev())), u64::from(libc::minor(stat.rdev()))))
}

/// What a privileged container sees: the host's device nodes, but not its terminals.
fn host_devices() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/dev") else { return Vec::new() };
    let standard = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"];
    entries
        .flatten()
        .filter(|entry| !standard.contains(&entry.file_name().to_string_lossy().as_ref()))
        .map(|entry| entry.path().display().to_string())
        .filter(|path| std::fs::symlink_metadata(path).is_ok_and(|m| !m.is_symlink()) && device_numbers(path).is_ok())
        .collect()
}

/// The host name pods see: their own, or the machine's for pods of the host's network.
pub(crate) fn sandbox_hostname(config: &v1::PodSandboxConfig) -> String {
    if !config.hostname.is_empty() {
        return config.hostname.clone();
    }
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}
