//! Detects CUDA calls of this program that do not reach us, and says so once, loudly.
#![allow(unsafe_code)] // it asks the dynamic linker who answers a name
use crate::symbols::elf;
use crate::symbols::entry::Entry;
use crate::symbols::glibc::real_dlsym;
use crate::sys::lock::{Mutex, rank};
use crate::sys::log;
use core::ffi::{CStr, c_void};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// No more functions than this are reported by name.
const NAMED: usize = 8;

/// Whether a file was opened with `RTLD_DEEPBIND`, as the user wishes: perhaps before CUDA is initialised.
static DEEPBIND: AtomicBool = AtomicBool::new(false);

/// A file is opened with `RTLD_DEEPBIND`. True for the first one.
pub fn note_deepbind() -> bool {
    !DEEPBIND.swap(true, Relaxed)
}

#[derive(Debug, Default)]
pub struct BypassDetector(Mutex<State, { rank::LEAF }>);

#[derive(Debug, Default)]
struct State {
    /// For the scheduler's operator, not yet sent.
    reports: Vec<String>,
    unknown: BTreeSet<String>,
    bypassed: u64,
}

impl BypassDetector {
    /// Asks the dynamic linker for two names as the program's own calls do: the answer must lie in this library. (Our
    /// own pointers to them are no measure: the linker gives those the other's address too.)
    pub fn check(&self) {
        if DEEPBIND.load(Relaxed) {
            self.deepbind();
        }
        let here = owner(Self::check as *mut c_void);
        for name in [c"dlsym", c"cuLaunchKernel"] {
            let by = owner(real_dlsym(libc::RTLD_DEFAULT, name));
            if by != here {
                self.report(format!(
                    "{} is answered by {by}, which stands before libnvshare.so: calls made there are not managed",
                    name.to_string_lossy()
                ));
            }
        }
    }

    /// The program has looked up a driver function that this library does not know.
    pub fn looked_up(&self, name: &CStr) {
        let name = name.to_string_lossy();
        let mut state = self.0.lock();
        if state.unknown.len() < NAMED && state.unknown.insert(name.to_string()) {
            drop(state);
            self.report(format!("the program looks up {name}, which this version of nvshare does not know"));
        }
    }

    /// Work was found on the device while the gate was shut and nothing of ours was under way.
    pub fn bypassed_work(&self) {
        let mut state = self.0.lock();
        state.bypassed += 1;
        let count = state.bypassed;
        drop(state);
        // The first one, and then ever more rarely.
        if count.is_power_of_two() {
            self.report(format!(
                "the program uses CUDA around libnvshare.so: its work ran outside of its turn ({count} times)"
            ));
        }
    }

    /// A driver was found that is loaded in another namespace.
    pub fn in_another_namespace(&self) {
        self.report(
            "the program has loaded a driver into a namespace of its own (dlmopen): calls made there are not managed"
                .to_owned(),
        );
    }

    /// The program has loaded something with `RTLD_DEEPBIND`, which finds its own names before ours, as the user wishes.
    pub fn deepbind(&self) {
        self.report(
            "the program loads with RTLD_DEEPBIND, which NVSHARE_DEEPBIND=1 leaves to it: what is loaded so may make \
             calls that are not managed"
                .to_owned(),
        );
    }

    fn report(&self, text: String) {
        log::warning!("{text}");
        self.0.lock().reports.push(text);
    }

    /// What the scheduler has not been told yet: once.
    pub fn take_reports(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().reports)
    }
}

/// Whether this library knows the driver's function `name`, under this name or with one of the suffixes that the driver
/// adds on lookup.
pub fn is_decided(name: &str) -> bool {
    let is = |known: &str| {
        known
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("_v") || rest.starts_with("_pt"))
    };
    Entry::ALL.iter().any(|entry| is(entry.name()))
        || nvshare_abi::PASSTHROUGH.iter().any(|group| group.names.iter().any(|known| is(known)))
}

/// The file in which the address lies.
fn owner(address: *mut c_void) -> String {
    let file = elf::file_of(address);
    let name = file.as_ref().and_then(elf::name_of);
    name.map_or_else(|| "nobody".into(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decided_with_the_drivers_suffixes_and_no_others() {
        for name in ["cuLaunchKernel", "cuMemAlloc", "cuGetErrorName", "cuMemcpyHtoD", "cuCtxSetCurrent"] {
            assert!(is_decided(name), "{name}");
        }
        for name in ["", "cu", "cuLaunch_", "cuNoSuchFunction", "cuMemAllo"] {
            assert!(!is_decided(name), "{name}");
        }
    }

    #[test]
    fn what_is_found_is_told_once() {
        let detector = BypassDetector::default();
        for _ in 0..5 {
            detector.looked_up(c"cuNoSuchFunction");
            detector.bypassed_work();
        }
        let reports = detector.take_reports();
        assert_eq!(reports.iter().filter(|line| line.contains("cuNoSuchFunction")).count(), 1);
        assert_eq!(
            reports.iter().filter(|line| line.contains("outside of its turn")).count(),
            3,
            "1, 2 and 4"
        );
        assert!(detector.take_reports().is_empty());
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the dynamic linker")]
    fn the_owner_of_an_address_is_a_file() {
        assert!(owner(real_dlsym(libc::RTLD_DEFAULT, c"malloc")).contains(".so"));
        assert_eq!(owner(core::ptr::null_mut()), "nobody");
    }
}
