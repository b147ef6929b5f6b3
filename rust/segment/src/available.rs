//! Available memory, for a caller that would rather be refused than killed.
//!
//! Linux hands out addresses without memory behind them, and kills a process when none is left. So a large
//! allocation that succeeds proves little (`proc(5)`, `/proc/sys/vm/overcommit_memory`).

/// Returns how many more bytes this process could use, as far as the system tells.
///
/// On Linux, that is the smaller one of two numbers. One is what the whole system has available
/// (`proc_meminfo(5)`), the other is the rest of a limit on this process's control group (`cgroups(7)`).
/// Returns `None` on other systems, and where nothing is known.
#[must_use]
pub fn available_memory() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        linux::available(std::path::Path::new("/"))
    }
    #[cfg(not(target_os = "linux"))]
    {
        None
    }
}

/// The size in bytes from which [`has_room_for`] asks the system. To ask takes longer than to copy a few
/// bytes, so less than this always counts as available.
pub const UNCHECKED_BELOW: u64 = 1 << 24;

/// Returns whether this process could use `bytes` more bytes, as far as [`available_memory`] tells. Less
/// than [`UNCHECKED_BELOW`] bytes always count as available.
#[must_use]
pub fn has_room_for(bytes: u64) -> bool {
    bytes < UNCHECKED_BELOW || available_memory().is_none_or(|available| bytes <= available)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Returns the least of what the system and its control groups allow. `root` is where `proc` and `sys`
    /// are.
    pub(super) fn available(root: &Path) -> Option<u64> {
        [system(root), group_v2(root), group_v1(root)].into_iter().flatten().min()
    }

    fn system(root: &Path) -> Option<u64> {
        Some(meminfo(root, "MemAvailable:")?.saturating_add(free_swap(root)))
    }

    fn free_swap(root: &Path) -> u64 {
        meminfo(root, "SwapFree:").unwrap_or(0)
    }

    fn meminfo(root: &Path, name: &str) -> Option<u64> {
        let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
        Some(field(&text, name)?.saturating_mul(1024))
    }

    /// Returns the number after `name` in a file with one name and number per line.
    fn field(text: &str, name: &str) -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Returns the least that is left in this process's group and its ancestors. The line of a group is
    /// `0::/path`.
    fn group_v2(root: &Path) -> Option<u64> {
        let path = group(root, |hierarchy, _| hierarchy == "0")?;
        let top = root.join("sys/fs/cgroup");
        let here = top.join(path.trim_start_matches('/'));
        here.ancestors()
            .take_while(|group| group.starts_with(&top))
            .filter_map(|group| {
                let swap = rest(group, "memory.swap.max", "memory.swap.current", &[]).unwrap_or(u64::MAX);
                let caches = ["inactive_file ", "active_file ", "slab_reclaimable "];
                let memory = rest(group, "memory.max", "memory.current", &caches)?;
                Some(memory.saturating_add(swap.min(free_swap(root))))
            })
            .min()
    }

    /// Returns what is left in this process's group. Its line is `4:memory:/path`. In a container, the path
    /// may exist on the host only.
    fn group_v1(root: &Path) -> Option<u64> {
        let path = group(root, |_, names| names.split(',').any(|name| name == "memory"))?;
        let top = root.join("sys/fs/cgroup/memory");
        let rest_of = |group: PathBuf| {
            let caches = ["total_inactive_file ", "total_active_file "];
            rest(&group, "memory.limit_in_bytes", "memory.usage_in_bytes", &caches)
        };
        rest_of(top.join(path.trim_start_matches('/'))).or_else(|| rest_of(top))
    }

    /// Returns the path of this process's group, of which `is_wanted` accepts the hierarchy and the
    /// controllers.
    fn group(root: &Path, is_wanted: impl Fn(&str, &str) -> bool) -> Option<String> {
        let text = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
        text.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            is_wanted(hierarchy, controllers).then(|| path.to_owned())
        })
    }

    /// Returns the rest of a group's limit. It includes cached pages of files, which the system can drop.
    fn rest(group: &Path, limit: &str, used: &str, caches: &[&str]) -> Option<u64> {
        let number = |name| -> Option<u64> { fs::read_to_string(group.join(name)).ok()?.trim().parse().ok() };
        // Without a limit, the file holds `max`, which is not a number.
        let free = number(limit)?.saturating_sub(number(used)?);
        let statistics = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let caches = caches.iter().filter_map(|name| field(&statistics, name));
        Some(caches.fold(free, u64::saturating_add))
    }

    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    mod tests {
        use super::*;

        /// Returns what a system with these files has available.
        fn available_with(files: &[(&str, &str)]) -> Option<u64> {
            let root = std::env::temp_dir().join(crate::generate_name("available").unwrap());
            // Fails if the folder exists: it is removed with its contents at the end.
            fs::create_dir(&root).unwrap();
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let found = available(&root);
            let _ = fs::remove_dir_all(&root);
            found
        }

        const MEMINFO: (&str, &str) =
            ("proc/meminfo", "MemTotal: 900 kB\nMemAvailable:     100 kB\nSwapFree: 50 kB\n");

        #[test]
        fn memory_and_swap_count() {
            assert_eq!(available_with(&[MEMINFO]), Some(150 * 1024));
            assert_eq!(available_with(&[("proc/meminfo", "MemAvailable: 7 kB\n")]), Some(7 * 1024));
            assert_eq!(available_with(&[("proc/meminfo", "MemTotal: 7 kB\n")]), None);
            assert_eq!(available_with(&[]), None);
        }

        #[test]
        fn the_narrowest_control_group_limits() {
            let files = [
                MEMINFO,
                ("proc/self/cgroup", "0::/games/one\n"),
                ("sys/fs/cgroup/games/one/memory.max", "max\n"),
                ("sys/fs/cgroup/games/one/memory.current", "5000\n"),
                ("sys/fs/cgroup/games/memory.max", "9000\n"),
                ("sys/fs/cgroup/games/memory.current", "8000\n"),
                ("sys/fs/cgroup/games/memory.stat", "anon 7000\ninactive_file 500\nactive_file 20\n"),
                ("sys/fs/cgroup/games/memory.swap.max", "700\n"),
                ("sys/fs/cgroup/games/memory.swap.current", "600\n"),
            ];
            assert_eq!(available_with(&files), Some(1620));
            assert_eq!(available_with(&files[..7]), Some(1520 + 50 * 1024), "all of the swap");
            assert_eq!(available_with(&files[..4]), Some(150 * 1024), "without a limit");
        }

        #[test]
        fn a_control_group_of_version_1_limits() {
            let files = [
                MEMINFO,
                ("proc/self/cgroup", "5:cpu:/\n4:memory:/docker/abc\n0::/\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "9500\n"),
                ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 15\ntotal_active_file 5\n"),
                ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "8000\n"),
                ("sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "1000\n"),
            ];
            assert_eq!(available_with(&files), Some(7000));
            assert_eq!(available_with(&files[..5]), Some(20), "the path exists on the host only");
        }
    }
}
