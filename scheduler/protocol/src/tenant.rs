//! Tenant and scheduler: every message, named by its direction.
use crate::{Bytes, DeviceId, InstanceId, LeaseId, Nanos};
use minicbor::{Decode, Encode};

/// From a tenant's library to the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToScheduler {
    /// The first message of a connection, exactly once.
    #[n(0)]
    Hello(#[n(0)] Hello),
    /// The process has a context on this device from now on, and wants it with every grant.
    #[n(1)]
    Device(#[n(0)] DeviceInfo),
    /// What the process has on one device. Sent when it changed, at most every few milliseconds.
    #[n(2)]
    Memory(#[n(0)] MemoryReport),
    /// Work waits at the gate: the tenant asks for a grant of all devices named so far. Repeating it changes nothing. From a
    /// tenant that holds, it means that there is work again after [`ToScheduler::Idle`].
    #[n(3)]
    Request,
    /// Answer to [`ToTenant::Grant`]: the memory is back and the gate is open.
    #[n(4)]
    Ready(#[n(0)] Ready),
    /// The gate is shut, nothing is in flight, and what had to move has moved. It answers a [`ToTenant::Revoke`]. A tenant
    /// that has nothing to do does not send it by itself: it says [`ToScheduler::Idle`] and keeps the lease.
    #[n(5)]
    Released(#[n(0)] Released),
    /// Answer to [`ToTenant::Revoke`]: the submitted work did not end within the bound; the gate is
    /// open again and the lease still held.
    #[n(6)]
    DrainCancelled(#[n(0)] LeaseId),
    /// Something that an operator should know, such as CUDA calls made around the library.
    #[n(7)]
    Report(#[n(0)] String),
    /// Nothing has been submitted for a while and nothing is unfinished, while somebody waits: the scheduler may revoke. The
    /// lease is still held, so that the revocation can say what has to move out.
    #[n(8)]
    Idle(#[n(0)] LeaseId),
    /// Answer to [`ToTenant::Evict`]: what was moved out. [`ToScheduler::Memory`] has told it before. Since version 2.
    #[n(9)]
    Evicted(#[n(0)] Vec<Share>),
    /// So much swap space in all is wanted. Answered by [`ToTenant::Swap`]. Since version 2.
    #[n(10)]
    SwapWanted(#[n(0)] Bytes),
    /// The device is fuller than the scheduler knows: within the tenant's budget, the driver refused physical memory of
    /// at least so many bytes. [`ToScheduler::Memory`] has told before what is there. Since version 3.
    #[n(11)]
    MemoryRefused(#[n(0)] Share),
    /// What has crossed the link and what had not to, per device. Sent where it changed, after the
    /// [`ToScheduler::Memory`] of the same state and before the answer that ends a hand-over ([`ToScheduler::Ready`],
    /// [`ToScheduler::Released`], [`ToScheduler::Evicted`]). A tenant that never sends it moves every byte. As
    /// many devices as it names, so many messages does it count for in the limit of the rate. Since version 5.
    #[n(12)]
    Moves(#[n(0)] Vec<Moves>),
}

/// From the scheduler to a tenant's library.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToTenant {
    /// Answer to [`ToScheduler::Hello`].
    #[n(0)]
    Welcome(#[n(0)] Welcome),
    /// The devices are this tenant's: bring memory back, answer [`ToScheduler::Ready`], run.
    #[n(1)]
    Grant(#[n(0)] Grant),
    /// Stop: shut the gate, drain, move out, answer [`ToScheduler::Released`] or
    /// [`ToScheduler::DrainCancelled`].
    #[n(2)]
    Revoke(#[n(0)] Revoke),
    /// Whether anybody waits for a device that this tenant holds. While true, the tenant submits its work by credits, and
    /// says [`ToScheduler::Idle`] when it has nothing to do; it keeps the lease until it is revoked.
    #[n(3)]
    Contended(#[n(0)] bool),
    /// The scheduler is switched on or off. Off: everybody runs, nobody asks.
    #[n(4)]
    Enabled(#[n(0)] bool),
    /// The scheduler will not serve this connection, and closes it; the text names the limit or fault.
    #[n(5)]
    Refused(#[n(0)] String),
    /// To a tenant that does not hold: at least so much of what it left on each device has to move out now.
    /// Answered by [`ToScheduler::Memory`] as it goes, then [`ToScheduler::Evicted`]. Since version 2.
    #[n(6)]
    Evict(#[n(0)] Vec<Share>),
    /// So much may be resident on each device: bring memory in, ahead of the grant with the gate still shut, or,
    /// if the tenant holds, because its budget has grown. Answered by [`ToScheduler::Memory`]. Since version 2.
    #[n(7)]
    Fetch(#[n(0)] Vec<Share>),
    /// The swap space that the tenant has now in all; less than it wanted is a refusal that loses nothing. When
    /// the file is another than before, its descriptor comes with the frame's bytes (`SCM_RIGHTS`). Since
    /// version 2.
    #[n(8)]
    Swap(#[n(0)] Bytes),
    /// There is no place for this process at present, because others have taken all: the connection is closed, and the
    /// process tries again later. Until then its calls wait, or fail. Since version 4; a [`ToTenant::Refused`] with the
    /// same words follows for libraries before it.
    #[n(9)]
    NoPlace(#[n(0)] NoPlace),
    /// For the program's user: the library says it once on standard error. Since version 4.
    #[n(10)]
    Notice(#[n(0)] String),
    /// What [`Welcome`] said of memory has changed. What is allocated stays; what is allocated next has to fit. Since
    /// version 5.
    #[n(11)]
    Terms(#[n(0)] Terms),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Terms {
    /// As [`Welcome::reserve`].
    #[n(0)]
    pub reserve: Bytes,
    /// As [`Welcome::limit`].
    #[n(1)]
    pub limit: Option<Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NoPlace {
    /// The limit that is reached, by the name of its setting.
    #[n(0)]
    pub why: String,
    /// Whether calls are to fail (`CUDA_ERROR_SYSTEM_NOT_READY`) instead of waiting.
    #[n(1)]
    pub fails: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// [`crate::VERSION`] of the library's build.
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub instance: InstanceId,
    /// What the process calls itself: the last part of its program's path, at most 64 bytes.
    #[n(2)]
    pub program: String,
    /// The library's package version.
    #[n(3)]
    pub library: String,
    /// The residency engine, `swap`, `managed` or `plain`; `auto` while that is not decided.
    #[n(4)]
    pub engine: String,
    /// True when the process is running GPU work now: it kept its lease through a restart of the
    /// scheduler, or ran without one. [`ToScheduler::Device`] and [`ToScheduler::Memory`] follow.
    #[n(5)]
    pub holds: bool,
    /// Its pid in its own pid namespace; the kernel tells the scheduler the host's.
    #[n(6)]
    pub pid: u32,
    /// Its share beside others, by its own wish. Since version 2.
    #[n(7)]
    pub weight: Option<u32>,
    /// Its limit on each device, by its own wish. Since version 2.
    #[n(8)]
    pub limit: Option<Bytes>,
    /// The swap space that it still has from a scheduler before this one. Since version 2.
    #[n(9)]
    pub swap: Option<Bytes>,
    /// By its own wish: 0 low, 1 normal, 2 high. Another number is none.
    #[n(10)]
    pub priority: Option<u32>,
    /// The most of each device's time that it wishes to hold, 1 to 100 per cent. Another number is none.
    #[n(11)]
    pub time_share: Option<u32>,
    /// The job of several processes that it is of, in words of its own or its launcher's: those of one user or container
    /// that say the same get their devices together. At most 128 bytes. `off`: it is never to be of one.
    #[n(12)]
    pub gang: Option<String>,
    /// How many processes of that job its launcher has started on this host. The job may have more: those that they start.
    /// Who does not know the number says none.
    #[n(13)]
    pub gang_size: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeviceInfo {
    #[n(0)]
    pub device: DeviceId,
    /// The whole memory of the device.
    #[n(1)]
    pub capacity: Bytes,
    /// As `cuDeviceGetName` tells it, at most 96 bytes.
    #[n(2)]
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MemoryReport {
    #[n(0)]
    pub device: DeviceId,
    /// Everything that the application has allocated on the device.
    #[n(1)]
    pub allocated: Bytes,
    /// The part of it that lies on the device now, as far as the library knows.
    #[n(2)]
    pub resident: Bytes,
    /// The part of it that can never be moved out.
    #[n(3)]
    pub immovable: Bytes,
    /// What moves the process's memory: 0 swap, 1 managed, 2 plain. None while that is not decided; another number is
    /// none. Asks for no version: who does not know it skips it.
    #[n(4)]
    pub engine: Option<u32>,
}

/// How a process's memory moves on one device. The first five count bytes since the process began and never fall; the
/// last two are of now. Of a process that had a scheduler before ([`Hello::swap`]), the first report of a connection says
/// from where they count; it is best sent with the first [`ToScheduler::Memory`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Moves {
    #[n(0)]
    pub device: DeviceId,
    /// Moved out by a copy.
    #[n(1)]
    pub copied_out: Bytes,
    /// Moved out without a copy: the host copy was still right.
    #[n(2)]
    pub unchanged: Bytes,
    /// Moved out without a copy: it was all zero.
    #[n(3)]
    pub zero_out: Bytes,
    /// Brought in by a copy.
    #[n(4)]
    pub copied_in: Bytes,
    /// Brought in without a copy: cleared on the GPU.
    #[n(5)]
    pub zero_in: Bytes,
    /// Of what is away, the part that a return has to copy. The rest of it is zero.
    #[n(6)]
    pub away_content: Bytes,
    /// Of what is resident, the part whose host copy was right when it came in: an eviction may need no copy of it.
    #[n(7)]
    pub clean: Bytes,
}

/// A number of bytes on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Share {
    #[n(0)]
    pub device: DeviceId,
    #[n(1)]
    pub bytes: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ready {
    #[n(0)]
    pub lease: LeaseId,
    /// What was brought in.
    #[n(1)]
    pub fetched: Vec<Share>,
    /// From the grant's arrival to the opening of the gate.
    #[n(2)]
    pub took: Nanos,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Released {
    /// The lease given back; of the last one granted, or 0 by a tenant that held without a grant.
    #[n(0)]
    pub lease: LeaseId,
    /// What was moved out.
    #[n(1)]
    pub evicted: Vec<Share>,
    /// From the revocation's arrival until nothing of this process was in flight.
    #[n(2)]
    pub drain: Nanos,
    /// From then until the memory was moved out.
    #[n(3)]
    pub evict: Nanos,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Welcome {
    /// [`crate::VERSION`] of the scheduler's build.
    #[n(0)]
    pub version: u32,
    /// Whether the scheduler is switched on.
    #[n(1)]
    pub enabled: bool,
    /// What the library keeps back of every device for contexts and the driver's own needs: an
    /// application sees the card's total less this.
    #[n(2)]
    pub reserve: Bytes,
    /// The tenant's limit on each device; none: the card less `reserve`.
    #[n(3)]
    pub limit: Option<Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Grant {
    #[n(0)]
    pub lease: LeaseId,
    /// How much the tenant may have resident on each device.
    #[n(1)]
    pub budget: Vec<Share>,
    /// Whether somebody waits already ([`ToTenant::Contended`]).
    #[n(2)]
    pub contended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Revoke {
    #[n(0)]
    pub lease: LeaseId,
    /// How much to move out of each device at least; `Bytes::MAX`: everything.
    #[n(1)]
    pub evict: Vec<Share>,
    /// After this long without the work's end, the drain is cancelled.
    #[n(2)]
    pub drain_within: Nanos,
}

/// The bytes on all devices together.
#[must_use]
pub fn total(shares: &[Share]) -> Bytes {
    shares.iter().fold(Bytes::ZERO, |sum, share| sum.saturating_add(share.bytes))
}

/// What tenants may use of a device: its capacity less the reserve, which is at most a quarter of it.
/// Library and scheduler count alike.
#[must_use]
pub const fn usable(capacity: Bytes, reserve: Bytes) -> Bytes {
    let most = capacity.0 / 4;
    Bytes(capacity.0 - if reserve.0 < most { reserve.0 } else { most })
}
