//! Who handles a call about memory: the library or the driver.

/// Who handles a call about memory.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandledBy {
    /// The memory is ours, and the call is done.
    Us,
    /// The memory is not ours: the call is the driver's.
    Driver,
}
