//! A defect of ours must not stop a container: what would be a panic is an error, and `on_error` says what follows.

use anyhow::{Result, anyhow};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A panic is not written to standard error, which may be the container's own.
pub fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Does the work of `program`.
///
/// # Errors
/// Its own, or that it panicked.
pub fn catch<T>(program: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(anyhow!("a defect in {program} itself")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_names_the_program() {
        let nothing: &[u8] = &[];
        let panicked = catch("nvshare-hook", || Ok(nothing[0])).unwrap_err();
        assert_eq!(panicked.to_string(), "a defect in nvshare-hook itself");
        assert_eq!(catch("nvshare-hook", || Ok(3)).unwrap(), 3);
    }
}
