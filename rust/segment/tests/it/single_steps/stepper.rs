//! A child process that runs one operation, an instruction at a time (`ptrace(2)`).

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::common::random::rounds;

/// The general registers.
const NT_PRSTATUS: usize = 1;
/// The exit code of a child that may not be traced.
const REFUSED: i32 = 77;
/// An operation that takes more instructions hangs.
const MOST_STEPS: u64 = 5_000_000;

/// A child that is stopped, or has ended. It is killed at the latest when this is dropped.
struct Child(libc::pid_t);

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: the calls take numbers, and a null pointer where they allow it. The process was not waited
        // for unless it has ended, and then the calls fail.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

impl Child {
    /// Forks a process that stops, calls `operation`, stops again, and passes the result to `verify`.
    fn start<T>(operation: impl FnOnce() -> T, verify: impl FnOnce(T)) -> Self {
        // SAFETY: this process has one other thread, which waits and holds no lock. So the child may use
        // everything that it has inherited.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid > 0 {
            return Self(pid);
        }
        // SAFETY: the calls take numbers, and `ptrace` ignores the pointers of this request.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) != 0 {
                libc::_exit(REFUSED);
            }
            libc::raise(libc::SIGSTOP);
        }
        let result = catch_unwind(AssertUnwindSafe(operation));
        // SAFETY: the call takes a number, and stops this process.
        unsafe { libc::raise(libc::SIGSTOP) };
        let result = result.and_then(|result| catch_unwind(AssertUnwindSafe(|| verify(result))));
        // Without the destructors of the parent's values.
        // SAFETY: the call takes a number, and ends this process.
        unsafe { libc::_exit(result.is_err().into()) };
    }

    /// Lets it go on, and returns the signal with which it stops; an error with its exit code if it ends.
    fn resume(&self, request: libc::c_uint) -> Result<i32, i32> {
        // SAFETY: the process is a traced child that is stopped. The request ignores the address, and takes
        // the number of no signal as data.
        let resumed = unsafe { libc::ptrace(request, self.0, 0, 0) };
        assert_eq!(resumed, 0, "ptrace: {}", std::io::Error::last_os_error());
        self.wait()
    }

    /// Returns whether the last instruction was a call of the system whose time was over.
    fn has_timed_out(&self) -> bool {
        // SAFETY: zeros are valid numbers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        let mut bytes = libc::iovec {
            iov_base: (&raw mut registers).cast(),
            iov_len: size_of::<libc::user_regs_struct>(),
        };
        // SAFETY: the process is a traced child that is stopped. The call writes no more bytes than `bytes`
        // tells, and these live until it returns.
        let result = unsafe { libc::ptrace(libc::PTRACE_GETREGSET, self.0, NT_PRSTATUS, &raw mut bytes) };
        assert_eq!(result, 0, "ptrace: {}", std::io::Error::last_os_error());
        #[cfg(target_arch = "x86_64")]
        let result = registers.rax;
        #[cfg(target_arch = "aarch64")]
        let result = registers.regs[0];
        result.cast_signed() == -i64::from(libc::ETIMEDOUT)
    }

    fn wait(&self) -> Result<i32, i32> {
        let mut status = 0;
        // SAFETY: `status` lives until the call returns.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0);
        assert!(!libc::WIFSIGNALED(status), "the child was ended by signal {}", libc::WTERMSIG(status));
        if libc::WIFSTOPPED(status) { Ok(libc::WSTOPSIG(status)) } else { Err(libc::WEXITSTATUS(status)) }
    }
}

/// Runs `operation` in a child process, and calls `look` after each of its instructions with their number.
/// Then `verify` gets the result, in the child, where it may panic. Returns how many instructions there were.
///
/// The child inherits everything by `fork`, so `operation` may use open segments.
pub(super) fn step<T>(
    operation: impl FnOnce() -> T,
    verify: impl FnOnce(T),
    mut look: impl FnMut(u64),
) -> u64 {
    let child = Child::start(operation, verify);
    assert_eq!(child.wait(), Ok(libc::SIGSTOP), "the child stops before the operation");
    let mut steps = 0;
    loop {
        match child.resume(libc::PTRACE_SINGLESTEP) {
            Ok(libc::SIGTRAP) => {
                steps += 1;
                assert!(steps < MOST_STEPS, "the operation doesn't end");
                look(steps);
            }
            Ok(libc::SIGSTOP) => break,
            other => panic!("the child has ended too early, or was stopped by another signal: {other:?}"),
        }
    }
    assert_eq!(child.resume(libc::PTRACE_CONT), Err(0), "the operation has failed in the child");
    steps
}

/// Runs `operation` in single steps, and kills it after the step `at`.
pub(super) fn kill_at(operation: impl FnOnce(), at: u64) {
    let child = Child::start(operation, drop);
    assert_eq!(child.wait(), Ok(libc::SIGSTOP), "the child stops before the operation");
    for _ in 0..at {
        if child.resume(libc::PTRACE_SINGLESTEP) != Ok(libc::SIGTRAP) {
            break;
        }
    }
}

/// The two ways of an operation that waits.
#[derive(Debug)]
pub(super) struct Interrupted {
    /// The instructions that were run one at a time.
    pub(super) steps: u64,
    /// True if a sleep behind them has taken its whole time.
    pub(super) has_slept: bool,
}

/// Runs `operation` in single steps, up to the step `at` or up to a sleep that takes its whole time. Then
/// calls `publish`, and lets the operation go on to its end.
pub(super) fn interrupt(operation: impl FnOnce(), at: u64, publish: impl FnOnce()) -> Interrupted {
    let child = Child::start(operation, drop);
    assert_eq!(child.wait(), Ok(libc::SIGSTOP), "the child stops before the operation");
    let (mut steps, mut has_slept) = (0, false);
    while steps < at && !child.has_timed_out() {
        assert_eq!(child.resume(libc::PTRACE_SINGLESTEP), Ok(libc::SIGTRAP), "the operation sleeps");
        steps += 1;
    }
    publish();
    // Stops at each call of the system, and behind it.
    while child.resume(libc::PTRACE_SYSCALL) == Ok(libc::SIGTRAP) {
        has_slept |= child.has_timed_out();
    }
    assert_eq!(child.resume(libc::PTRACE_CONT), Err(0), "the operation has failed in the child");
    Interrupted { steps, has_slept }
}

/// Returns whether a process may trace its children here. Containers and emulators may not allow it.
pub(super) fn is_possible() -> bool {
    let child = Child::start(|| (), drop);
    match child.wait() {
        Ok(_) => true,
        Err(code) => {
            assert_eq!(code, REFUSED);
            false
        }
    }
}

/// Returns whether all sizes and positions are tried, as `./build.sh soak` does.
pub(super) fn is_thorough() -> bool {
    rounds(1) > 1
}
