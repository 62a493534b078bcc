use super::*;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// What comes with a grant of so many bytes of a file of which `had` are mapped.
fn mapped(file: &OwnedFd, had: u64, bytes: u64) -> SwapGrant {
    let new = FileMapping::whole(bytes).saturating_sub(had);
    let mapping = (new > 0).then(|| FileMapping::new(file.as_raw_fd(), had, new).unwrap());
    SwapGrant { anew: had == 0, mappings: mapping.into_iter().collect(), failed: None }
}

#[test]
#[cfg_attr(miri, ignore = "memfd_create(2)")]
fn whole_granules_of_a_grant_are_used_and_the_next_grant_goes_on_after_them() {
    // SAFETY: a NUL-terminated name; the new descriptor belongs to nobody else.
    let file = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"swap".as_ptr(), libc::MFD_CLOEXEC)) };
    let space = SwapSpace::default();
    space.scheduler_connected();
    assert_eq!(space.next_request(), Some(FIRST));
    assert!(!space.on_grant(3 * GRANULE + 5, mapped(&file, 0, 3 * GRANULE + 5)).unwrap());
    assert_eq!(space.capacity(), 3 * GRANULE);
    space.on_grant(4 * GRANULE, mapped(&file, 3 * GRANULE, 4 * GRANULE)).unwrap();
    assert_eq!(space.capacity(), 4 * GRANULE);
    assert!(space.try_allocate_slot(GRANULE).is_some());
    space.on_grant(GRANULE - 1, mapped(&file, 4 * GRANULE, GRANULE - 1)).unwrap();
    assert_eq!((space.offered(), space.capacity()), (Some(false), 4 * GRANULE));
}

#[test]
#[cfg_attr(miri, ignore = "memfd_create(2)")]
fn a_mapping_is_in_no_core_dump_and_in_no_forked_child() {
    // SAFETY: a NUL-terminated name; the new descriptor belongs to nobody else.
    let file = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"swap".as_ptr(), libc::MFD_CLOEXEC)) };
    let mapping = FileMapping::new(file.as_raw_fd(), 0, GRANULE).unwrap();
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let ours = smaps.split_once(&format!("{:x}-", mapping.at)).unwrap().1;
    let flags = ours.lines().find(|line| line.starts_with("VmFlags:")).unwrap();
    for flag in [" dd", " dc"] {
        assert!(flags.contains(flag), "{flag} in {flags}");
    }
}

const MIB: u64 = 1 << 20;

/// What a process of these allocations is given by a scheduler that has all it wants, and how often it asks.
fn load(allocations: &[u64]) -> (u64, usize) {
    // SAFETY: a NUL-terminated name; the new descriptor belongs to nobody else.
    let file = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"swap".as_ptr(), libc::MFD_CLOEXEC)) };
    let space = SwapSpace::default();
    space.scheduler_connected();
    let first = space.next_request().unwrap();
    assert!(space.on_grant(first, mapped(&file, 0, first)).unwrap());
    let waits = std::cell::Cell::new(0);
    for bytes in allocations {
        let answer = || {
            waits.set(waits.get() + 1);
            let wanted = space.next_request().unwrap();
            assert!(space.on_grant(wanted, mapped(&file, space.capacity(), wanted)).unwrap());
        };
        assert!(space.allocate_slot(*bytes, *bytes, answer).unwrap().is_some());
    }
    (space.capacity(), waits.get())
}

/// At most twice what is used, and no more than a step beyond it; asked for seldom.
#[test]
#[cfg_attr(miri, ignore = "memfd_create(2)")]
fn what_is_asked_for_is_in_proportion_to_what_is_used() {
    for (allocations, asks) in [
        (&[2 * MIB][..], 0),
        (&[64 * MIB], 1),
        (&[22 * MIB; 3], 1),
        (&[32 * MIB; 5], 2),
        (&[2 * MIB; 512], 5),
        (&[512 * MIB; 24], 15),
        (&[128 * MIB; 96], 16),
    ] {
        let (held, asked) = load(allocations);
        let used: u64 = allocations.iter().sum();
        let most = (2 * used).min(used + STEP) + FIRST;
        assert!(held <= most && asked <= asks, "{} MiB: {} MiB in {asked}", used / MIB, held / MIB);
    }
}

#[test]
#[cfg_attr(miri, ignore = "memfd_create(2)")]
fn an_allocation_of_several_pieces_asks_once() {
    // SAFETY: a NUL-terminated name; the new descriptor belongs to nobody else.
    let file = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"swap".as_ptr(), libc::MFD_CLOEXEC)) };
    let space = SwapSpace::default();
    space.scheduler_connected();
    let first = space.next_request().unwrap();
    space.on_grant(first, mapped(&file, 0, first)).unwrap();
    let asked = std::cell::Cell::new(0);
    for left in (1..=4).rev() {
        let answer = || {
            asked.set(asked.get() + 1);
            let wanted = space.next_request().unwrap();
            space.on_grant(wanted, mapped(&file, space.capacity(), wanted)).unwrap();
        };
        assert!(space.allocate_slot(512 * MIB, left * 512 * MIB, answer).unwrap().is_some());
    }
    assert!(asked.get() <= 2, "for itself, and ahead: {}", asked.get());
}
