//! Helpers of all tests: names that are cleaned up, and other processes.

#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows))]
pub mod backends;
#[cfg(target_os = "linux")]
pub mod fuse;
pub mod layouts;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
pub mod native;
pub mod oracle;
#[cfg(target_os = "linux")]
mod posix;
#[cfg(all(unix, not(target_os = "linux")))]
#[path = "shm_open.rs"]
mod posix;
#[cfg(target_os = "linux")]
pub mod private_shm;
pub mod random;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
pub mod wire;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(unix)]
pub use posix::{Foreign, RESERVING, is_as_created, leave_a_dead_owner, whole};
#[cfg(windows)]
pub use windows::{Foreign, RESERVING, is_as_created, leave_a_dead_owner, whole, wide};

/// Sets a flag when it is dropped. Threads that go on until then end, too, when the test fails.
pub struct SetAtEnd<'a>(pub &'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A name that nothing else has. It is removed at the end, whatever the test has left there.
pub struct Name(pub String);

impl Name {
    pub fn new() -> Self {
        Self(shm_segment::generate_name("rust-test").unwrap())
    }

    pub fn exists(&self) -> bool {
        shm_segment::Options::new(self).exists()
    }

    pub fn remove(&self) -> shm_segment::Result<()> {
        shm_segment::Options::new(self).remove()
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// This test program, started again as another process. It runs a test that reads commands from its standard
/// input, one per line, and answers each with a line.
pub struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    pub fn start(test: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", test, "--nocapture", "--quiet", "--test-threads=1"])
            .env("SHM_SEGMENT_PEER", "1");
        let peer = Self::of(&mut command);
        #[cfg(windows)]
        let peer = peer.or_started_again(&mut command);
        peer
    }

    /// Starts the program once more if it has ended before its first line. Under load, Wine sometimes loses a
    /// process before any code of ours runs.
    #[cfg(windows)]
    fn or_started_again(mut self, command: &mut Command) -> Self {
        let mut line = String::new();
        if self.from.read_line(&mut line).unwrap() != 0 {
            return self;
        }
        println!("a process was started once more: it had ended before its first line");
        Self::of(command)
    }

    /// Starts another program, in C: `partner/partner.c`.
    #[cfg(windows)]
    pub fn partner() -> Self {
        let program = std::env::var_os("SHM_SEGMENT_PARTNER").expect(
            "SHM_SEGMENT_PARTNER must name the built partner/partner.c, as ./build.sh test-windows sets it",
        );
        Self::of(&mut Command::new(program))
    }

    /// Starts another program, which answers as `serve` does.
    pub fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        Self { child, to, from }
    }

    /// Sends a command without waiting for the answer.
    pub fn send(&mut self, command: &str) {
        writeln!(self.to, "{command}").unwrap();
    }

    /// Waits for the next answer.
    pub fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.from.read_line(&mut line).unwrap(), 0, "the peer has ended");
            // The test harness prints to the same stream.
            if let Some(at) = line.find("answer: ") {
                return line[at + "answer: ".len()..].trim_end().to_owned();
            }
        }
    }

    pub fn ask(&mut self, command: &str) -> String {
        self.send(command);
        self.answer()
    }

    /// Waits until it has ended by itself, and returns its exit code.
    #[cfg(windows)]
    pub fn exit_code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    #[cfg(target_os = "linux")]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it, as a debugger does.
    #[cfg(target_os = "linux")]
    pub fn stop(&self) {
        self.signal(libc::SIGSTOP);
        wait_for_state(self.child.id(), "T");
    }

    /// Kills it, and leaves it as a zombie.
    #[cfg(target_os = "linux")]
    pub fn end_unseen(&self) {
        self.signal(libc::SIGKILL);
        wait_for_state(self.child.id(), "Z");
    }

    #[cfg(target_os = "linux")]
    fn signal(&self, signal: i32) {
        // SAFETY: the call takes numbers; the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), signal) }, 0);
    }

    /// Kills it, as SIGKILL does: it can't clean up anything.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a process has this state (`proc_pid_stat(5)`).
#[cfg(target_os = "linux")]
pub fn wait_for_state(process: u32, state: &str) {
    let path = format!("/proc/{process}/stat");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !std::fs::read_to_string(&path).unwrap().rsplit_once(") ").unwrap().1.starts_with(state) {
        assert!(std::time::Instant::now() < end, "the process has another state");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Does nothing unless a [`Peer`] started it.
pub fn serve() {
    use shm_segment::{Access, Lifetime, Options, Segment};
    if std::env::var_os("SHM_SEGMENT_PEER").is_none() {
        return;
    }
    let mut held: Vec<Segment> = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let result = match words[0] {
            "create" => Options::new(words[1]).create(4096),
            "persist" => Options::new(words[1]).lifetime(Lifetime::Persistent).create(4096),
            "open" => Options::new(words[1]).open(0, Access::ReadWrite),
            "open_or_create" => Options::new(words[1]).open_or_create(4096),
            "close" => {
                held.clear();
                println!("answer: closed");
                continue;
            }
            "write" => {
                held[0].write(0, words[1].as_bytes()).unwrap();
                println!("answer: written");
                continue;
            }
            other => panic!("unknown command {other}"),
        };
        match result {
            Ok(segment) => {
                println!("answer: {}", if segment.is_created() { "created" } else { "opened" });
                held.push(segment);
            }
            Err(shm_segment::Error::AlreadyExists { .. }) => println!("answer: exists"),
            Err(e) => println!("answer: {e}"),
        }
    }
}

/// Returns the command that starts this program again, to run a test that is another process's part. That
/// process ends with the calling thread at the latest.
#[cfg(target_os = "linux")]
pub fn this_program(test: &str) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    // SAFETY: `prctl` is a system call that may be made between `fork` and `exec`.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        })
    };
    command
}

/// Starts a process, and waits until it has printed "ready".
#[cfg(target_os = "linux")]
pub fn start_and_wait(command: &mut Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert_ne!(from.read_line(&mut line).unwrap(), 0, "it has ended by itself");
    }
    child
}

/// Runs a test of this program in another process, which must succeed and print `sign`. If the name leads to
/// no test, the process succeeds, too, but prints nothing of the test.
pub fn must_run(command: &mut Command, sign: &str) {
    let ended = command.output().unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    print!("{told}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && told.contains(sign), "{command:?}: {}", ended.status);
}

/// Calls `body` of a test in another process, which must succeed.
#[cfg(target_os = "linux")]
pub fn in_another_process(test: &str, body: impl FnOnce()) {
    const CHILD: &str = "SHM_SEGMENT_CHILD";
    const DONE: &str = "the body has run";
    if std::env::var_os("SHM_SEGMENT_SANITIZED").is_some() {
        println!("skipped: a sanitizer needs what the limit or the sandbox takes away");
        return;
    }
    if std::env::var_os(CHILD).is_some() {
        body();
        println!("{DONE}");
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture", "--quiet", "--include-ignored"]).env(CHILD, "1");
    must_run(&mut child, DONE);
}
