//! Faults of our own that a debug build must not survive.

/// Ends the program. A panic would be caught at the application's call (`dispatch.rs`), and no test would see it; in unit
/// tests it is one. Release builds never call this.
pub fn fault(text: &str) -> ! {
    if cfg!(test) {
        panic!("{text}");
    }
    crate::sys::log::error!(
        "a fault of nvshare's own: {text}: {}",
        std::backtrace::Backtrace::force_capture()
    );
    std::process::abort()
}
