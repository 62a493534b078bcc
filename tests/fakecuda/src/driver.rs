//! The form in which driver calls are written: `symbol | twin (args) |on| { body }`.
use crate::fail;
use crate::sim::process::Process;
use nvshare_abi::CUresult;

pub type Outcome = Result<(), CUresult>;

/// Makes exported functions. Where there is a twin, it differs in what a null stream means (`on`). Symbols
/// must stand at the start of a line: the build script reads them from there.
macro_rules! driver {
    (@one $name:ident ($default:ident) ($($arg:ident: $ty:ty),* $(,)?) |$on:pat_param| $body:block) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> nvshare_abi::CUresult {
            $crate::driver::call(stringify!($name), || {
                let $on = $crate::sim::stream::Default::$default;
                // SAFETY: the caller keeps the promises that NVIDIA's function of this name asks for: pointers
                // are null or valid for what they point to.
                #[allow(unused_unsafe, reason = "not every body needs it")]
                unsafe { $body }
            })
        }
    };
    ($name:ident | $twin:ident ($($args:tt)*) |$on:pat_param| $body:block $($rest:tt)*) => {
        driver!(@one $name (Legacy) ($($args)*) |$on| $body);
        driver!(@one $twin (Thread) ($($args)*) |$on| $body);
        driver!($($rest)*);
    };
    ($name:ident ($($args:tt)*) |$on:pat_param| $body:block $($rest:tt)*) => {
        driver!(@one $name (Legacy) ($($args)*) |$on| $body);
        driver!($($rest)*);
    };
    () => {};
}

/// Runs a call: the planned failure if one is due, else its body; a panic is an unknown error.
pub fn call(name: &'static str, body: impl FnOnce() -> Outcome) -> CUresult {
    let free_of_init = matches!(
        name,
        "cuInit"
            | "cuDriverGetVersion"
            | "cuGetProcAddress"
            | "cuGetProcAddress_v2"
            | "cuGetErrorName"
            | "cuGetErrorString"
            | "cuGetExportTable"
    );
    let run = || {
        if !free_of_init {
            Process::get()?;
        }
        if let Err(error) = fail::planned(name) {
            if matches!(error, CUresult::ERROR_ILLEGAL_ADDRESS | CUresult::ERROR_LAUNCH_FAILED) {
                // Such errors are never of one call only.
                Process::get()?.inner().broken.get_or_insert(error);
            }
            return Err(error);
        }
        body()
    };
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(Ok(())) => CUresult::SUCCESS,
        Ok(Err(error)) => error,
        Err(_) => CUresult::ERROR_UNKNOWN,
    }
}

/// Writes a result to where the caller wants it.
///
/// # Safety
/// `to` is null, which is an error, or valid for a write.
pub unsafe fn put<T>(to: *mut T, value: T) -> Outcome {
    if to.is_null() {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { to.write(value) };
    Ok(())
}
