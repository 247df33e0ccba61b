//! From a profile in OCI's words to a program of the kernel's packet filter, by libseccomp.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read as _, Seek as _},
};

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall, error::SeccompError,
};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall,
};

use super::newer::{self, Rule};

/// As many as the kernel takes.
const INSTRUCTIONS: usize = 4096;
pub(super) const INSTRUCTION_BYTES: usize = 8;
/// From this number of rules on a tree of comparisons beats a list, for the kernel's check of the program too.
const TREE_RULES: usize = 32;

/// A program and the flags to load it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// `SECCOMP_FILTER_FLAG_*`.
    pub(crate) flags: u32,
    /// `struct sock_filter`s.
    pub(crate) program: Vec<u8>,
}

/// What is wrong with a profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    #[error("SCMP_ACT_NOTIFY is not supported: nobody would answer")]
    Notify,
    #[error("the flag {flag:?} is of use only with SCMP_ACT_NOTIFY, which is not supported")]
    NotifyFlag { flag: LinuxSeccompFilterFlag },
    #[error("errnoRet {errno} does not fit the action")]
    Errno { errno: u32 },
    #[error("the rule for {call}: {source}")]
    Rule { call: String, source: SeccompError },
    #[error("the architecture {arch:?}: {source}")]
    Architecture { arch: Arch, source: SeccompError },
    #[error("libseccomp: {source}")]
    Library { source: SeccompError },
    #[error("cannot read the program libseccomp made: {source}")]
    Read { source: io::Error },
    #[error("the program has {instructions} instructions and the kernel takes {INSTRUCTIONS}")]
    Long { instructions: usize },
}

type Result<T> = std::result::Result<T, CompileError>;

fn library(source: SeccompError) -> CompileError {
    CompileError::Library { source }
}

fn architecture(arch: Arch) -> ScmpArch {
    match arch {
        Arch::ScmpArchNative => ScmpArch::Native,
        Arch::ScmpArchX86 => ScmpArch::X86,
        Arch::ScmpArchX86_64 => ScmpArch::X8664,
        Arch::ScmpArchX32 => ScmpArch::X32,
        Arch::ScmpArchArm => ScmpArch::Arm,
        Arch::ScmpArchAarch64 => ScmpArch::Aarch64,
        Arch::ScmpArchLoongarch64 => ScmpArch::Loongarch64,
        Arch::ScmpArchM68k => ScmpArch::M68k,
        Arch::ScmpArchMips => ScmpArch::Mips,
        Arch::ScmpArchMips64 => ScmpArch::Mips64,
        Arch::ScmpArchMips64n32 => ScmpArch::Mips64N32,
        Arch::ScmpArchMipsel => ScmpArch::Mipsel,
        Arch::ScmpArchMipsel64 => ScmpArch::Mipsel64,
        Arch::ScmpArchMipsel64n32 => ScmpArch::Mipsel64N32,
        Arch::ScmpArchParisc => ScmpArch::Parisc,
        Arch::ScmpArchParisc64 => ScmpArch::Parisc64,
        Arch::ScmpArchPpc => ScmpArch::Ppc,
        Arch::ScmpArchPpc64 => ScmpArch::Ppc64,
        Arch::ScmpArchPpc64le => ScmpArch::Ppc64Le,
        Arch::ScmpArchRiscv64 => ScmpArch::Riscv64,
        Arch::ScmpArchS390 => ScmpArch::S390,
        Arch::ScmpArchS390x => ScmpArch::S390X,
        Arch::ScmpArchSh => ScmpArch::Sh,
        Arch::ScmpArchSheb => ScmpArch::Sheb,
    }
}

/// The action, and what a program of the kernel answers for it.
fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<(ScmpAction, u32)> {
    let errno = errno.unwrap_or(libc::EPERM as u32);
    let data = u16::try_from(errno).map_err(|_| CompileError::Errno { errno })?;
    let with_data = |value: u32| value | u32::from(data);
    Ok(match action {
        LinuxSeccompAction::ScmpActAllow => (ScmpAction::Allow, libc::SECCOMP_RET_ALLOW),
        LinuxSeccompAction::ScmpActLog => (ScmpAction::Log, libc::SECCOMP_RET_LOG),
        LinuxSeccompAction::ScmpActTrap => (ScmpAction::Trap, libc::SECCOMP_RET_TRAP),
        LinuxSeccompAction::ScmpActErrno => (ScmpAction::Errno(i32::from(data)), with_data(libc::SECCOMP_RET_ERRNO)),
        LinuxSeccompAction::ScmpActTrace => (ScmpAction::Trace(data), with_data(libc::SECCOMP_RET_TRACE)),
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            (ScmpAction::KillThread, libc::SECCOMP_RET_KILL_THREAD)
        }
        LinuxSeccompAction::ScmpActKillProcess => (ScmpAction::KillProcess, libc::SECCOMP_RET_KILL_PROCESS),
        LinuxSeccompAction::ScmpActNotify => return Err(CompileError::Notify),
    })
}

fn comparison(arg: &LinuxSeccompArg) -> ScmpArgCompare {
    let with = |operator, value| ScmpArgCompare::new(arg.index() as u32, operator, value);
    match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => with(ScmpCompareOp::NotEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpLt => with(ScmpCompareOp::Less, arg.value()),
        LinuxSeccompOperator::ScmpCmpLe => with(ScmpCompareOp::LessOrEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpEq => with(ScmpCompareOp::Equal, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe => with(ScmpCompareOp::GreaterEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt => with(ScmpCompareOp::Greater, arg.value()),
        // The first value is the mask.
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            with(ScmpCompareOp::MaskedEqual(arg.value()), arg.value_two().unwrap_or(0))
        }
    }
}

fn flags(profile: &LinuxSeccomp) -> Result<u32> {
    profile.flags().iter().flatten().try_fold(0, |flags, flag| {
        let bit = match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => libc::SECCOMP_FILTER_FLAG_TSYNC,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                return Err(CompileError::NotifyFlag { flag: *flag });
            }
        };
        Ok(flags | bit as u32)
    })
}

/// Compiles a profile. Calls no library and no table of ours knows are left out, as runc does.
pub(super) fn compile(profile: &LinuxSeccomp) -> Result<Filter> {
    let flags = flags(profile)?;
    let (default, answer) = action(profile.default_action(), profile.default_errno_ret())?;
    let mut context = ScmpFilterContext::new(default).map_err(library)?;
    let mut architectures = vec![ScmpArch::native()];
    for &arch in profile.architectures().iter().flatten() {
        let known = architecture(arch);
        context.add_arch(known).map_err(|source| CompileError::Architecture { arch, source })?;
        architectures.push(known);
    }
    let rules = profile.syscalls().as_deref().unwrap_or_default();
    if rules.iter().map(|rule| rule.names().len()).sum::<usize>() > TREE_RULES {
        context.set_ctl_optimize(2).map_err(library)?;
    }
    let mut newer = Vec::new();
    for rule in rules {
        let (wanted, answer) = action(rule.action(), rule.errno_ret())?;
        if wanted == default {
            continue;
        }
        for name in rule.names() {
            match ScmpSyscall::from_name(name) {
                Ok(call) => add(&mut context, wanted, call, rule)
                    .map_err(|source| CompileError::Rule { call: name.clone(), source })?,
                Err(_) => match newer::number(name) {
                    Some(number) if rule.args().as_deref().unwrap_or_default().is_empty() => {
                        newer.push(Rule { number, answer });
                    }
                    _ => tracing::debug!(name, "a seccomp profile names a system call nobody here knows"),
                },
            }
        }
    }
    let mut program = newer::prologue(&architectures, rules, &newer, answer);
    program.extend(export(&context)?);
    let instructions = program.len() / INSTRUCTION_BYTES;
    if instructions > INSTRUCTIONS {
        return Err(CompileError::Long { instructions });
    }
    Ok(Filter { flags, program })
}

/// Comparisons of one argument with several values are several rules; those of different arguments are one.
fn add(
    context: &mut ScmpFilterContext,
    action: ScmpAction,
    call: ScmpSyscall,
    rule: &LinuxSyscall,
) -> std::result::Result<(), SeccompError> {
    let arguments = rule.args().as_deref().unwrap_or_default();
    if arguments.is_empty() {
        return context.add_rule(action, call).map(|_| ());
    }
    let comparisons: Vec<ScmpArgCompare> = arguments.iter().map(comparison).collect();
    let distinct: HashSet<usize> = arguments.iter().map(|arg| arg.index()).collect();
    if distinct.len() == arguments.len() {
        return context.add_rule_conditional(action, call, &comparisons).map(|_| ());
    }
    comparisons
        .iter()
        .try_for_each(|one| context.add_rule_conditional(action, call, std::slice::from_ref(one)).map(|_| ()))
}

fn export(context: &ScmpFilterContext) -> Result<Vec<u8>> {
    let read = |source| CompileError::Read { source };
    let name = c"seccomp";
    let memory = nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::MFD_CLOEXEC);
    let mut file = File::from(memory.map_err(|errno| read(errno.into()))?);
    context.export_bpf(&file).map_err(library)?;
    let mut program = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut program)).map_err(read)?;
    Ok(program)
}
