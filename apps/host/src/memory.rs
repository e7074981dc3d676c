//! How the allocator of this process behaves.

/// Keeps memory flat over thousands of sessions. Every session has its threads, and glibc would give each of them a heap of
/// its own that pictures and encoders of that session leave holes in; and once a large block was freed, it would stop to
/// give large blocks back to the system. So: two heaps, and everything from 128 KiB on comes from the system and returns
/// to it. That costs a system call where a session begins and ends, and nothing per frame.
pub fn keep_flat() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: mallopt(3) may be called at any time, takes two integers and touches only the allocator's settings.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 2);
            libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024);
        }
    }
}
