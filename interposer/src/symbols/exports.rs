//! The C face: one exported function per row, all alike.
#![allow(non_snake_case, unsafe_code)] // C functions under NVIDIA's names that call the driver behind them
#![allow(clippy::too_many_arguments)] // NVIDIA's
use super::entry::Entry;
use crate::{calls, dispatch, driver};
use nvshare_abi::*;

macro_rules! exports {
    ($( $sym:ident ( $($arg:ident : $ty:ty),* $(,)? ) => $handler:ident ( $($parg:ident),* $(,)? ); )*) => {$(
        /// # Safety
        /// As NVIDIA's function of the same name.
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $sym($($arg: $ty),*) -> CUresult {
            let address = driver::address(Entry::$sym);
            if address.is_null() {
                return CUresult::ERROR_NOT_FOUND;
            }
            type Driver = unsafe extern "C-unwind" fn($($ty),*) -> CUresult;
            // SAFETY: the address was looked up under this row's name, and the type is this row's
            // signature, which is checked against NVIDIA's header.
            let driver = unsafe { core::mem::transmute::<*mut c_void, Driver>(address) };
            dispatch::call(
                Entry::$sym,
                // SAFETY: the caller's own arguments, passed on unchanged.
                || unsafe { driver($($arg),*) },
                |needs| calls::$handler(needs $(, $parg)*),
            )
        }
    )*

    /// What the application gets in the driver's place.
    pub fn address(entry: Entry) -> *mut c_void {
        match entry { $(Entry::$sym => $sym as *mut c_void),* }
    }
    };
}
nvshare_abi::cuda_table!(exports);
