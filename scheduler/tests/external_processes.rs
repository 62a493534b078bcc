//! Memory that programs outside of nvshare use, as a small NVML of ours (`fake_nvml/nvml.c`) tells it.
mod common;
use common::{Daemon, GPU, Nvml, Tenant, on_gpu};
use nvshare_protocol::tenant::{Share, ToScheduler};
use nvshare_protocol::{Bytes, DeviceId};

const MIG: DeviceId = DeviceId(*b"fedcba9876543210");

/// The same, with `tenant` as OWN.
fn with_own(rest: &str, tenant: &Tenant) -> String {
    on_gpu(&rest.replace("OWN", &tenant.pid().to_string()))
}

#[test]
fn what_others_use_is_not_there_for_tenants() {
    let mut world = Nvml::start(&on_gpu("compute 1 3000000000\ngraphics 1 3000000000\n"));
    let mut tenant = Tenant::join(&world.daemon.tenant_socket(), "one");
    let says = "compute OWN 600000000\ncompute 1 3000000000\ngraphics 1 3000000000\n";
    world.say(&with_own(says, &tenant));
    tenant.has(Bytes(12 << 30), Bytes(0));
    world.outside(GPU, 3_000_000_000);
    assert_eq!(world.shown(), [3_000_000_000]);
    tenant.say(&ToScheduler::Request);
    let grant = tenant.granted();
    assert_eq!(grant.budget, [Share { device: GPU, bytes: Bytes((16 << 30) - 3_000_000_000) }]);
    world.say(&with_own("compute OWN 600000000\ngraphics 7 5\n", &tenant));
    world.outside(GPU, 5);
    world.say(&with_own("compute 4000000 600000000\ncompute 1 700\ncompute OWN 1\n", &tenant));
    world.outside(GPU, 600_000_700);
    drop(tenant);
    world.outside(GPU, 0);
}

#[test]
fn an_instance_of_a_divided_gpu_has_its_own_programs() {
    let uuid = MIG.to_string().replace("GPU-", "MIG-");
    let says = format!("compute 1 50\ninstance {uuid}\ncompute OWN 1\ncompute 9 77\ninstance MIG-odd\n");
    let mut world = Nvml::start(&on_gpu(""));
    let mut tenant = Tenant::join(&world.daemon.tenant_socket(), "one");
    world.say(&with_own(&says, &tenant));
    tenant.say(&ToScheduler::Device(common::device(MIG)));
    world.outside(MIG, 77);
}

#[test]
fn pids_of_another_namespace_say_nothing_and_the_next_ones_do() {
    let mut world = Nvml::start(&on_gpu("compute 4000000 600000000\n"));
    let mut tenant = Tenant::join(&world.daemon.tenant_socket(), "one");
    tenant.say(&ToScheduler::Device(common::device(GPU)));
    let other = DeviceId([3; 16]);
    tenant.say(&ToScheduler::Device(common::device(other)));
    world.daemon.logs("NVML is open");
    world.say(&with_own(
        &format!("compute 4000000 600000000\ndevice {other}\ncompute OWN 1\ncompute 9 8\n"),
        &tenant,
    ));
    // The second device's answer comes with the first one's.
    world.outside(other, 8);
    assert_eq!(world.daemon.count(&format!("event outside device={GPU}")), 0);
}

#[test]
fn the_library_is_open_only_while_there_are_tenants() {
    let mut world = Nvml::start(&on_gpu("compute 1 2\n"));
    assert_eq!(world.log(), "");
    let tenant = Tenant::join(&world.daemon.tenant_socket(), "one");
    world.daemon.logs("NVML is open");
    assert_eq!(world.log(), "init\n");
    drop(tenant);
    world.daemon.logs("NVML is closed");
    assert_eq!(world.log(), "init\nshutdown\n");
    let _tenant = Tenant::join(&world.daemon.tenant_socket(), "two");
    world.daemon.logs_times("NVML is open", 2);
    assert_eq!(world.log(), "init\nshutdown\ninit\n");
}

#[test]
fn without_the_library_there_is_one_line_and_no_harm() {
    let mut daemon = Daemon::start("[memory]\nnvml = \"/nowhere/libnvidia-ml.so.1\"\n");
    for program in ["one", "two"] {
        let mut tenant = Tenant::with_work(&daemon.tenant_socket(), program);
        tenant.granted();
        let pid = tenant.pid();
        drop(tenant);
        daemon.logs(&format!("({program}, pid {pid}) left"));
    }
    let words = "what programs outside of nvshare use of them is not known";
    let line = daemon.logs(words);
    assert!(
        line.contains("INFO") && line.contains("[memory] nvml = \"/nowhere/libnvidia-ml.so.1\": "),
        "{line}"
    );
    let (_, _, log) = daemon.stop();
    assert_eq!(log.iter().filter(|line| line.contains(words)).count(), 1);
}
