//! How the process gives memory back to the system.

/// From this size on an allocation is a mapping of its own, in bytes: page images (12 MB at
/// 200 pixels per inch) and tensors, not the small things.
const OWN_MAPPING: libc::c_int = 1 << 20;

/// Makes what is freed in large pieces go back to the system at once.
///
/// glibc raises the limit above which it maps an allocation by itself whenever such a one is freed
/// (`mallopt(3)`, `M_MMAP_THRESHOLD`): after the first page, images would come from the arenas of
/// the threads, which keep them; a dozen arenas of 50 MB were seen. Naming the limit ends that.
///
/// To be called before any other thread runs.
pub fn give_back() {
    // SAFETY: mallopt takes two integers and touches the allocator's settings only; it is unsafe
    // beside other threads that allocate (glibc manual, "MT-Unsafe init"), and there are none yet.
    let set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING) };
    debug_assert_eq!(set, 1, "mallopt refuses the mapping threshold");
}
