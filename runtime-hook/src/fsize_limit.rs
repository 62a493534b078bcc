//! The limit on the size of files that a process may write (`RLIMIT_FSIZE`), which an engine can have been started with:
//! whoever writes beyond it is ended by a signal, and the container with it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;

/// Holds the limit up while it is kept.
#[derive(Debug)]
pub struct RaisedLimit(Option<Rlimit>);

/// Makes room for a file of `length` bytes, as far as the hard limit allows.
///
/// # Errors
/// It does not allow that.
pub fn raise_for(length: u64) -> io::Result<RaisedLimit> {
    let limit = getrlimit(Resource::Fsize);
    if limit.current.is_none_or(|current| length <= current) {
        return Ok(RaisedLimit(None));
    }
    if limit.maximum.is_some_and(|maximum| length > maximum) {
        return Err(io::Error::other(format!("{length} bytes are more than RLIMIT_FSIZE allows")));
    }
    setrlimit(Resource::Fsize, Rlimit { current: limit.maximum, ..limit })?;
    Ok(RaisedLimit(Some(limit)))
}

impl Drop for RaisedLimit {
    fn drop(&mut self) {
        // The runtime below is to have what the engine has.
        if let Some(limit) = self.0.take() {
            let _ = setrlimit(Resource::Fsize, limit);
        }
    }
}
