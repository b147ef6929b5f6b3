//! Helpers of the tests of backends: names and paths for segments, and a partner in Python.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use shm_segment::{Backend, Options};

/// The backends of this system.
#[cfg(target_os = "linux")]
pub const BACKENDS: [Backend; 4] = [Backend::Native, Backend::File, Backend::SystemV, Backend::Memfd];
#[cfg(not(target_os = "linux"))]
pub const BACKENDS: [Backend; 2] = [Backend::Native, Backend::File];

/// The names of backends in `partner/backends.py`.
pub const OF_PYTHON: [(Backend, &str); 3] =
    [(Backend::File, "file"), (Backend::SystemV, "sysv"), (Backend::Memfd, "memfd")];

/// A folder of this test program. The meta files of memfds go there, too.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(shm_segment::generate_name("rust-test").unwrap());
    // SAFETY: this program reads the environment only through Rust's own functions, which lock it. Each test
    // comes through here before it calls a function that reads this variable.
    unsafe { std::env::set_var("XDG_RUNTIME_DIR", &folder) };
    folder
});

/// The number of places in use. The folder exists while there is any.
static IN_USE: Mutex<usize> = Mutex::new(0);

pub fn folder() -> &'static Path {
    &FOLDER
}

/// A name that nothing else has. A segment that has it at the end is removed.
pub struct Place {
    pub backend: Backend,
    pub name: String,
}

impl Place {
    pub fn options(&self) -> Options<'_> {
        Options::new(&self.name).backend(self.backend)
    }

    pub fn new(backend: Backend) -> Self {
        let mut in_use = IN_USE.lock().unwrap();
        if *in_use == 0 {
            std::fs::create_dir(folder()).unwrap();
        }
        *in_use += 1;
        let name = shm_segment::generate_name("rust-test").unwrap();
        let name = match backend {
            Backend::File => folder().join(name).into_os_string().into_string().unwrap(),
            _ => name,
        };
        Self { backend, name }
    }

    /// Returns the path of the file that leads to the memory, or is the memory.
    pub fn path(&self) -> PathBuf {
        match self.backend {
            Backend::Memfd => folder().join(format!(".memfd_{}.meta", self.name)),
            _ => PathBuf::from(&self.name),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Options::new(&self.name).backend(self.backend).remove();
        if matches!(self.backend, Backend::File | Backend::Memfd) {
            let _ = std::fs::remove_file(self.path());
        }
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        *in_use -= 1;
        if *in_use == 0 {
            let left = std::fs::remove_dir(folder());
            assert!(left.is_ok() || std::thread::panicking(), "left in {}: {left:?}", folder().display());
        }
    }
}

/// Returns the partner, which shares no code with this crate.
pub fn python() -> std::process::Command {
    let mut command = std::process::Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/partner/backends.py"));
    command
}

/// Runs `body` as a user that owns nothing, and tells it whether that worked: only root can become another
/// user.
#[cfg(target_os = "linux")]
pub fn as_nobody<T: Send>(body: impl FnOnce(bool) -> T + Send) -> T {
    std::thread::scope(|scope| {
        let other = || {
            const NOBODY: libc::c_long = 65534;
            // SAFETY: the call takes numbers only. Unlike `setresuid(3)`, it changes this thread only, which
            // ends soon.
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1_i64, NOBODY, -1_i64) } == 0;
            if !changed {
                println!("not root: this user stays the owner");
            }
            body(changed)
        };
        scope.spawn(other).join().unwrap()
    })
}
