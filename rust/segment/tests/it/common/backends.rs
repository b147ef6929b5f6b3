//! What the tests of backends share: places where each puts its segments.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use shm_segment::{Backend, Options};

/// Those that this system has.
#[cfg(target_os = "linux")]
pub const BACKENDS: [Backend; 4] = [Backend::Native, Backend::File, Backend::SystemV, Backend::Memfd];
#[cfg(not(target_os = "linux"))]
pub const BACKENDS: [Backend; 2] = [Backend::Native, Backend::File];

/// What `partner/backends.py` calls them.
pub const OF_PYTHON: [(Backend, &str); 3] =
    [(Backend::File, "file"), (Backend::SystemV, "sysv"), (Backend::Memfd, "memfd")];

/// A folder of this test program, which is also where memfds' meta files go.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(shm_segment::generate_name("rust-test").unwrap());
    // SAFETY: whoever reads the environment in this program does it through Rust's own functions, which wait for
    // each other; each test comes through here before it calls what reads this variable.
    unsafe { std::env::set_var("XDG_RUNTIME_DIR", &folder) };
    folder
});

/// How many places are in use. The folder is there as long as any is.
static IN_USE: Mutex<usize> = Mutex::new(0);

pub fn folder() -> &'static Path {
    &FOLDER
}

/// A name that nobody else has; what has it at the end is removed.
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

    /// The file that leads to the memory, or is it.
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

/// The partner, who knows nothing of this crate.
pub fn python() -> std::process::Command {
    let mut command = std::process::Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/partner/backends.py"));
    command
}

/// Runs `body` as a user that owns nothing, and tells it whether it does: only root can become another user.
#[cfg(target_os = "linux")]
pub fn as_nobody(body: impl FnOnce(bool) + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            const NOBODY: libc::c_long = 65534;
            // SAFETY: numbers only. Not `setresuid(3)`, which changes all threads; this thread ends soon.
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1_i64, NOBODY, -1_i64) } == 0;
            if !changed {
                println!("not root: this user stays the owner");
            }
            body(changed);
        });
    });
}
