//! What is known of a gang's memory.

/// What is known of what the members of a gang need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GangState {
    /// They may need any amount. One of them may wait for memory while the others wait for it in their kernels, which
    /// then cannot leave.
    Unsettled,
    /// All members have had a turn with all their memory, and all have drained.
    Settled,
    /// Members that cannot end their work go on without a turn, until the gang has one with all its members.
    Aside,
}

impl GangState {
    pub(crate) const ALL: [Self; 3] = [Self::Unsettled, Self::Settled, Self::Aside];

    /// Its word in the trace.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unsettled => "unsettled",
            Self::Settled => "settled",
            Self::Aside => "aside",
        }
    }
}
