//! A scheduler after another one: whoever only says that it holds its device since before, and never answers, keeps others
//! waiting for one turn and one silence, however many say so and whenever.
mod common;
use common::{Daemon, PATIENCE, Tenant, hello};
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::{Hello, ToScheduler};
use std::time::{Duration, Instant};

const OTHER: u32 = 60_001;
const GIB: u64 = 1 << 30;
/// A turn of 1 s, the silence of 5 s, and a busy machine. A revocation of any other holder takes 10 s.
const BOUND: Duration = Duration::from_secs(9);

fn restarted() -> Daemon {
    Daemon::start("[scheduler]\nquantum = 1\n").kill().start()
}

/// A user of its own, where the test may make one.
fn says_that_it_holds(daemon: &Daemon, n: u32, gib: u64) -> Tenant {
    let uid = nix::unistd::geteuid().is_root().then_some(OTHER + n);
    let mut liar = Tenant::of_user(&daemon.tenant_socket(), uid);
    liar.greets(Hello { holds: true, ..hello("liar") });
    liar.has(Bytes(gib * GIB), Bytes(gib * GIB));
    liar
}

fn asks(daemon: &Daemon, engine: &str, gib: u64) -> Tenant {
    let mut honest = Tenant::silent(&daemon.tenant_socket());
    honest.greets(Hello { engine: engine.into(), ..hello("honest") });
    if engine == "swap" {
        honest.swaps(gib * GIB);
    }
    honest.has(Bytes(gib * GIB), Bytes(0));
    honest.say(&ToScheduler::Request);
    honest
}

fn is_served(daemon: &Daemon) -> bool {
    daemon.status().tenants.iter().any(|row| row.program == "honest" && row.grants > 0)
}

/// So many liars with so much each come back, and an honest tenant that wants so much after them.
fn come_back_together(engine: &str, liars: u32, each: u64, wants: u64) {
    let daemon = restarted();
    let begun = Instant::now();
    let _liars: Vec<Tenant> = (0..liars).map(|n| says_that_it_holds(&daemon, n, each)).collect();
    asks(&daemon, engine, wants).granted();
    let took = begun.elapsed();
    assert!(took < BOUND, "{engine}, {liars} of {each} GiB before {wants} GiB: {took:?}");
}

/// They go on coming until the honest tenant, which was there first, is served.
fn come_back_one_after_another(engine: &str) {
    let daemon = restarted();
    let begun = Instant::now();
    let _honest = asks(&daemon, engine, 12);
    let mut liars = Vec::new();
    while !is_served(&daemon) {
        liars.push(says_that_it_holds(&daemon, liars.len() as u32, 12));
        assert!(begun.elapsed() < PATIENCE, "{engine}: {} liars", liars.len());
        std::thread::sleep(Duration::from_millis(300));
    }
    let took = begun.elapsed();
    assert!(took < BOUND, "{engine}, {} liars: {took:?}", liars.len());
}

#[test]
fn who_says_that_it_holds_and_never_answers_costs_a_turn_and_one_silence() {
    std::thread::scope(|scope| {
        for engine in ["managed", "swap"] {
            // One that fills the card; several, of which one has it; several that have it together, of which all or some
            // must leave.
            for (liars, each, wants) in [(1, 12, 12), (3, 12, 12), (8, 4, 12), (4, 4, 4)] {
                scope.spawn(move || come_back_together(engine, liars, each, wants));
            }
            scope.spawn(move || come_back_one_after_another(engine));
        }
    });
}
