//! What the core is told, and what it wants done.
pub use crate::model::ids::TenantId;
use crate::model::priority::Priority;
use crate::model::settings::Quantum;
use nvshare_protocol::tenant::{Grant, Ready, Released, Revoke, Share};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};

/// What happened. Spurious and repeated events change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection said hello. `holds`: it is running GPU work now.
    Joined {
        tenant: TenantId,
        holds: bool,
    },
    /// The process is gone, and all that it had with it.
    Left {
        tenant: TenantId,
    },
    /// The connection is gone and the process is not: what it has stays, and nobody can ask it for anything. From then on,
    /// until [`Event::Left`].
    Disconnected {
        tenant: TenantId,
    },
    /// The process is stopped (SIGSTOP, a frozen container) and can do nothing it is asked for, or goes on.
    Stopped {
        tenant: TenantId,
        stopped: bool,
    },
    /// Whose tenant it is: those of one owner are served in turn with those of others, however many they are. To be told
    /// before it requests; of its own otherwise.
    Owner {
        tenant: TenantId,
        owner: u64,
    },
    /// The tenant uses this device from now on, and says that it is so large.
    Device {
        tenant: TenantId,
        device: DeviceId,
        capacity: Bytes,
    },
    /// How large the device is, by better knowledge than the first tenant's word.
    Capacity {
        device: DeviceId,
        capacity: Bytes,
    },
    /// What the driver shows that the tenant's process uses of the device, its contexts included.
    Seen {
        tenant: TenantId,
        device: DeviceId,
        bytes: Bytes,
    },
    Memory {
        tenant: TenantId,
        device: DeviceId,
        allocated: Bytes,
        resident: Bytes,
        immovable: Bytes,
    },
    Requested {
        tenant: TenantId,
    },
    Ready {
        tenant: TenantId,
        ready: Ready,
    },
    Released {
        tenant: TenantId,
        released: Released,
    },
    DrainCancelled {
        tenant: TenantId,
        lease: LeaseId,
    },
    /// The holder has nothing to do: its turn is over as soon as somebody waits for one of its devices.
    /// Withdrawn by the tenant's next message about this lease or its next grant; without anybody
    /// waiting it changes nothing.
    Idle {
        tenant: TenantId,
        lease: LeaseId,
    },
    /// What it was asked to move out beside its turns has gone, as far as it could.
    Evicted {
        tenant: TenantId,
    },
    /// Its turns last so many times as long as those of others. 1 to [`crate::model::settings::MAX_WEIGHT`].
    Weight {
        tenant: TenantId,
        weight: u32,
    },
    Priority {
        tenant: TenantId,
        priority: Priority,
    },
    /// The tenant may hold at most so much of each device's time, 1 to 100 per cent, together with those of the same
    /// group. To be told before it names a device.
    TimeShare {
        tenant: TenantId,
        group: u64,
        percent: u32,
    },
    /// The tenant moves its memory itself (the swap engine): the driver cannot, and its kernels run only where all of it
    /// is there. From then on, for good.
    Swaps {
        tenant: TenantId,
    },
    /// What programs outside of nvshare use of the device.
    Outside {
        device: DeviceId,
        bytes: Bytes,
    },
    /// The driver refused the tenant physical memory of at least so many bytes, though it is within its budget.
    MemoryRefused {
        tenant: TenantId,
        device: DeviceId,
        bytes: Bytes,
    },
    SetQuantum(Nanos),
    SetAuto,
    /// What holds on this device alone; none: what holds on the others.
    SetDeviceQuantum {
        device: DeviceId,
        quantum: Option<Quantum>,
    },
    SetEvict(EvictMode),
    SetEnabled(bool),
    /// Time has passed; deadlines may be due.
    Tick,
}

/// What to do about it, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Grant {
        tenant: TenantId,
        grant: Grant,
    },
    Revoke {
        tenant: TenantId,
        revoke: Revoke,
    },
    /// It does not hold: so much of what it left has to move out now.
    Evict {
        tenant: TenantId,
        shares: Vec<Share>,
    },
    /// So much may be resident: ahead of its grant, or because its budget has grown.
    Fetch {
        tenant: TenantId,
        shares: Vec<Share>,
    },
    Contended {
        tenant: TenantId,
        contended: bool,
    },
    Enabled {
        tenant: TenantId,
        enabled: bool,
    },
    /// For an operator, once between two grants: the tenant waits aside, for beside what these keep there is not as much
    /// as it has on the device. The largest first, at most three.
    NoRoom {
        tenant: TenantId,
        device: DeviceId,
        wants: Bytes,
        /// What there is for tenants.
        usable: Bytes,
        kept: Vec<(TenantId, Bytes)>,
    },
    /// The tenant did not answer a revocation in time, or could not drain: it lost its turn, and
    /// the others go on beside it.
    Stuck {
        tenant: TenantId,
        lease: LeaseId,
        why: Stuck,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// It did not answer a revocation in time.
    NoAnswer,
    /// It cannot end its work.
    CannotDrain,
    /// It was granted its devices and gave no sign of life.
    Silent,
    /// It is stopped.
    Stopped,
}

/// What a tenant that loses its turn has to move out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictMode {
    /// What the next one lacks.
    #[default]
    Pressure,
    Always,
    /// Nothing that the driver can move; otherwise as [`Self::Pressure`].
    Never,
}
