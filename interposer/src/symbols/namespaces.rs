//! Detects a driver in another namespace of the dynamic linker (`dlmopen`): a copy of its own, which we cannot manage.
//!
//! Such a program may never call us again. So a thread looks for the driver among the files that are mapped. The first
//! `dlmopen` starts it, which hardly any program calls. It looks ever more rarely, and ends when it has found one.
#![allow(unsafe_code)] // it asks the dynamic linker what is loaded
use super::elf::{file_of, name_of};
use crate::sys::{fd_table, log, thread};
use crate::{process, start};
use core::ffi::{c_int, c_void};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::mpsc;
use std::time::Duration;

/// The pause between the first two looks, and the longest pause. What matters is work that lasts for seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How the name of the driver's file begins.
const DRIVER: &str = "libcuda.so";

static WATCHED: AtomicBool = AtomicBool::new(false);

/// The program opens another namespace.
pub fn watch() {
    if WATCHED.swap(true, AcqRel) {
        return;
    }
    if let Err(error) = thread::spawn("nvshare-dlmopen", look) {
        log::debug!("cannot start a thread ({error}): a driver in another namespace is not noticed");
    }
}

fn look() {
    let mut pause = FIRST_PAUSE;
    loop {
        match look_once() {
            Some(true) => break,
            Some(false) => {}
            None => {
                log::debug!(
                    "no table of descriptors of one's own: a driver in another namespace is not noticed"
                );
                return;
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    // Also if the program has not initialised CUDA through us: the operator is to be told.
    start::start();
    if let Some(process) = process::current() {
        process.bypass.in_another_namespace();
    }
}

/// A thread of its own looks, in a table of its own: what it reads has a descriptor, which would have a number that the
/// program counts on, or closes. This thread stays in the program's table, because it may start the agent, which calls the
/// driver. None if no such table is allowed. Where there is no room for a thread now, nothing is seen now.
fn look_once() -> Option<bool> {
    let (say, said) = mpsc::channel();
    let looks = move || {
        let _ = say.send(fd_table::unshare().then(is_there));
    };
    match thread::spawn("nvshare-look", looks) {
        Ok(()) => said.recv().unwrap_or(Some(false)),
        Err(_) => Some(false),
    }
}

/// Whether a driver is mapped that is not loaded in this namespace.
fn is_there() -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let here = here();
    drivers(&maps).any(|start| !here.contains(&start))
}

/// Whether an address lies in a file of another namespace, whose functions we must not replace.
pub fn is_foreign(address: *mut c_void) -> bool {
    file_of(address).is_some_and(is_elsewhere)
}

fn is_elsewhere(file: libc::Dl_info) -> bool {
    WATCHED.load(Acquire) && !here().contains(&(file.dli_fbase as usize))
}

/// Whether an address lies in the driver of this namespace. Other libraries may have functions of the driver's names: for
/// tests, or to load the driver late.
pub fn is_drivers(address: *mut c_void) -> bool {
    let Some(file) = file_of(address) else { return false };
    let last = name_of(&file).and_then(|path| path.to_bytes().rsplit(|byte| *byte == b'/').next());
    last.is_some_and(|last| last.starts_with(DRIVER.as_bytes())) && !is_elsewhere(file)
}

/// The addresses at which drivers are mapped.
fn drivers(maps: &str) -> impl Iterator<Item = usize> {
    maps.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (range, offset) = (words.next()?, words.nth(1)?);
        // A path may have spaces in it.
        let name = line.rsplit('/').next()?;
        let is_driver = name.starts_with(DRIVER) && offset.bytes().all(|digit| digit == b'0');
        let start = range.split('-').next().filter(|_| is_driver)?;
        usize::from_str_radix(start, 16).ok()
    })
}

/// Where the files of this namespace are loaded.
fn here() -> BTreeSet<usize> {
    unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _bytes: usize, here: *mut c_void) -> c_int {
        // SAFETY: the linker's description of a loaded file, and the set below.
        unsafe { (*here.cast::<BTreeSet<usize>>()).insert((*info).dlpi_addr as usize) };
        0
    }
    let mut here = BTreeSet::new();
    // SAFETY: the callback has the type that is asked for, and the set outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut here).cast()) };
    here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_known_by_its_name_and_where_it_begins() {
        let maps = "\
55d0c8a00000-55d0c8a02000 r--p 00000000 08:01 7 /usr/bin/program
7f0000000000-7f0000400000 r--p 00000000 08:01 9 /usr/lib/x86_64-linux-gnu/libcuda.so.580.159.04
7f0000400000-7f0000800000 r-xp 00400000 08:01 9 /usr/lib/x86_64-linux-gnu/libcuda.so.580.159.04
7f1000000000-7f1000400000 r--p 00000000 08:01 8 /usr/lib/libcudart.so.13
7f2000000000-7f2000400000 r--p 00000000 08:01 9 /a b/libcuda.so.1
7f3000000000-7f3000400000 rw-p 00000000 00:00 0
";
        let found: Vec<usize> = drivers(maps).collect();
        assert_eq!(found, [0x7f00_0000_0000, 0x7f20_0000_0000]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the dynamic linker")]
    fn what_is_loaded_here_is_no_driver_elsewhere() {
        assert!(here().len() > 1);
        assert!(!is_there());
    }
}
