//! The limit on the size of files that a process may write (`RLIMIT_FSIZE`), which we inherit from the engine. A process
//! that writes beyond it is killed by a signal, and the container does not start.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;

/// Keeps the limit raised until it is dropped.
#[derive(Debug)]
pub struct RaisedLimit(Option<Rlimit>);

/// Raises the limit for a file of `length` bytes, as far as the hard limit allows.
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
        // The runtime below gets the limit that the engine has.
        if let Some(limit) = self.0.take() {
            let _ = setrlimit(Resource::Fsize, limit);
        }
    }
}
