//! Whether a call was ours to handle.

/// Whether a call was about memory of ours.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It was, and is done.
    Ours,
    /// It was not: the call is the driver's.
    NotOurs,
}
