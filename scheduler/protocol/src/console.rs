//! Standard output and error of the programs that people start. `println` and `eprintln` panic where the reader has gone
//! or the disk is full.
use std::io::{ErrorKind, Result, Write, stderr, stdout};

/// Prints `text`. A reader that has closed its end (`| head`) is no error.
///
/// # Errors
/// Any other reason.
pub fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Says `text` on standard error. Nobody can be told if that fails.
pub fn complain(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}
