//! Quantities and names that have a type of their own.
use core::fmt;
#[cfg(feature = "messages")]
use minicbor::{Decode, Encode};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "messages", derive(Encode, Decode), cbor(transparent))]
        #[cfg_attr(feature = "control", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(#[cfg_attr(feature = "messages", n(0))] pub u64);

        impl $name {
            pub const ZERO: Self = Self(0);
            pub const MAX: Self = Self(u64::MAX);
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self { Self(self.0.saturating_sub(other.0)) }
            #[must_use]
            pub const fn saturating_add(self, other: Self) -> Self { Self(self.0.saturating_add(other.0)) }
        }
    };
}

number!(/// A number of bytes.
    Bytes);
number!(/// A duration, or a point in time since a process's own start, in nanoseconds.
    Nanos);

/// One grant, from its giving to its release. Unique within one run of the scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "messages", derive(Encode, Decode), cbor(transparent))]
#[cfg_attr(feature = "control", derive(serde::Serialize, serde::Deserialize))]
pub struct LeaseId(#[cfg_attr(feature = "messages", n(0))] pub u64);

impl Nanos {
    pub const SECOND: Self = Self(1_000_000_000);
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "messages", derive(Encode, Decode), cbor(transparent))]
        pub struct $name(#[cfg_attr(feature = "messages", n(0), cbor(with = "minicbor::bytes"))] pub [u8; 16]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
        }
    };
}

id!(/// A GPU or MIG instance by its UUID, as `cuDeviceGetUuid_v2` tells it.
    DeviceId);
id!(/// A process's random name for itself, by which it is known again after a reconnection.
    InstanceId);

impl fmt::Display for DeviceId {
    /// As `nvidia-smi -L` writes it: `GPU-8-4-4-4-12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GPU-")?;
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
