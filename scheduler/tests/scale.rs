//! Many tenants at once, measured: `cargo test --release -p nvshare-scheduler --test scale -- --ignored --nocapture`.
mod common;
use common::{Setup, Tenant, device};
use nvshare_protocol::tenant::{Released, ToScheduler};
use nvshare_protocol::{DeviceId, Nanos};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const TENANTS: u32 = 1000;

/// The memory that the process occupies, in bytes.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
#[ignore = "a measurement, for a release build on a quiet machine"]
fn a_thousand_tenants_are_answered_in_time_and_in_little_memory() {
    let limits = "tenants = 1100\ntenants_per_user = 1100\ntenants_per_container = 1100\n";
    let setup = Setup::new(&format!("[limits]\n{limits}messages_per_second = 100000\n"));
    let metrics = setup.path("metrics.sock");
    let listen = format!("[metrics]\nlisten = \"{}\"\n", metrics.display());
    let daemon = Setup { config: setup.config.clone() + &listen, ..setup }.start();
    let mut tenants: Vec<Tenant> = (0..TENANTS)
        .map(|n| {
            let mut tenant = Tenant::join(&daemon.tenant_socket(), &format!("tenant-{n}"));
            let mut id = [0; 16];
            // As many as one owner may name where the host does not know them.
            id[..4].copy_from_slice(&(n % 64).to_le_bytes());
            tenant.say(&ToScheduler::Device(device(DeviceId(id))));
            tenant
        })
        .collect();
    let mut times = Vec::new();
    for _ in 0..10 {
        for tenant in &mut tenants {
            let asked = Instant::now();
            tenant.say(&ToScheduler::Request);
            let lease = tenant.granted().lease;
            times.push(asked.elapsed());
            let (drain, evict) = (Nanos(0), Nanos(0));
            tenant.say(&ToScheduler::Released(Released { lease, evicted: Vec::new(), drain, evict }));
        }
    }
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    let memory = resident(daemon.pid());
    println!(
        "request to grant: median {:?}, p99 {p99:?}; memory {} KiB",
        times[times.len() / 2],
        memory >> 10
    );
    let mut scrapes: Vec<Duration> = (0..9)
        .map(|_| {
            // The same text is given to whoever asks again at once.
            std::thread::sleep(Duration::from_millis(150));
            let asked = Instant::now();
            let mut stream = UnixStream::connect(&metrics).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert_eq!(text.matches("\nnvshare_tenant_engine{").count(), TENANTS as usize);
            asked.elapsed()
        })
        .collect();
    scrapes.sort();
    println!("a scrape: median {:?}, longest {:?}", scrapes[4], scrapes[8]);
    assert!(scrapes[4] <= Duration::from_millis(50), "{scrapes:?}");
    assert!(p99 <= Duration::from_millis(1), "{p99:?}");
    assert!(memory <= 64 << 20, "{memory}");
}
