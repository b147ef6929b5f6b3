//! What a caller chooses about a segment. The systems below know these words, and so does what stands above them.

/// Who may open a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This user only. POSIX: mode 0600, whatever the umask. Windows: a name of this session, and an access list with
    /// this user and the system.
    Local,
    /// Every user of the machine. POSIX: mode 0666, whatever the umask. Windows: a name of the machine, for which the
    /// privilege to create global objects is needed, and an access list that lets everybody read and write.
    Global,
}

/// What an opener wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Read; writing is [`Error::ReadOnly`](crate::Error::ReadOnly).
    ReadOnly,
}

/// When a segment's name goes. On Windows, whatever is asked for: with the last one who has it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// With its creator. If the creator is killed, the next one to create the name reclaims it.
    Owner,
    /// When somebody removes it, or the system restarts. Windows has nothing of the kind: see [`can_persist`](crate::can_persist).
    Persistent,
}

/// Where the memory of a segment comes from. Each has names of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// The shared memory that the system itself gives names to: `shm_open(3)`, or a section that the page file backs.
    #[default]
    Native,
    /// A file: its path is the name, its content the memory. For programs that can only map files.
    ///
    /// It stays until somebody removes it, whatever the [`Lifetime`]. A link is never followed to it.
    File,
    /// System V (`shmget(2)`), on Linux: the key is the hash of the name that the Node package
    /// `@markusjx/shared_memory` computes.
    ///
    /// The name goes with its creator, or stays if that is killed: nobody reclaims it.
    SystemV,
    /// Memory without a name (`memfd_create(2)`), on Linux: a file in `$XDG_RUNTIME_DIR` says which process has it, as
    /// shared-memory-zig does it. It is for this user alone, and goes with its creator.
    Memfd,
}
