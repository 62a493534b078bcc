//! The driver's functions, for our own use, by name and with their types.
#![allow(unsafe_code)] // it opens the driver and gives its addresses their types
#![allow(non_snake_case, dead_code, clippy::too_many_arguments, clippy::missing_safety_doc)] // NVIDIA's; not all called
use crate::symbols::entry::Entry;
use crate::symbols::glibc;
use core::ffi::{CStr, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::*};
use nvshare_abi::*;

/// The addresses of the functions that we interpose. Each other function has its cache beside its caller.
static INTERPOSED: [AtomicPtr<c_void>; Entry::COUNT] = [const { AtomicPtr::new(null_mut()) }; Entry::COUNT];

/// The driver's library. Null if there is none; then the next call looks for it again.
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
    if library.is_null() { null_mut() } else { glibc::real_dlsym(library, name) }
}

#[inline]
fn cached(cache: &AtomicPtr<c_void>, name: impl FnOnce() -> &'static CStr) -> *mut c_void {
    let known = cache.load(Acquire);
    if !known.is_null() {
        return known;
    }
    let found = symbol(name());
    cache.store(found, Release);
    found
}

/// The driver's function behind `entry`, or null if this driver lacks it.
#[inline]
pub fn address(entry: Entry) -> *mut c_void {
    cached(&INTERPOSED[entry as usize], || entry.c_name())
}

/// The entry whose driver function is at `wanted`. So an answer of the driver's own lookup is recognised without
/// knowledge of NVIDIA's version rules.
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

/// The caller of one row, whose function is at `$address`.
macro_rules! caller {
    ($sym:ident ( $($arg:ident : $ty:ty),* ) at $address:expr) => {
        /// NVIDIA's function of the same name; `CUresult::ERROR_NOT_FOUND` if this driver lacks it.
        pub unsafe fn $sym($($arg: $ty),*) -> CUresult {
            let address = $address;
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
    };
}

macro_rules! interposed {
    ($( $sym:ident ( $($arg:ident : $ty:ty),* $(,)? ) => $handler:ident ( $($parg:ident),* $(,)? ); )*) => {$(
        caller!($sym($($arg: $ty),*) at address(Entry::$sym));
    )*};
}
nvshare_abi::cuda_table!(interposed);

macro_rules! not_interposed {
    ($( $sym:ident ( $($arg:ident : $ty:ty),* $(,)? ) => $handler:ident ( $($parg:ident),* $(,)? ); )*) => {$(
        caller!($sym($($arg: $ty),*) at {
            static ADDRESS: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($sym), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => unreachable!(),
            };
            cached(&ADDRESS, || NAME)
        });
    )*};
}
nvshare_abi::cuda_not_interposed!(not_interposed);
