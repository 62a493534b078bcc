//! Where the driver's own functions live. The only module that turns an address into a function.
#![allow(unsafe_code)] // it opens the driver and gives its addresses their types
use crate::entry::Entry;
use crate::find;
use core::ffi::{CStr, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::*};

static REAL: [AtomicPtr<c_void>; Entry::COUNT] = [const { AtomicPtr::new(null_mut()) }; Entry::COUNT];

/// The driver's library, or null where there is none. Asked again until it is there.
fn libcuda() -> *mut c_void {
    static LIBCUDA: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    let known = LIBCUDA.load(Acquire);
    if !known.is_null() {
        return known;
    }
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: the driver's initialisers are NVIDIA's; a process that looks up or calls a CUDA function
    // runs them anyway. An already loaded library only gets one more reference.
    let Ok(library) = (unsafe { Library::open(Some("libcuda.so.1"), RTLD_NOW | RTLD_LOCAL) }) else {
        return null_mut();
    };
    let handle = library.into_raw();
    LIBCUDA.store(handle, Release);
    handle
}

/// The driver's function of that name, or null if this driver lacks it.
fn symbol(name: &CStr) -> *mut c_void {
    let library = libcuda();
    if library.is_null() { null_mut() } else { find::real_dlsym(library, name) }
}

#[inline]
fn in_slot(slot: &AtomicPtr<c_void>, name: impl FnOnce() -> &'static CStr) -> *mut c_void {
    let known = slot.load(Acquire);
    if !known.is_null() {
        return known;
    }
    let found = symbol(name());
    slot.store(found, Release);
    found
}

/// The driver's function behind `entry`, or null if this driver lacks it.
#[inline]
pub fn address(entry: Entry) -> *mut c_void {
    in_slot(&REAL[entry as usize], || entry.c_name())
}

/// The entry whose driver function is at `wanted`: how an answer of the driver's own lookup is
/// recognised without knowing any of NVIDIA's version rules.
pub fn entry_at(wanted: *mut c_void) -> Option<Entry> {
    static BY_ADDRESS: std::sync::OnceLock<Vec<(usize, Entry)>> = std::sync::OnceLock::new();
    let sorted = BY_ADDRESS.get_or_init(|| {
        let mut all: Vec<_> = Entry::ALL.iter().map(|entry| (address(*entry) as usize, *entry)).collect();
        all.retain(|(address, _)| *address != 0);
        all.sort_by_key(|(address, _)| *address);
        all
    });
    sorted.binary_search_by_key(&(wanted as usize), |(address, _)| *address).ok().map(|found| sorted[found].1)
}

/// The driver's functions for our own use, by name and with their types. None passes the gate.
pub mod driver {
    // NVIDIA's names, arguments and contracts; not every row is called.
    #![allow(non_snake_case, dead_code, clippy::too_many_arguments, clippy::missing_safety_doc)]
    use super::*;
    use nvshare_abi::*;

    macro_rules! callers {
        ($( $sym:ident ( $($arg:ident : $ty:ty),* $(,)? ) => $policy:ident ( $($parg:ident),* $(,)? ); )*) => {$(
            /// NVIDIA's function of the same name; `CUresult::ERROR_NOT_FOUND` if this driver lacks it.
            pub unsafe fn $sym($($arg: $ty),*) -> CUresult {
                static SLOT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
                const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($sym), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => unreachable!(),
                };
                let address = in_slot(&SLOT, || NAME);
                if address.is_null() {
                    return CUresult::ERROR_NOT_FOUND;
                }
                type Driver = unsafe extern "C" fn($($ty),*) -> CUresult;
                // SAFETY: the address was looked up under this row's name, and the type is this row's
                // signature, which is checked against NVIDIA's header.
                let function = unsafe { core::mem::transmute::<*mut c_void, Driver>(address) };
                // SAFETY: the caller keeps this function's contract.
                unsafe { function($($arg),*) }
            }
        )*};
    }
    nvshare_abi::cuda_table!(callers);
    nvshare_abi::cuda_more!(callers);
}
