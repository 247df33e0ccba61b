//! System calls younger than libseccomp: a few instructions before its program.
//!
//! A call younger than every call a profile names was unknown to the profile's author. It is answered with ENOSYS, as
//! runc does, so that C libraries fall back to an older call; with the profile's own answer, mostly EPERM, they fail.

use libseccomp::{ScmpArch, ScmpSyscall};
use oci_spec::runtime::LinuxSyscall;

/// Numbers are the same for all architectures since 5.1.
const CALLS: [(&str, u32); 20] = [
    ("process_mrelease", 448),
    ("futex_waitv", 449),
    ("set_mempolicy_home_node", 450),
    ("cachestat", 451),
    ("fchmodat2", 452),
    ("map_shadow_stack", 453),
    ("futex_wake", 454),
    ("futex_wait", 455),
    ("futex_requeue", 456),
    ("statmount", 457),
    ("listmount", 458),
    ("lsm_get_self_attr", 459),
    ("lsm_set_self_attr", 460),
    ("lsm_list_modules", 461),
    ("mseal", 462),
    ("setxattrat", 463),
    ("getxattrat", 464),
    ("listxattrat", 465),
    ("removexattrat", 466),
    ("open_tree_attr", 467),
];

/// Calls of the x32 interface carry this bit, under the architecture of x86-64.
const X32: u32 = 0x4000_0000;
/// Where `struct seccomp_data` has the call's number and the architecture.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// What to answer to a call libseccomp does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) number: u32,
    pub(super) answer: u32,
}

pub(super) fn number(name: &str) -> Option<u32> {
    CALLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// As the kernel names it (`AUDIT_ARCH_*`); x32 goes under x86-64.
fn audit(arch: ScmpArch) -> Option<u32> {
    match arch {
        ScmpArch::X8664 => Some(0xc000_003e),
        ScmpArch::X86 => Some(0x4000_0003),
        ScmpArch::Aarch64 => Some(0xc000_00b7),
        ScmpArch::Arm => Some(0x4000_0028),
        _ => None,
    }
}

fn instruction(code: u32, k: u32, if_true: u8, if_false: u8) -> [u8; 8] {
    let [a, b] = (code as u16).to_ne_bytes();
    let [c, d, e, f] = k.to_ne_bytes();
    [a, b, if_true, if_false, c, d, e, f]
}

fn load(at: u32) -> [u8; 8] {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0)
}

fn answer(value: u32) -> [u8; 8] {
    instruction(libc::BPF_RET | libc::BPF_K, value, 0, 0)
}

/// Jumps over so many instructions.
fn skip(count: usize) -> [u8; 8] {
    instruction(libc::BPF_JMP | libc::BPF_JA, count as u32, 0, 0)
}

/// Goes on with the next instruction if the loaded value compares so, else with the one after.
fn if_so(comparison: u32, value: u32) -> [u8; 8] {
    instruction(libc::BPF_JMP | comparison | libc::BPF_K, value, 0, 1)
}

/// The youngest call of an architecture that the rules name.
fn youngest(arch: ScmpArch, rules: &[LinuxSyscall]) -> Option<u32> {
    let names = rules.iter().flat_map(|rule| rule.names());
    // Calls an architecture does not have are numbered below zero.
    let known = |name: &String| {
        let call = ScmpSyscall::from_name_by_arch(name, arch).ok().map(|call| call.as_raw_syscall());
        call.and_then(|raw| u32::try_from(raw).ok()).or_else(|| number(name))
    };
    names.filter_map(known).max()
}

/// The instructions for one architecture, which end with going on to libseccomp's program, `rest` instructions behind.
fn of_architecture(kind: u32, rules: &[Rule], youngest: Option<u32>, rest: usize) -> Vec<[u8; 8]> {
    let mut inside = vec![load(NUMBER)];
    let mut checks = Vec::new();
    for rule in rules {
        checks.extend([if_so(libc::BPF_JEQ, rule.number), answer(rule.answer)]);
    }
    if let Some(youngest) = youngest {
        checks.extend([if_so(libc::BPF_JGT, youngest), answer(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32)]);
    }
    // x32 is left to libseccomp.
    inside.extend([if_so(libc::BPF_JGE, X32), skip(checks.len())]);
    inside.extend(checks);
    inside.push(skip(rest));
    let mut block = vec![instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, kind, 1, 0), skip(inside.len())];
    block.extend(inside);
    block
}

/// What goes before libseccomp's program; nothing if there is nothing to add. `default` is the profile's answer to
/// calls it does not name: one that lets them through needs no ENOSYS.
pub(super) fn prologue(architectures: &[ScmpArch], rules: &[LinuxSyscall], newer: &[Rule], default: u32) -> Vec<u8> {
    let lets_through = [libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_LOG, libc::SECCOMP_RET_TRACE];
    let through = lets_through.contains(&(default & libc::SECCOMP_RET_ACTION_FULL));
    let mut kinds: Vec<(u32, Option<u32>)> = Vec::new();
    for arch in architectures {
        if let Some(kind) = audit(*arch)
            && !kinds.iter().any(|(other, _)| *other == kind)
        {
            kinds.push((kind, if through { None } else { youngest(*arch, rules) }));
        }
    }
    let mut program: Vec<[u8; 8]> = Vec::new();
    for (kind, youngest) in kinds.iter().rev() {
        if !newer.is_empty() || youngest.is_some() {
            let mut block = of_architecture(*kind, newer, *youngest, program.len());
            block.append(&mut program);
            program = block;
        }
    }
    if !program.is_empty() {
        program.insert(0, load(ARCHITECTURE));
    }
    program.concat()
}
