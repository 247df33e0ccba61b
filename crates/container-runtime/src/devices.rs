//! Which devices a container may use under cgroup version 2, which has no files for it: a program of a few instructions,
//! attached to the container's group before it has a process. Version 1's files are written by libcontainer.
//!
//! Without it whoever may make device nodes, as containers may by default, could read the host's disk.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

/// What may be done with which devices; what is not said of a device may be any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) kind: Option<Kind>,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    /// Bits of [`access`].
    pub(crate) access: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Block = 1,
    Character = 2,
}

const MAKE: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;

/// From the letters `r`, `w` and `m`.
pub(crate) fn access(letters: &str) -> i32 {
    letters.chars().fold(0, |bits, letter| {
        bits | match letter {
            'm' => MAKE,
            'r' => READ,
            'w' => WRITE,
            _ => 0,
        }
    })
}

/// What every container may use: null, zero, full, random, urandom, tty, console, ptmx and terminals. Nodes may be made
/// of any device.
pub(crate) fn standard() -> Vec<Rule> {
    let character =
        |major, minor| Rule { kind: Some(Kind::Character), major: Some(major), minor, access: MAKE | READ | WRITE };
    let mut rules = vec![Rule { kind: None, major: None, minor: None, access: MAKE }, character(136, None)];
    let known = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
    rules.extend(known.map(|(major, minor)| character(major, Some(minor))));
    rules
}

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    value: i32,
}

const fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    Instruction { code, registers: to | from << 4, offset, value }
}

const LOAD: u8 = 0x61;
const SET: u8 = 0xb7;
const COPY: u8 = 0xbf;
const SHIFT_RIGHT: u8 = 0x74;
const AND: u8 = 0x54;
const IF_NOT: u8 = 0x56;
const END: u8 = 0x95;
/// The kernel takes a million from root; devices of a container are few.
const RULES: usize = 4096;

/// Answers 1 if one of the rules allows what the context asks: its first word is access and kind, then come the numbers.
fn program(rules: &[Rule]) -> Vec<Instruction> {
    let (result, context, kind, wanted, major, minor, scratch) = (0, 1, 2, 3, 4, 5, 6);
    let mut program = vec![
        instruction(LOAD, kind, context, 0, 0),
        instruction(COPY, wanted, kind, 0, 0),
        instruction(SHIFT_RIGHT, wanted, 0, 0, 16),
        instruction(AND, kind, 0, 0, 0xffff),
        instruction(LOAD, major, context, 4, 0),
        instruction(LOAD, minor, context, 8, 0),
    ];
    let answer = |value| [instruction(SET, result, 0, 0, value), instruction(END, 0, 0, 0, 0)];
    for rule in rules {
        let numbers = [
            (kind, rule.kind.map(|kind| kind as i32)),
            (major, rule.major.map(u32::cast_signed)),
            (minor, rule.minor.map(u32::cast_signed)),
        ];
        let compared: Vec<(u8, i32)> = numbers.into_iter().filter_map(|(at, value)| Some((at, value?))).collect();
        // The comparisons still to come, two instructions that look for access beyond the rule, their comparison, the
        // answer.
        for (n, (register, value)) in compared.iter().enumerate() {
            let over = compared.len() - 1 - n + 3 + 2;
            program.push(instruction(IF_NOT, *register, 0, over as i16, *value));
        }
        program.push(instruction(COPY, scratch, wanted, 0, 0));
        program.push(instruction(AND, scratch, 0, 0, !rule.access));
        program.push(instruction(IF_NOT, scratch, 0, 2, 0));
        program.extend(answer(1));
    }
    program.extend(answer(0));
    program
}

/// The part of `union bpf_attr` that loading a program reads.
#[repr(C)]
struct Load {
    kind: u32,
    length: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_bytes: u32,
    log: u64,
    kernel: u32,
    flags: u32,
}

/// The part that attaching one reads.
#[repr(C)]
struct Attach {
    group: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

const PROGRAM_LOAD: libc::c_long = 5;
const PROGRAM_ATTACH: libc::c_long = 8;
const FOR_CGROUP_DEVICES: u32 = 15;
const TO_CGROUP_DEVICES: u32 = 6;
/// Programs of the groups above go on deciding too.
const WITH_OTHERS: u32 = 2;

/// The kernel's answer to a command whose attributes are `attributes`.
fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    // SAFETY: the pointer and size describe `attributes`, which, with what it points to, lives through the call.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    if done < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(done).map_err(io::Error::other) }
}

/// Holds the processes of a group, and of those below it, to the rules, for as long as the group is there.
pub(crate) fn confine(group: &Path, rules: &[Rule]) -> io::Result<()> {
    if rules.len() > RULES {
        return Err(io::Error::other(format!("{} devices are more than {RULES}", rules.len())));
    }
    let directory = File::open(group)?;
    let program = program(rules);
    let load = Load {
        kind: FOR_CGROUP_DEVICES,
        length: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_bytes: 0,
        log: 0,
        kernel: 0,
        flags: 0,
    };
    let loaded = bpf(PROGRAM_LOAD, &load)?;
    // SAFETY: the descriptor is fresh and ours.
    let loaded = unsafe { OwnedFd::from_raw_fd(loaded) };
    let attach = Attach {
        group: directory.as_raw_fd() as u32,
        program: loaded.as_raw_fd() as u32,
        kind: TO_CGROUP_DEVICES,
        flags: WITH_OTHERS,
    };
    bpf(PROGRAM_ATTACH, &attach).map(|_| ())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// What the program answers, computed as the kernel does.
    fn run(rules: &[Rule], kind: Kind, wanted: i32, major: i32, minor: i32) -> i32 {
        let program = program(rules);
        let context = [wanted << 16 | kind as i32, major, minor];
        let mut registers = [0i32; 7];
        let mut at = 0;
        loop {
            let i = program[at];
            let (to, from) = (usize::from(i.registers & 15), usize::from(i.registers >> 4));
            at += 1;
            match i.code {
                LOAD => registers[to] = context[usize::try_from(i.offset / 4).unwrap()],
                SET => registers[to] = i.value,
                COPY => registers[to] = registers[from],
                SHIFT_RIGHT => registers[to] >>= i.value,
                AND => registers[to] &= i.value,
                IF_NOT if registers[to] != i.value => at += usize::try_from(i.offset).unwrap(),
                IF_NOT => {}
                _ => return registers[0],
            }
        }
    }

    #[test]
    fn only_what_a_rule_allows_is_allowed() {
        let disk = Rule { kind: Some(Kind::Block), major: Some(254), minor: Some(0), access: access("r") };
        let (plain, with_disk) = (standard(), [standard(), vec![disk]].concat());
        assert_eq!(run(&plain, Kind::Character, READ | WRITE, 1, 3), 1, "null");
        assert_eq!(run(&plain, Kind::Character, READ, 136, 77), 1, "a terminal");
        assert_eq!(run(&plain, Kind::Character, READ, 1, 1), 0, "memory");
        assert_eq!(run(&plain, Kind::Block, READ, 1, 3), 0, "a block device of the same number");
        assert_eq!(run(&plain, Kind::Block, MAKE, 254, 0), 1, "a node of anything");
        assert_eq!(run(&plain, Kind::Block, READ, 254, 0), 0);
        assert_eq!(run(&with_disk, Kind::Block, READ, 254, 0), 1);
        assert_eq!(run(&with_disk, Kind::Block, READ | WRITE, 254, 0), 0, "more than was given");
        assert_eq!(run(&[], Kind::Character, READ, 1, 3), 0);
    }
}
