//! Operators see jobs of several processes: who is of them, who is missing, what they wait for, and who holds them up.
mod common;
use common::{Daemon, GPU, Operator, Tenant, device, hello};
use nix::sys::signal::Signal::SIGSTOP;
use nvshare_protocol::control::{AuditEvent, Reply, Request, Status, TenantStatus};
use nvshare_protocol::tenant::{Hello, MemoryReport, Ready, Released, ToScheduler, ToTenant};
use nvshare_protocol::{Bytes, DeviceId, InstanceId, LeaseId, Nanos};
use std::io::{Read, Write};
use std::net::TcpStream;

const OTHER_GPU: DeviceId = DeviceId(*b"another-gpu-4567");

/// One that has 12 of a card's 16 GiB.
fn joins(daemon: &Daemon, gpu: DeviceId, hello: Hello) -> Tenant {
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    tenant.greets(hello);
    tenant.say(&ToScheduler::Device(device(gpu)));
    tells(&mut tenant, gpu, 0);
    tenant
}

/// The same, which asks for it.
fn asks(daemon: &Daemon, gpu: DeviceId, hello: Hello) -> Tenant {
    let mut tenant = joins(daemon, gpu, hello);
    tenant.say(&ToScheduler::Request);
    tenant
}

fn tells(tenant: &mut Tenant, gpu: DeviceId, resident: u64) {
    tenant.say(&ToScheduler::Memory(MemoryReport {
        device: gpu,
        allocated: Bytes(12 << 30),
        resident: Bytes(resident << 30),
        immovable: Bytes(0),
        engine: None,
    }));
}

fn runs(tenant: &mut Tenant, gpu: DeviceId) -> LeaseId {
    let lease = tenant.granted().lease;
    tells(tenant, gpu, 12);
    tenant.ready(lease);
    lease
}

/// A process of a job of so many.
fn rank(number: u8, gang: &str, size: impl Into<Option<u32>>) -> Hello {
    Hello {
        version: 5,
        instance: InstanceId([number; 16]),
        gang: Some(gang.into()),
        gang_size: size.into(),
        ..hello(&format!("rank{number}"))
    }
}

/// The status, once it is as it should be.
fn status(daemon: &Daemon, holds: impl Fn(&Status) -> bool) -> Status {
    let end = std::time::Instant::now() + common::PATIENCE;
    loop {
        let status = daemon.status();
        if holds(&status) {
            return status;
        }
        assert!(std::time::Instant::now() < end, "{status:?}");
    }
}

fn row(status: &Status, id: u64) -> &TenantStatus {
    status.tenants.iter().find(|row| row.id == id).unwrap()
}

fn follow(daemon: &Daemon) -> Operator {
    let mut operator = daemon.operator();
    operator.ask(&Request::Events);
    operator
}

/// The next event of a gang.
fn next(follower: &mut Operator) -> AuditEvent {
    loop {
        match follower.receive() {
            Reply::Event(event) if event.kind.starts_with("gang-") => return event,
            Reply::Event(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn told(event: &AuditEvent) -> (&str, Option<u64>, &str) {
    (&event.kind, event.tenant, event.text.as_deref().unwrap_or_default())
}

#[test]
fn a_job_is_seen_from_its_first_process_to_its_last() {
    let config = "[scheduler]\nquantum = 20\ngangs = true\n[metrics]\nlisten = \"127.0.0.1:0\"\n";
    let mut daemon = Daemon::verbose(config);
    let line = daemon.logs("metrics are at http://");
    let address = line.split("http://").nth(1).unwrap().strip_suffix("/metrics").unwrap().to_owned();
    let mut follower = follow(&daemon);
    let mut other = asks(&daemon, OTHER_GPU, hello("other"));
    runs(&mut other, OTHER_GPU);
    let mut one = joins(&daemon, GPU, rank(1, "torch:h:29500@7", 2));
    assert_eq!(told(&next(&mut follower)), ("gang-joined", Some(2), "\"torch:h:29500@7\": 1 of 2 processes"));
    let remark = "1 of 2 processes of its job \"torch:h:29500@7\" use the GPU until now";
    let alone = status(&daemon, |status| {
        let row = row(status, 2);
        row.allocated_bytes > 0 && row.why.remarks.iter().any(|it| it == remark)
    });
    assert_eq!(row(&alone, 2).gang_size, Some(2));
    let mut two = asks(&daemon, OTHER_GPU, rank(2, "torch:h:29500@7", 2));
    let formed = next(&mut follower);
    assert_eq!(told(&formed), ("gang-formed", Some(3), "\"torch:h:29500@7\": 2 of 2 processes"));
    assert_eq!(formed.gang.as_deref(), Some("torch:h:29500@7"));
    one.say(&ToScheduler::Request);

    // Its other card is free, and it has neither.
    let waits = status(&daemon, |status| [2, 3].iter().all(|id| row(status, *id).why.reason == "turn"));
    for id in [2, 3] {
        let why = &row(&waits, id).why;
        let said = format!(
            "it is next: its job of 2 processes waits until all its GPUs are free; {OTHER_GPU} is held by tenant 1 \
             (other, pid {}) (for ",
            other.pid()
        );
        assert!(why.text.starts_with(&said), "{why:?}");
        assert_eq!((&why.holders[..], why.remarks.len()), (&[1][..], 0), "{why:?}");
    }
    let shown = String::from_utf8(daemon.ctl(&["status", "-o", "wide"]).stdout).unwrap();
    assert!(shown.contains("GANG") && shown.matches("torch:h:29500@7").count() == 2, "{shown}");

    let mut scraped = String::new();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream.read_to_string(&mut scraped).unwrap();
    assert!(scraped.contains("\nnvshare_gangs 1.0\n"), "{scraped}");
    let labels = scraped.lines().filter(|line| line.starts_with("nvshare_tenant_gang{"));
    assert_eq!(labels.filter(|line| line.contains("gang=\"torch:h:29500@7\"")).count(), 2, "{scraped}");

    let spans = daemon.trace().spans;
    let of_it = spans.iter().filter(|span| span.gang.as_deref() == Some("torch:h:29500@7"));
    assert!(of_it.clone().any(|span| span.tenant == 2 && span.kind == "wait"), "{spans:?}");
    assert!(of_it.clone().all(|span| [2, 3].contains(&span.tenant)), "{spans:?}");

    two.dies();
    assert_eq!(
        told(&next(&mut follower)),
        ("gang-left", Some(3), "\"torch:h:29500@7\": 1 of 2 processes left")
    );
    // Another of its name is not formed again.
    let _three = asks(&daemon, GPU, rank(3, "torch:h:29500@7", 2));
    assert_eq!(told(&next(&mut follower)).0, "gang-joined");
}

/// Gives back what it is asked for, or says that it cannot, for as long as the daemon lives.
fn answers(mut tenant: Tenant, gpu: DeviceId, drains: bool) {
    std::thread::spawn(move || {
        while let Some(message) = tenant.next() {
            match message {
                ToTenant::Grant(grant) => {
                    tells(&mut tenant, gpu, 12);
                    let ready = Ready { lease: grant.lease, fetched: Vec::new(), took: Nanos::ZERO };
                    tenant.say(&ToScheduler::Ready(ready));
                }
                ToTenant::Revoke(revoke) if drains => {
                    let (lease, zero) = (revoke.lease, Nanos::ZERO);
                    let released = Released { lease, evicted: Vec::new(), drain: zero, evict: zero };
                    tenant.say(&ToScheduler::Released(released));
                    tenant.say(&ToScheduler::Request);
                }
                ToTenant::Revoke(revoke) => tenant.say(&ToScheduler::DrainCancelled(revoke.lease)),
                _ => {}
            }
        }
    });
}

const SHORT: &str =
    "[scheduler]\nquantum = 0.05\ngangs = true\ndrain_seconds = 0.2\npatience_seconds = 0.5\n";

#[test]
fn who_cannot_end_its_work_is_named_and_not_who_can() {
    let daemon = Daemon::start(SHORT);
    let mut follower = follow(&daemon);
    answers(asks(&daemon, GPU, rank(1, "job", 2)), GPU, true);
    answers(asks(&daemon, OTHER_GPU, rank(2, "job", 2)), OTHER_GPU, false);
    let _other = asks(&daemon, GPU, hello("other"));
    assert_eq!([next(&mut follower).kind, next(&mut follower).kind], ["gang-joined", "gang-formed"]);
    let held_up = next(&mut follower);
    let text = "job: it cannot end its work, and 1 more of its job wait for it";
    assert_eq!(told(&held_up), ("gang-held-up", Some(2), text));
}

/// What a rank on another host does to the ones here.
#[test]
fn where_nobody_can_end_its_work_another_host_is_named() {
    let daemon = Daemon::start(SHORT);
    let mut follower = follow(&daemon);
    answers(asks(&daemon, GPU, rank(1, "job", 2)), GPU, false);
    answers(asks(&daemon, OTHER_GPU, rank(2, "job", 2)), OTHER_GPU, false);
    let _other = asks(&daemon, GPU, hello("other"));
    assert_eq!([next(&mut follower).kind, next(&mut follower).kind], ["gang-joined", "gang-formed"]);
    let held_up = next(&mut follower);
    let text = "job: none of its 2 processes can end its work; they may wait for one on another host";
    assert_eq!((told(&held_up).0, told(&held_up).2), ("gang-held-up", text));
}

#[test]
fn a_member_that_is_stopped_holds_the_others_up() {
    let daemon = Daemon::start(SHORT);
    let mut follower = follow(&daemon);
    let mut one = asks(&daemon, GPU, rank(1, "job", None));
    let mut two = asks(&daemon, OTHER_GPU, rank(2, "job", None));
    assert_eq!([next(&mut follower).kind, next(&mut follower).kind], ["gang-joined", "gang-formed"]);
    runs(&mut one, GPU);
    runs(&mut two, OTHER_GPU);
    two.peer.as_ref().unwrap().signal(SIGSTOP);
    let _other = asks(&daemon, GPU, hello("other"));
    let held_up = next(&mut follower);
    let text = "job: it is stopped (SIGSTOP), and 1 more of its job wait for it";
    assert_eq!(told(&held_up), ("gang-held-up", Some(2), text));
    let status = status(&daemon, |status| row(status, 1).why.reason == "stopped");
    let text = format!(
        "tenant 2 (rank2, pid {}) of its job is stopped or frozen, and its job waits for it",
        two.pid()
    );
    assert_eq!((&row(&status, 1).why.text, &row(&status, 1).why.holders[..]), (&text, &[2][..]));
    assert_eq!(
        row(&status, 2).why.text,
        "its process is stopped or frozen: it can do nothing, and others go on"
    );
}

#[test]
fn a_job_that_does_not_fit_together_is_seen_to_part() {
    let daemon = Daemon::start("[scheduler]\nquantum = 20\ngangs = true\n[swap]\nbudget = \"1GiB\"\n");
    let mut follower = follow(&daemon);
    let swaps = |number| Hello { engine: "swap".into(), ..rank(number, "job", 2) };
    let mut ranks = [1, 2].map(|number| {
        let mut tenant = Tenant::silent(&daemon.tenant_socket());
        tenant.greets(swaps(number));
        tenant.say(&ToScheduler::Device(device(GPU)));
        assert!(tenant.swaps(1 << 20) > 0);
        tenant
    });
    assert_eq!([next(&mut follower).kind, next(&mut follower).kind], ["gang-joined", "gang-formed"]);
    ranks.iter_mut().for_each(|tenant| tells(tenant, GPU, 0));
    let parted = next(&mut follower);
    assert_eq!(parted.kind, "gang-parted");
    let text = parted.text.unwrap();
    assert!(text.starts_with(&format!("its processes do not fit on {GPU} together")), "{text}");
    let status = status(&daemon, |status| status.tenants.iter().all(|row| row.gang.is_none()));
    assert_eq!(status.tenants.len(), 2);
    // One that comes later is of no gang either.
    let _late = joins(&daemon, GPU, swaps(3));
    let status = self::status(&daemon, |status| status.tenants.len() == 3);
    assert_eq!(row(&status, 3).gang, None);
}

/// They do not fit together: that one waits for the other says nothing new.
#[test]
fn processes_that_have_parted_are_not_taken_for_a_job_again() {
    let daemon = Daemon::start(&format!("{SHORT}[swap]\nbudget = \"1GiB\"\n"));
    let mut follower = follow(&daemon);
    let [mut one, mut two] = [1, 2].map(|number| {
        let mut tenant = Tenant::silent(&daemon.tenant_socket());
        tenant.greets(Hello { engine: "swap".into(), ..rank(number, "job", 2) });
        tenant.say(&ToScheduler::Device(device(GPU)));
        assert!(tenant.swaps(1 << 20) > 0);
        tenant
    });
    [&mut one, &mut two].into_iter().for_each(|tenant| tells(tenant, GPU, 0));
    while next(&mut follower).kind != "gang-parted" {}
    one.say(&ToScheduler::Request);
    answers(one, GPU, false);
    status(&daemon, |status| row(status, 1).state == "running");
    two.say(&ToScheduler::Request);
    let status = status(&daemon, |status| row(status, 1).state == "unresponsive");
    assert!(status.tenants.iter().all(|row| row.gang.is_none()), "{status:?}");
}

#[test]
fn without_the_operators_leave_there_is_no_gang_to_see() {
    let daemon = Daemon::start("[scheduler]\nquantum = 20\n");
    let mut follower = follow(&daemon);
    let _one = asks(&daemon, GPU, rank(1, "job", 2));
    let status = status(&daemon, |status| status.tenants.len() == 1);
    assert_eq!((&row(&status, 1).gang, row(&status, 1).gang_size), (&None, None));
    let _other = Tenant::join(&daemon.tenant_socket(), "other");
    loop {
        match follower.receive() {
            Reply::Event(event) if event.kind == "joined" && event.tenant == Some(2) => break,
            Reply::Event(event) => {
                assert!(event.gang.is_none() && !event.kind.starts_with("gang"), "{event:?}")
            }
            other => panic!("{other:?}"),
        }
    }
}
