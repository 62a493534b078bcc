//! What can be done to an engine's configuration.

/// What to do to a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Configure {
        path: String,
        set_as_default: bool,
    },
    Unconfigure,
    /// It is the default no more; containers that were started by it find it.
    UnsetDefault,
}

/// The runtime's name in every engine.
pub const NAME: &str = "nvshare";
