//! What the machine is: told by the host, or agreed on, and never by the first one who speaks.
mod common;
use common::{Daemon, GPU, Nvml, Setup, Tenant, device, hello, on_gpu};
use nvshare_protocol::tenant::{DeviceInfo, Hello, MemoryReport, Share, ToScheduler, ToTenant};
use nvshare_protocol::{Bytes, DeviceId};

const CARD: u64 = 16 << 30;
/// What NVML tells of it, less what the driver reserves: a little more than CUDA does.
const TOTAL: u64 = CARD + (300 << 20);

/// How a host knows its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Silent,
    Nvml,
    Configured,
}

const HOSTS: [Host; 3] = [Host::Silent, Host::Nvml, Host::Configured];

impl Host {
    const fn word(self) -> &'static str {
        match self {
            Self::Silent => "tenants",
            Self::Nvml => "nvml",
            Self::Configured => "configured",
        }
    }

    fn start(self) -> Daemon {
        let reserved = 600 << 20;
        let says = on_gpu(&format!("total {}\nreserved {reserved}\n", TOTAL + reserved));
        let own = format!("[gpu.\"{GPU}\"]\nmemory = \"16GiB\"\n");
        match self {
            Self::Silent => Nvml::without("").daemon,
            Self::Nvml => Nvml::start_with(Some(&says), "").daemon,
            Self::Configured => Nvml::start_with(None, &own).daemon,
        }
    }
}

fn claims(capacity: u64) -> ToScheduler {
    ToScheduler::Device(DeviceInfo { capacity: Bytes(capacity), ..device(GPU) })
}

/// A tenant of 12 GiB has its turn, and the card has what it has.
fn serves(daemon: &mut Daemon, host: Host) {
    let mut honest = Tenant::with_work(&daemon.tenant_socket(), "honest");
    daemon.logs("event device tenant=2");
    // What is closest to NVML's word and not beyond it.
    daemon.logs(&format!("{GPU} has 16.0 GiB ({})", host.word()));
    let grant = honest.granted();
    assert_eq!(grant.budget, [Share { device: GPU, bytes: Bytes(CARD) }], "{host:?}");
    assert_eq!(daemon.status().devices[0].capacity_bytes, CARD, "{host:?}");
}

fn after_it_left(capacity: u64) {
    for host in HOSTS {
        let mut daemon = host.start();
        let mut liar = Tenant::join(&daemon.tenant_socket(), "liar");
        liar.say(&claims(capacity));
        daemon.logs("event device tenant=1");
        drop(liar);
        daemon.logs("event left tenant=1");
        serves(&mut daemon, host);
    }
}

#[test]
fn who_says_that_a_card_has_one_byte_and_leaves_harms_nobody() {
    after_it_left(1);
}

#[test]
fn who_says_that_a_card_has_one_byte_and_stays_harms_nobody() {
    for host in HOSTS {
        let mut daemon = host.start();
        let mut liar = Tenant::join(&daemon.tenant_socket(), "liar");
        liar.say(&claims(1));
        daemon.logs("event device tenant=1");
        serves(&mut daemon, host);
    }
}

#[test]
fn who_says_that_a_card_has_2_to_the_46_harms_nobody() {
    after_it_left(1 << 46);
    for host in HOSTS {
        let mut daemon = host.start();
        let mut liar = Tenant::join(&daemon.tenant_socket(), "liar");
        liar.say(&claims(1 << 46));
        daemon.logs("event device tenant=1");
        let mut honest = Tenant::with_work(&daemon.tenant_socket(), "honest");
        let grant = honest.granted();
        let most = if host == Host::Nvml { TOTAL } else { CARD };
        assert!(grant.budget[0].bytes <= Bytes(most), "{host:?}: {grant:?}");
        drop(liar);
        daemon.logs("event left tenant=1");
        assert!(daemon.status().devices[0].capacity_bytes <= most, "{host:?}");
    }
}

#[test]
fn who_says_that_a_card_is_small_makes_nobody_leave_it_where_the_host_knows_better() {
    for host in [Host::Nvml, Host::Configured] {
        let mut daemon = host.start();
        let mut honest = Tenant::with_work(&daemon.tenant_socket(), "honest");
        let lease = honest.granted().lease;
        honest.ready(lease);
        // Before NVML's first answer nobody knows better.
        daemon.logs(&format!("{GPU} has 16.0 GiB ({})", host.word()));
        let mut liar = Tenant::join(&daemon.tenant_socket(), "liar");
        liar.say(&claims(1));
        liar.say(&ToScheduler::Request);
        liar.granted();
        assert_eq!(daemon.count("action revoke"), 0, "{host:?}");
    }
}

#[test]
fn whose_word_it_is_can_be_seen() {
    for host in HOSTS {
        let from = host.word();
        let mut daemon = host.start();
        let mut tenant = Tenant::join(&daemon.tenant_socket(), "one");
        tenant.say(&claims(CARD));
        daemon.logs(&format!("{GPU} has 16.0 GiB ({from})"));
        until(&daemon, |daemon| daemon.status().devices.first().is_some_and(|gpu| gpu.capacity_from == from));
        let table = String::from_utf8(daemon.ctl(&["status"]).stdout).unwrap();
        assert_eq!(table.contains("MEMORY-FROM"), host == Host::Silent, "{table}");
    }
}

/// Asks the daemon until it is so.
fn until(daemon: &Daemon, is_so: impl Fn(&Daemon) -> bool) {
    let end = std::time::Instant::now() + common::PATIENCE;
    while !is_so(daemon) {
        assert!(std::time::Instant::now() < end, "{:?}", daemon.status());
    }
}

/// One whose library knows notices.
fn newer(daemon: &Daemon, program: &str) -> Tenant {
    let mut tenant = Tenant::silent(&daemon.tenant_socket());
    tenant.say(&ToScheduler::Hello(Hello { version: 4, ..hello(program) }));
    assert!(matches!(tenant.hear(), ToTenant::Welcome(_)));
    tenant
}

fn notice(tenant: &mut Tenant) -> String {
    match tenant.hear() {
        ToTenant::Notice(text) => text,
        other => panic!("{other:?}"),
    }
}

fn other(n: u64) -> DeviceId {
    let mut id = [0xab; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    DeviceId(id)
}

#[test]
fn a_device_that_the_host_does_not_know_is_refused_to_its_claimant_until_it_is_known() {
    let mut world = Nvml::start(&on_gpu(&format!("total {TOTAL}\n")));
    let mut first = Tenant::with_work(&world.daemon.tenant_socket(), "first");
    world.daemon.logs(&format!("{GPU} has 16.0 GiB (nvml)"));
    first.granted();
    let mut tenant = newer(&world.daemon, "odd");
    let device = other(1);
    tenant.say(&ToScheduler::Device(common::device(device)));
    let (allocated, resident) = (Bytes(5 << 30), Bytes(0));
    tenant.say(&ToScheduler::Memory(MemoryReport {
        device,
        allocated,
        resident,
        immovable: Bytes(0),
        engine: None,
    }));
    tenant.say(&ToScheduler::Request);
    let words = format!("{device} is not known to this host; [gpu.\"{device}\"] memory = makes it known");
    assert_eq!(notice(&mut tenant), words);
    let line = world.daemon.logs(&words);
    assert!(line.contains("WARN") && line.contains("tenant 2 (odd, "), "{line}");
    assert_eq!(world.daemon.status().tenants.len(), 2, "it stays");
    assert_eq!(world.daemon.count("event device tenant=2"), 0);
    world.say(&(on_gpu(&format!("total {TOTAL}\n")) + &format!("device {device}\ntotal {TOTAL}\n")));
    world.daemon.logs(&format!("event device tenant=2 device={device}"));
    world.daemon.logs(&format!("event memory tenant=2 device={device} allocated={}", 5u64 << 30));
    assert_eq!(tenant.granted().budget[0].device, device);
    assert_eq!(world.daemon.count("is not known to this host"), 1);
}

#[test]
fn a_configuration_with_one_gpu_knows_no_other() {
    let mut daemon = Setup::new(&format!("[gpu.\"{GPU}\"]\nmemory = \"16GiB\"\n")).start();
    let mut tenant = newer(&daemon, "odd");
    tenant.say(&ToScheduler::Device(device(other(1))));
    assert!(notice(&mut tenant).contains("is not known to this host"));
    // One of before has no word for it.
    let mut old = Tenant::join(&daemon.tenant_socket(), "old");
    old.say(&ToScheduler::Device(device(other(1))));
    old.say(&ToScheduler::Device(device(GPU)));
    old.say(&ToScheduler::Request);
    assert_eq!(old.swaps(0), 0);
    daemon.logs("tenant 2 (old, ");
    assert_eq!(daemon.status().tenants[1].state, "waiting", "it is not granted what is known alone");
    Tenant::with_work(&daemon.tenant_socket(), "honest").granted();
    assert_eq!(daemon.status().tenants[1].grants, 0);
    assert_eq!(daemon.status().devices.len(), 1);
}

#[test]
fn one_owners_invented_devices_are_refused_to_it_alone() {
    let mut daemon = Setup::new("[scheduler]\nshare = true\n").args(&["--log", "debug"]).start();
    let mut liars: Vec<Tenant> = (0..65).map(|_| newer(&daemon, "liar")).collect();
    for (n, liar) in liars.iter_mut().enumerate() {
        (0..64).for_each(|i| liar.say(&ToScheduler::Device(device(other((n * 64 + i) as u64)))));
    }
    let last = liars.last_mut().unwrap();
    let why = notice(last);
    assert!(why.ends_with("the limit of 64 devices that one owner's tenants may name is reached"), "{why}");
    until(&daemon, |daemon| daemon.status().devices.len() == 64);
    assert_eq!(daemon.status().tenants.len(), 65, "nobody is dismissed");
    // What is there already takes no place, and what is not waits for one.
    let mut next = newer(&daemon, "next");
    next.say(&ToScheduler::Device(device(GPU)));
    next.say(&ToScheduler::Request);
    assert!(notice(&mut next).contains(&format!("{GPU} waits: ")));
    drop(liars);
    assert_eq!(next.granted().budget[0].device, GPU);
    daemon.logs(&format!("event device tenant=66 device={GPU}"));
}

/// Two hostile users, neither of which is whoever runs the tests.
const USERS: [u32; 2] = [60_001, 60_002];

#[test]
fn what_two_users_invent_together_takes_their_own_places_and_no_others() {
    if !nix::unistd::geteuid().is_root() {
        return common::skip("only root can be another user");
    }
    let daemon = Setup::new("[memory]\nreserve = \"0B\"\n").start();
    let inventor = |user: usize, round: u64| {
        let mut liar = Tenant::of_user(&daemon.tenant_socket(), Some(USERS[user]));
        liar.greets(hello("liar"));
        // The real card too, as small as it can be.
        liar.say(&claims(1));
        (0..63).for_each(|n| liar.say(&ToScheduler::Device(device(other(round * 63 + n)))));
        // Answered when all that is taken in.
        assert_eq!(liar.swaps(0), 0);
        liar
    };
    let mut kept = Vec::new();
    for round in 0..5 {
        // One brings them in, the other names them too, and the first goes.
        let first = inventor(0, round);
        kept.push(inventor(1, round));
        drop(first);
        until(&daemon, |daemon| daemon.status().tenants.len() == kept.len());
        let devices = daemon.status().devices.len();
        assert!(devices <= 128, "round {round}: {devices} devices");
    }
    let mut honest = Tenant::join(&daemon.tenant_socket(), "honest");
    let own = [other(90_000), other(90_001), GPU];
    own.iter().for_each(|id| honest.say(&ToScheduler::Device(device(*id))));
    honest.say(&ToScheduler::Request);
    let budget = honest.granted().budget;
    assert!(budget.len() == 3 && budget.iter().all(|share| share.bytes == Bytes(CARD)), "{budget:?}");
    let status = daemon.status();
    let sizes = status.devices.iter().filter(|row| row.holders.contains(&honest_id(&status)));
    assert!(sizes.clone().count() == 3 && sizes.clone().all(|row| row.capacity_bytes == CARD), "{status:?}");
}

fn honest_id(status: &nvshare_protocol::control::Status) -> u64 {
    status.tenants.iter().find(|row| row.program == "honest").unwrap().id
}

#[test]
fn a_process_that_names_65_devices_itself_is_dismissed() {
    let daemon = Daemon::start("");
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "odd");
    (0..65).for_each(|n| tenant.say(&ToScheduler::Device(device(other(n)))));
    assert_eq!(tenant.refused(), "the limit of 64 devices a process is reached");
}

#[test]
fn nvml_that_comes_later_than_the_tenants_corrects_them_and_stops_nobody() {
    let mut world = Nvml::without("");
    let mut liar = Tenant::join(&world.daemon.tenant_socket(), "liar");
    liar.say(&claims(1 << 46));
    let mut odd = Tenant::join(&world.daemon.tenant_socket(), "odd");
    odd.say(&ToScheduler::Device(device(other(1))));
    odd.say(&ToScheduler::Request);
    let held = odd.granted();
    world.daemon.logs("the GPUs are described by tenants alone");
    world.say(&on_gpu(&format!("total {TOTAL}\nused 5\ncompute OWN 600\n")));
    world.install();
    world.daemon.logs(&format!("event capacity device={GPU} capacity={TOTAL}"));
    world.daemon.logs(&format!("{GPU} has 16.3 GiB (nvml)"));
    // What was there before stays.
    odd.ready(held.lease);
    until(&world.daemon, |daemon| daemon.status().tenants.iter().any(|row| row.state == "running"));
    assert_eq!(world.daemon.count("event left"), 0);
}

#[test]
fn nvml_that_is_no_library_or_lists_nothing_is_one_that_knows_nothing() {
    let mut world = Nvml::without("");
    std::fs::write(world.daemon.setup.path("libnvidia-ml.so.1"), b"no library").unwrap();
    Tenant::with_work(&world.daemon.tenant_socket(), "one").granted();
    world.daemon.logs("the GPUs are described by tenants alone");
    for says in ["", "lost it\n", "device nonsense\n"] {
        let mut world = Nvml::start(says);
        let mut tenant = Tenant::join(&world.daemon.tenant_socket(), "one");
        world.daemon.logs("NVML is open");
        tenant.has(Bytes(12 << 30), Bytes(0));
        tenant.say(&ToScheduler::Request);
        tenant.granted();
    }
}

#[test]
fn a_gpu_that_does_not_answer_makes_no_other_unknown() {
    let mut world = Nvml::start(&format!("device {}\ntotal {TOTAL}\nlost it\n", other(7)));
    let mut first = Tenant::join(&world.daemon.tenant_socket(), "first");
    first.say(&ToScheduler::Device(device(other(7))));
    world.daemon.logs(&format!("{} has 16.0 GiB (nvml)", other(7)));
    Tenant::with_work(&world.daemon.tenant_socket(), "one").granted();
}

#[test]
fn what_the_driver_shows_of_each_tenant_goes_to_the_core_when_it_changes() {
    let mut world = Nvml::start(&on_gpu(&format!("total {TOTAL}\n")));
    let mut tenant = Tenant::join(&world.daemon.tenant_socket(), "one");
    let own = tenant.pid();
    let says = |bytes: u64| on_gpu(&format!("total {TOTAL}\ncompute {own} {bytes}\ncompute 1 70\n"));
    world.say(&says(500));
    tenant.has(Bytes(1 << 30), Bytes(0));
    world.daemon.logs(&format!("event seen tenant=1 device={GPU} bytes=500"));
    world.say(&says(600));
    world.daemon.logs(&format!("event seen tenant=1 device={GPU} bytes=600"));
    assert_eq!(world.daemon.count("event seen"), 2);
    // One whose connection is gone is shown still: what it has stays.
    tenant.stream.shutdown(std::net::Shutdown::Both).unwrap();
    world.daemon.logs("event disconnected tenant=1");
    world.say(&says(700));
    world.daemon.logs(&format!("event seen tenant=1 device={GPU} bytes=700"));
}

/// One without a context says that it needs the whole card: nobody leaves for it. When it has one, it has its turn.
#[test]
fn who_is_not_shown_is_in_nobodys_way_and_is_looked_at_when_it_asks() {
    let mut world = Nvml::start(&on_gpu(&format!("total {TOTAL}\n")));
    let socket = world.daemon.tenant_socket();
    let mut honest = Tenant::join(&socket, "honest");
    let pid = honest.pid();
    let shows = |more: &str| on_gpu(&format!("total {TOTAL}\ncompute {pid} 600\n{more}"));
    world.say(&shows(""));
    honest.has(Bytes(CARD / 2), Bytes(0));
    honest.say(&ToScheduler::Request);
    let lease = honest.granted().lease;
    honest.ready(lease);
    world.daemon.logs(&format!("event seen tenant=1 device={GPU} bytes=600"));
    let mut liar = Tenant::join(&socket, "liar");
    liar.has(Bytes(CARD), Bytes(0));
    liar.say(&ToScheduler::Request);
    let of_liar = liar.granted().lease;
    assert_eq!(world.daemon.count("action revoke"), 0);
    liar.released(of_liar);
    // It makes a context, and asks at once.
    world.say(&shows(&format!("compute {} 900\n", liar.pid())));
    liar.say(&ToScheduler::Request);
    honest.revoked();
    world.daemon.logs(&format!("event seen tenant=2 device={GPU} bytes=900"));
}

#[test]
fn a_device_that_is_refused_after_the_request_takes_the_grant_back_until_it_is_known() {
    let mut world = Nvml::start(&on_gpu(&format!("total {TOTAL}\n")));
    let mut holder = Tenant::with_work(&world.daemon.tenant_socket(), "holder");
    let lease = holder.granted().lease;
    holder.ready(lease);
    world.daemon.logs(&format!("{GPU} has 16.0 GiB (nvml)"));
    let mut waits = Tenant::with_work(&world.daemon.tenant_socket(), "waits");
    while holder.hear() != ToTenant::Contended(true) {}
    waits.say(&ToScheduler::Device(device(other(1))));
    assert_eq!(waits.swaps(0), 0);
    holder.say(&ToScheduler::Idle(lease));
    let lease = holder.revoked().lease;
    holder.released(lease);
    world.daemon.logs("event released tenant=2");
    until(&world.daemon, |daemon| daemon.status().tenants[1].state == "waiting");
    let known = format!("total {TOTAL}\ndevice {}\ntotal {TOTAL}\n", other(1));
    world.say(&on_gpu(&known));
    let both: Vec<DeviceId> = waits.granted().budget.iter().map(|share| share.device).collect();
    assert_eq!(both, [other(1), GPU]);
}

#[test]
fn a_tenant_that_says_again_and_again_that_it_lacks_memory_has_few_lines() {
    let mut daemon = Setup::new("[memory]\nreserve = \"0B\"\nnvml = \"\"\n").start();
    let mut tenant = Tenant::with_work(&daemon.tenant_socket(), "one");
    tenant.granted();
    for n in (1..=500u64).rev() {
        tenant.say(&ToScheduler::MemoryRefused(Share { device: GPU, bytes: Bytes(n << 20) }));
    }
    tenant.say(&ToScheduler::Report("that was all".into()));
    daemon.logs("that was all");
    assert_eq!(daemon.count("finds less room"), 1);
}

#[test]
fn a_card_smaller_than_the_reserve_is_given_all_the_same() {
    let daemon = Daemon::start("");
    let mut tenant = Tenant::join(&daemon.tenant_socket(), "small");
    tenant.say(&claims(32 << 20));
    tenant.say(&ToScheduler::Request);
    assert!(tenant.granted().budget[0].bytes > Bytes(0));
}

#[test]
fn operators_see_where_a_device_is_and_how_busy() {
    let other = "GPU-00000000-0000-0000-0000-000000000001";
    let says = format!(
        "device {other}\nbus 00000000:19:00.0\ntotal {CARD}\n{}",
        on_gpu(&format!("bus 00000000:3b:00.0\ntotal {CARD}\nused {}\nbusy 37\n", 5u64 << 30))
    );
    let nvml = Nvml::start(&says);
    let _tenant = Tenant::with_work(&nvml.daemon.tenant_socket(), "train");
    until(&nvml.daemon, |daemon| daemon.status().devices.first().is_some_and(|gpu| gpu.index.is_some()));
    let gpu = nvml.daemon.status().devices.remove(0);
    assert_eq!((gpu.index, &gpu.bus_id[..]), (Some(1), "00000000:3b:00.0"), "in the order of the bus");
    assert_eq!((gpu.used_bytes, gpu.utilization_percent), (Some(5 << 30), Some(37)));
}

#[test]
fn a_mig_instance_is_where_its_gpu_is_and_without_nvml_nothing_is_known() {
    let digits = GPU.to_string().replace("GPU-", "");
    let says = format!("device GPU-x\nbus 00000000:19:00.0\ninstance MIG-{digits}\ntotal {CARD}\n");
    let nvml = Nvml::start(&says);
    let _tenant = Tenant::with_work(&nvml.daemon.tenant_socket(), "train");
    until(&nvml.daemon, |daemon| daemon.status().devices.first().is_some_and(|gpu| gpu.index.is_some()));
    let gpu = nvml.daemon.status().devices.remove(0);
    assert_eq!((gpu.index, &gpu.bus_id[..]), (Some(0), "00000000:19:00.0"));
    let silent = Daemon::start("");
    let mut tenant = Tenant::with_work(&silent.tenant_socket(), "train");
    tenant.granted();
    let gpu = silent.status().devices.remove(0);
    assert_eq!((gpu.index, &gpu.bus_id[..], gpu.used_bytes), (None, "", None));
}
