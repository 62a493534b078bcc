//! Standard output.
use std::io::{ErrorKind, Write};

/// Prints `text`. A reader that has closed its end (`| head`) is no error.
///
/// # Errors
/// Any other reason.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
