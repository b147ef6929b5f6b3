//! A file system that a program serves (`fuse(4)`), with one file: `file`, all zeros.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

const SIZE: u64 = 8192;

/// The requests that get an answer (linux/fuse.h).
const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
/// These get none.
const SILENT: [u32; 3] = [2, 36, 42];

/// Calls `body` in a thread that sees the file system at `folder`, which exists. Returns `None` where nothing
/// can be mounted.
pub fn with_fuse<T: Send>(folder: &Path, body: impl FnOnce() -> T + Send) -> Option<T> {
    let device = File::options().read(true).write(true).open("/dev/fuse").ok()?;
    let served = device.try_clone().unwrap();
    std::thread::scope(|scope| {
        let mounted = scope.spawn(move || {
            let mounted = mount(&device, folder);
            println!("mount: {mounted:?}");
            drop(device);
            mounted.ok()?;
            // Not before: until then, there is nothing to read, and the read fails.
            scope.spawn(move || serve(served));
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            let folder = CString::new(folder.to_str().unwrap()).unwrap();
            // SAFETY: the path ends in NUL. The server then ends.
            unsafe { libc::umount2(folder.as_ptr(), libc::MNT_DETACH) };
            Some(result.unwrap())
        });
        mounted.join().unwrap()
    })
}

/// Mounts it for this thread alone.
fn mount(device: &File, folder: &Path) -> std::io::Result<()> {
    let checked = |result| if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    let (kind, folder) = (c"fuse", CString::new(folder.to_str().unwrap())?);
    let options = CString::new(format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd()))?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: the calls take flags and texts that end in NUL, or null where there is none.
    unsafe {
        checked(libc::unshare(libc::CLONE_NEWNS))?;
        let private = libc::MS_REC | libc::MS_PRIVATE;
        checked(libc::mount(c"none".as_ptr(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()))?;
        checked(libc::mount(kind.as_ptr(), folder.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()))
    }
}

/// Answers until the file system is unmounted, or was never mounted.
fn serve(mut device: File) {
    let mut request = vec![0; 1 << 18];
    while let Ok(length) = device.read(&mut request) {
        let u32_at = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
        let (operation, node) = (u32_at(4), u32_at(16));
        if length < 40 || SILENT.contains(&operation) {
            continue;
        }
        let mut error = 0;
        let body: Vec<u8> = match operation {
            INIT => numbers(&[7, 31, 1 << 16, 0, 0, 1 << 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            LOOKUP => {
                // Node 2, valid for a second.
                let head = numbers(&[2, 0, 0, 0, 1, 0, 1, 0, 0, 0]);
                [head, attributes(2)].concat()
            }
            GETATTR => [numbers(&[1, 0, 0, 0]), attributes(node)].concat(),
            OPEN => vec![0; 16],
            READ => vec![0; u32_at(40 + 16) as usize],
            STATFS => vec![0; 80],
            RELEASE | FLUSH => Vec::new(),
            _ => {
                error = -libc::ENOSYS;
                Vec::new()
            }
        };
        let mut answer = numbers(&[16 + body.len() as u32, error.cast_unsigned()]);
        answer.extend_from_slice(&request[8..16]);
        answer.extend(body);
        let _ = device.write(&answer);
    }
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn attributes(node: u32) -> Vec<u8> {
    let (mode, size) = if node == 1 { (0o40777, 0) } else { (0o100_666, SIZE as u32) };
    // Inode, size, blocks, three times and their nanoseconds; mode, links, user, group, device, block, flags.
    numbers(&[node, 0, size, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0])
}
