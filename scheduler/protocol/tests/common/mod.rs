//! One example of every message of every version.
use nvshare_protocol::tenant::*;
use nvshare_protocol::{Bytes, DeviceId, InstanceId, LeaseId, Nanos};

pub const GPU: DeviceId = DeviceId(*b"0123456789abcdef");
pub const PROCESS: InstanceId = InstanceId(*b"fedcba9876543210");

pub fn share(bytes: u64) -> Share {
    Share { device: GPU, bytes: Bytes(bytes) }
}

pub fn hello() -> Hello {
    Hello {
        version: 1,
        instance: PROCESS,
        program: "python3".into(),
        library: "0.1.0".into(),
        engine: "managed".into(),
        holds: true,
        pid: 4711,
        weight: None,
        limit: None,
        swap: None,
        priority: None,
        time_share: None,
        gang: None,
        gang_size: None,
    }
}

/// As version 2 says it.
pub fn hello_2() -> Hello {
    Hello { version: 2, weight: Some(3), limit: Some(Bytes(8 << 30)), swap: Some(Bytes(1 << 30)), ..hello() }
}

pub fn to_scheduler() -> Vec<ToScheduler> {
    vec![
        ToScheduler::Hello(hello()),
        ToScheduler::Device(DeviceInfo {
            device: GPU,
            capacity: Bytes(16 << 30),
            name: "NVIDIA H200".into(),
        }),
        ToScheduler::Memory(MemoryReport {
            device: GPU,
            allocated: Bytes(12 << 30),
            resident: Bytes(2 << 20),
            immovable: Bytes(1),
            engine: None,
        }),
        ToScheduler::Request,
        ToScheduler::Ready(Ready {
            lease: LeaseId(3),
            fetched: vec![share(12 << 30)],
            took: Nanos(260_000_000),
        }),
        ToScheduler::Released(Released {
            lease: LeaseId(3),
            evicted: vec![share(u64::MAX), share(0)],
            drain: Nanos(5),
            evict: Nanos(1_000_000_000),
        }),
        ToScheduler::DrainCancelled(LeaseId(3)),
        ToScheduler::Report("37 launches met no gate".into()),
        ToScheduler::Idle(LeaseId(3)),
    ]
}

pub fn to_tenant() -> Vec<ToTenant> {
    vec![
        ToTenant::Welcome(Welcome {
            version: 1,
            enabled: true,
            reserve: Bytes(1 << 30),
            limit: Some(Bytes(5)),
        }),
        ToTenant::Welcome(Welcome { version: 1, enabled: false, reserve: Bytes(0), limit: None }),
        ToTenant::Grant(Grant { lease: LeaseId(4), budget: vec![share(14 << 30)], contended: true }),
        ToTenant::Revoke(Revoke {
            lease: LeaseId(4),
            evict: vec![share(u64::MAX)],
            drain_within: Nanos(2_000_000_000),
        }),
        ToTenant::Contended(true),
        ToTenant::Enabled(false),
        ToTenant::Refused("connections = 1024 is reached".into()),
    ]
}

/// The words that version 2 added.
pub fn to_scheduler_2() -> Vec<ToScheduler> {
    vec![
        ToScheduler::Hello(hello_2()),
        ToScheduler::Evicted(vec![share(2 << 20)]),
        ToScheduler::SwapWanted(Bytes(12 << 30)),
    ]
}

/// The words that version 3 added.
pub fn to_scheduler_3() -> Vec<ToScheduler> {
    vec![
        ToScheduler::MemoryRefused(share(64 << 20)),
        ToScheduler::Hello(Hello { version: 3, priority: Some(2), ..hello_2() }),
        ToScheduler::Hello(Hello { version: 3, time_share: Some(30), ..hello_2() }),
    ]
}

/// The fields that version 4 added.
pub fn to_scheduler_4() -> Vec<ToScheduler> {
    let (allocated, resident, immovable) = (Bytes(12 << 30), Bytes(2 << 20), Bytes(1));
    vec![ToScheduler::Memory(MemoryReport { device: GPU, allocated, resident, immovable, engine: Some(1) })]
}

/// The words that version 5 added.
pub fn to_scheduler_5() -> Vec<ToScheduler> {
    let hello = Hello { version: 5, gang: Some("torch:host:29500".into()), ..hello_2() };
    let moves = Moves {
        device: GPU,
        copied_out: Bytes(8 << 30),
        unchanged: Bytes(16 << 30),
        zero_out: Bytes(56 << 30),
        copied_in: Bytes(24 << 30),
        zero_in: Bytes(u64::MAX),
        away_content: Bytes(2 << 20),
        clean: Bytes(0),
    };
    vec![
        ToScheduler::Hello(hello.clone()),
        ToScheduler::Hello(Hello { gang_size: Some(2), ..hello }),
        ToScheduler::Moves(vec![moves]),
    ]
}

/// The words that version 2 added.
pub fn to_tenant_2() -> Vec<ToTenant> {
    vec![
        ToTenant::Evict(vec![share(u64::MAX)]),
        ToTenant::Fetch(vec![share(4 << 30), share(0)]),
        ToTenant::Swap(Bytes(12 << 30)),
    ]
}

/// The words that version 4 added.
pub fn to_tenant_4() -> Vec<ToTenant> {
    vec![
        ToTenant::NoPlace(NoPlace { why: "tenants = 1024 is reached".into(), fails: true }),
        ToTenant::Notice("this host does not know the GPU".into()),
    ]
}

/// The words that version 5 added.
pub fn to_tenant_5() -> Vec<ToTenant> {
    [Some(Bytes(8 << 30)), None]
        .map(|limit| ToTenant::Terms(Terms { reserve: Bytes(1 << 30), limit }))
        .to_vec()
}
