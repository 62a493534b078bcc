//! What moves a tenant's memory.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Swap,
    Managed,
    Plain,
}

impl Engine {
    /// By its number in [`nvshare_protocol::tenant::MemoryReport`].
    pub const fn numbered(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Swap),
            1 => Some(Self::Managed),
            2 => Some(Self::Plain),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Swap => "swap",
            Self::Managed => "managed",
            Self::Plain => "plain",
        }
    }
}
