//! Runs a program and interferes with one of its system calls: seccomp stops the program at the calls that may be meant,
//! ptrace looks at them and changes one. All threads count, and calls that no library makes.

pub mod syscalls;

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use syscalls::{ALL, Call, Names};

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing; calls are counted.
    None,
    /// It fails once.
    Once(i32),
    /// It fails, and so do all that follow.
    FromThenOn(i32),
    /// It transfers half of what it was asked for.
    Short,
    /// The program is killed before it.
    Kill,
    /// The hook is called before it, while the thread that makes it stands still.
    Hook,
}

/// A fault at the `at`-th call (from 1) named `call` that works on something below `root`.
pub struct Injection<'a> {
    pub root: &'a Path,
    pub call: Option<&'static str>,
    pub at: u64,
    pub fault: Fault,
    /// Is called with what the call works on.
    pub hook: &'a dyn Fn(&Path),
}

/// A hook for faults that have none.
pub fn no_hook(_: &Path) {}

pub struct Traced {
    /// The exit code, or 128 and the number of the signal.
    pub code: i32,
    pub is_hung: bool,
    /// How many calls counted, by the index in [`ALL`].
    pub counts: Vec<u64>,
    /// The call that was interfered with, and what it worked on.
    pub hit: Option<String>,
}

/// Runs `command` to its end, or kills it after `limit`.
pub fn run(mut command: Command, injection: &Injection<'_>, limit: Duration) -> Traced {
    let filter = filter();
    // SAFETY: between fork and exec the closure only makes system calls, on memory that was allocated before the fork.
    unsafe { command.pre_exec(move || become_traced(&filter)) };
    #[expect(clippy::zombie_processes, reason = "`follow` waits for it")]
    let child = command.spawn().expect("the program starts");
    let pid = i32::try_from(child.id()).expect("a process id");
    let watch = Watch::over(pid, limit);
    let mut tracer = Tracer { pid, injection, traced: empty(), matching: 0, is_failing: false };
    tracer.traced.code = tracer.follow();
    tracer.traced.is_hung = watch.has_killed();
    tracer.traced
}

fn empty() -> Traced {
    Traced { code: 0, is_hung: false, counts: vec![0; ALL.len()], hit: None }
}

/// Kills a process that does not end in time.
struct Watch {
    has_ended: mpsc::Sender<()>,
    has_killed: Arc<AtomicBool>,
}

impl Watch {
    fn over(pid: i32, limit: Duration) -> Self {
        let (has_ended, ended) = mpsc::channel();
        let has_killed = Arc::new(AtomicBool::new(false));
        let kills = Arc::clone(&has_killed);
        std::thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                kills.store(true, Ordering::Release);
                // SAFETY: a signal to a process; the call takes no pointer.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        });
        Self { has_ended, has_killed }
    }

    fn has_killed(self) -> bool {
        let _ = self.has_ended.send(());
        self.has_killed.load(Ordering::Acquire)
    }
}

/// The program of seccomp: stops at the calls of the table, and lets all others pass.
fn filter() -> Vec<libc::sock_filter> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for call in ALL {
        let number = u32::try_from(call.number).expect("a small number");
        let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        program.push(libc::sock_filter { code, jt: 0, jf: 1, k: number });
        program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_TRACE));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    program
}

/// What the child does before it becomes the program.
fn become_traced(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the kernel copies the filter, which is alive, during the call; the other calls take no memory of ours.
    let results = unsafe {
        [
            libc::ptrace(libc::PTRACE_TRACEME, 0, none, none),
            libc::c_long::from(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)),
            libc::c_long::from(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)),
        ]
    };
    if results.contains(&-1) { Err(io::Error::last_os_error()) } else { Ok(()) }
}

struct Tracer<'a> {
    pid: i32,
    injection: &'a Injection<'a>,
    traced: Traced,
    matching: u64,
    is_failing: bool,
}

impl Tracer<'_> {
    /// Follows the program and its threads to the end. Returns the exit code.
    fn follow(&mut self) -> i32 {
        let mut has_options = false;
        loop {
            let mut status = 0;
            // SAFETY: `status` is a live local.
            let stopped = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
            if stopped == -1 {
                return 255;
            }
            if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                if stopped == self.pid {
                    let signal = libc::WIFSIGNALED(status);
                    return if signal { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
                }
                continue;
            }
            let mut signal = libc::WSTOPSIG(status);
            let event = status >> 16;
            if !has_options {
                // The stop after exec.
                let options = libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
                request(libc::PTRACE_SETOPTIONS, stopped, options as usize);
                (has_options, signal) = (true, 0);
            } else if event == libc::PTRACE_EVENT_SECCOMP {
                self.at_call(stopped);
                signal = 0;
            } else if event != 0 || signal == libc::SIGSTOP {
                // A new thread: its parent says so, and it begins with a stop.
                signal = 0;
            }
            request(libc::PTRACE_CONT, stopped, signal as usize);
        }
    }

    fn at_call(&mut self, pid: i32) {
        let mut registers = registers(pid);
        let number = registers.orig_rax as libc::c_long;
        let Some(index) = ALL.iter().position(|call| call.number == number) else { return };
        let call = &ALL[index];
        let Some(object) = object(pid, call, &registers) else { return };
        let is_ours = matches!(call.names, Names::Nothing) || object.starts_with(self.injection.root);
        if !is_ours {
            return;
        }
        self.traced.counts[index] += 1;
        if self.injection.call.is_some_and(|name| name != call.name) {
            return;
        }
        self.matching += 1;
        let is_hit = self.matching == self.injection.at || self.is_failing;
        if !is_hit {
            return;
        }
        if self.traced.hit.is_none() {
            self.traced.hit = Some(format!("{} {}", call.name, object.display()));
        }
        match self.injection.fault {
            Fault::None => return,
            Fault::Hook => {
                (self.injection.hook)(&object);
                return;
            }
            Fault::Once(error) => fail(&mut registers, error),
            Fault::FromThenOn(error) => {
                self.is_failing = true;
                fail(&mut registers, error);
            }
            Fault::Short => {
                if let Some(length) = call.length {
                    let bytes = argument_mut(&mut registers, length);
                    *bytes = (*bytes / 2).max(1);
                }
            }
            Fault::Kill => {
                // SAFETY: a signal to the traced program; the call takes no pointer.
                unsafe { libc::kill(self.pid, libc::SIGKILL) };
                return;
            }
        }
        set_registers(pid, &registers);
    }
}

/// Makes the kernel skip the call, and return this error for it.
fn fail(registers: &mut libc::user_regs_struct, error: i32) {
    registers.orig_rax = u64::MAX;
    registers.rax = (-i64::from(error)) as u64;
}

/// Returns what a call works on; `None` if that cannot be told any more.
fn object(pid: i32, call: &Call, registers: &libc::user_regs_struct) -> Option<PathBuf> {
    let descriptor = |index: usize| argument(registers, index) as i32;
    match call.names {
        Names::Nothing => Some(PathBuf::new()),
        Names::Descriptor(index) => open_path(pid, descriptor(index)),
        Names::Path(index) => Some(directory(pid, libc::AT_FDCWD)?.join(text(pid, argument(registers, index))?)),
        Names::PathAt => {
            let path = text(pid, argument(registers, 1))?;
            if path.is_empty() {
                open_path(pid, descriptor(0))
            } else {
                Some(directory(pid, descriptor(0))?.join(path))
            }
        }
    }
}

fn directory(pid: i32, descriptor: i32) -> Option<PathBuf> {
    if descriptor == libc::AT_FDCWD {
        fs::read_link(format!("/proc/{pid}/cwd")).ok()
    } else {
        open_path(pid, descriptor)
    }
}

fn open_path(pid: i32, descriptor: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok()
}

/// Reads a text that ends with a zero out of the program's memory.
fn text(pid: i32, address: u64) -> Option<String> {
    use std::os::unix::fs::FileExt;
    let memory = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut bytes = Vec::new();
    // Byte by byte near the end of a page would be slow, and a page may end anywhere behind the zero.
    while bytes.len() < 4096 {
        let at = address + bytes.len() as u64;
        let mut piece = [0; 256];
        let until_page_end = (4096 - (at % 4096) as usize).min(piece.len());
        memory.read_exact_at(&mut piece[..until_page_end], at).ok()?;
        let piece = &piece[..until_page_end];
        if let Some(end) = piece.iter().position(|byte| *byte == 0) {
            bytes.extend_from_slice(&piece[..end]);
            return CString::new(bytes).ok()?.into_string().ok();
        }
        bytes.extend_from_slice(piece);
    }
    None
}

fn argument(registers: &libc::user_regs_struct, index: usize) -> u64 {
    [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9][index]
}

fn argument_mut(registers: &mut libc::user_regs_struct, index: usize) -> &mut u64 {
    match index {
        0 => &mut registers.rdi,
        1 => &mut registers.rsi,
        _ => &mut registers.rdx,
    }
}

fn request(what: libc::c_uint, pid: i32, data: usize) {
    // SAFETY: these requests take a number as data, and no memory.
    unsafe { libc::ptrace(what, pid, 0usize, data) };
}

fn registers(pid: i32) -> libc::user_regs_struct {
    // SAFETY: all-zero bytes are valid registers, and the kernel writes at most one such structure.
    unsafe {
        let mut registers = std::mem::zeroed::<libc::user_regs_struct>();
        libc::ptrace(libc::PTRACE_GETREGS, pid, 0usize, &raw mut registers);
        registers
    }
}

fn set_registers(pid: i32, registers: &libc::user_regs_struct) {
    // SAFETY: the kernel reads one such structure, which is alive.
    unsafe { libc::ptrace(libc::PTRACE_SETREGS, pid, 0usize, std::ptr::from_ref(registers)) };
}
