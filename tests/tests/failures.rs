//! What bad input and trouble get: one line, and everybody else goes on.
use anyhow::{Context, Result};
use nvshare_protocol::control::{Reply, Request, Target, TenantChange};
use nvshare_tests::world::{Tenant, World, until};
use std::process::Stdio;

const REPORT: &[(&str, &str)] = &[
    ("FAKECUDA_CARD", "report"),
    ("FAKECUDA_BYTE_SCALE", "512"),
    ("FAKECUDA_TIME_SCALE", "25"),
    ("NVSHARE_ENGINE", "managed"),
];
const BYTES: &str = "25165824";

#[test]
fn without_a_scheduler_one_warning_names_the_socket_and_the_program_runs_and_joins_later() -> Result<()> {
    let world = World::new(REPORT)?;
    let tenant = world.load(&["--bytes", BYTES, "--seconds", "1000", "--rest-ms", "5"], &[])?;
    tenant.next("step")?;
    let log = world.tenants_log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("warn")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains(&format!("no scheduler at {}", world.socket().display())), "{log}");
    let scheduler = world.scheduler(&["--quantum", "0.3"])?;
    until("the tenant joins as a holder", || {
        Ok(scheduler.status()?.tenants.iter().any(|tenant| tenant.state == "running"))
    })?;
    tenant.next("step")?;
    Ok(())
}

#[test]
fn nobody_dies_hangs_or_loses_data_when_the_scheduler_does() -> Result<()> {
    let world = World::new(REPORT)?;
    let arguments = ["--quantum", "0.3", "--evict", "always"];
    let mut scheduler = world.scheduler(&arguments)?;
    let tenants = [(); 2].map(|()| world.load(&["--bytes", BYTES, "--seconds", "6"], &[]));
    let [first, second] = tenants;
    let (first, second) = (first?, second?);
    first.next("step")?;
    second.next("step")?;
    scheduler.kill()?;
    let scheduler = world.scheduler(&arguments)?;
    until("both are back", || Ok(scheduler.status()?.tenants.len() == 2))?;
    assert_eq!(first.finish()?["wrong"], 0);
    assert_eq!(second.finish()?["wrong"], 0);
    let runs = scheduler.trace()?.spans.iter().filter(|span| span.kind == "run").count();
    assert!(runs >= 3, "turns go on under the new scheduler: {runs}");
    Ok(())
}

#[test]
fn a_waiting_tenant_runs_unmanaged_when_no_scheduler_comes_back() -> Result<()> {
    let world = World::new(REPORT)?;
    let mut scheduler = world.scheduler(&["--quantum", "3600"])?;
    let holder = world.load(&["--bytes", BYTES, "--seconds", "1000"], &[])?;
    holder.next("step")?;
    let waiter = world.load(&["--bytes", BYTES, "--steps", "2"], &[])?;
    until("the second waits", || {
        Ok(scheduler.status()?.tenants.iter().any(|tenant| tenant.state == "waiting"))
    })?;
    scheduler.kill()?;
    assert_eq!(waiter.finish()?["wrong"], 0);
    assert!(world.tenants_log().contains("running unmanaged until there is one"), "{}", world.tenants_log());
    Ok(())
}

#[test]
fn a_tenant_killed_while_holding_frees_the_gpu_at_once() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&["--quantum", "3600"])?;
    let mut holder = world.load(&["--bytes", BYTES, "--seconds", "1000"], &[])?;
    holder.next("step")?;
    let waiter = world.load(&["--bytes", BYTES, "--steps", "3"], &[])?;
    until("the second waits", || {
        Ok(scheduler.status()?.tenants.iter().any(|tenant| tenant.state == "waiting"))
    })?;
    holder.kill()?;
    assert_eq!(waiter.finish()?["wrong"], 0);
    Ok(())
}

#[test]
fn a_prefetch_that_fails_costs_time_and_no_data() -> Result<()> {
    let world = World::new(REPORT)?;
    let _scheduler = world.scheduler(&["--quantum", "0.3", "--evict", "always"])?;
    let failing = [("FAKECUDA_FAIL", "cuMemPrefetchAsync:1:2")];
    let tenants = [(); 2].map(|()| world.load(&["--bytes", BYTES, "--seconds", "3"], &failing));
    for tenant in tenants {
        assert_eq!(tenant?.finish()?["wrong"], 0);
    }
    Ok(())
}

#[test]
fn off_lets_everybody_run_and_on_makes_them_take_turns_again() -> Result<()> {
    use nvshare_protocol::control::{QuantumSetting, Request};
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&["--quantum", "3600"])?;
    let holder = world.load(&["--bytes", BYTES, "--seconds", "1000"], &[])?;
    holder.next("step")?;
    let waiter = world.load(&["--bytes", BYTES, "--seconds", "1000"], &[])?;
    until("the second waits", || {
        Ok(scheduler.status()?.tenants.iter().any(|tenant| tenant.state == "waiting"))
    })?;
    scheduler.ask(&Request::Off)?;
    waiter.next("step")?;
    scheduler.ask(&Request::SetQuantum(QuantumSetting::Seconds(0.3)))?;
    scheduler.ask(&Request::On)?;
    until("turns are taken", || {
        Ok(scheduler.trace()?.spans.iter().filter(|span| span.kind == "run").count() >= 5)
    })?;
    Ok(())
}

#[test]
fn a_wrong_setting_is_named_with_its_value_and_what_is_allowed() -> Result<()> {
    let world = World::new(REPORT)?;
    let _scheduler = world.scheduler(&[])?;
    let last =
        world.load(&["--bytes", BYTES, "--steps", "1"], &[("NVSHARE_PREFETCH", "perhaps")])?.finish()?;
    assert_eq!(last["wrong"], 0);
    let log = world.tenants_log();
    assert!(log.contains("NVSHARE_PREFETCH=\"perhaps\" is not allowed (allowed: on, off)"), "{log}");
    Ok(())
}

/// OPERATOR: a mistyped limit meant no limit, and the operator heard nothing.
#[test]
fn a_wish_that_is_not_understood_reaches_the_operator() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&[])?;
    let wishes = [("NVSHARE_MEM_LIMIT", "50%"), ("NVSHARE_WIEGHT", "3")];
    let tenant = world.load(&["--bytes", BYTES, "--seconds", "1000"], &wishes)?;
    tenant.next("step")?;
    let told = [
        "NVSHARE_MEM_LIMIT=\"50%\" is not allowed (allowed: a size such as 8GiB",
        "did you mean NVSHARE_WEIGHT?",
    ];
    until("the scheduler is told", || {
        let reports: Vec<String> =
            scheduler.status()?.tenants.into_iter().flat_map(|tenant| tenant.reports).collect();
        Ok(told.iter().all(|told| reports.iter().any(|report| report.contains(told))))
    })?;
    let (log, own) = (scheduler.log(), world.tenants_log());
    // In the daemon's log a tenant's own words are in quotes.
    assert!(log.contains("did you mean NVSHARE_WEIGHT?") && log.contains("NVSHARE_MEM_LIMIT"), "{log}");
    assert!(told.iter().all(|told| own.contains(told)), "{own}");
    Ok(())
}

#[test]
fn the_limit_is_what_the_application_sees_and_may_have() -> Result<()> {
    let world = World::new(REPORT)?;
    let _scheduler = world.scheduler(&[])?;
    let tenant = world.load(&["--bytes", "8388600", "--steps", "1"], &[("NVSHARE_MEM_LIMIT", "16MiB")])?;
    assert_eq!(tenant.next("allocated")?, 8_388_600);
    tenant.finish()?;
    let refused =
        world.load(&["--bytes", BYTES, "--steps", "1"], &[("NVSHARE_MEM_LIMIT", "16MiB")])?.finish();
    assert!(refused.is_err());
    assert!(world.tenants_log().contains("CUDA error 2"), "{}", world.tenants_log());
    Ok(())
}

#[test]
fn the_engine_that_a_process_fell_back_to_is_shown_and_said() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler =
        world.scheduler_with("[swap]\nbudget = \"2MiB\"\n[limits]\nswap_per_user = \"2MiB\"\n", &[])?;
    let engines = || -> Result<Vec<String>> {
        Ok(scheduler.status()?.tenants.into_iter().map(|tenant| tenant.engine_in_use).collect())
    };
    let small = ["--bytes", "1048576", "--seconds", "1000"];
    let auto = [("NVSHARE_ENGINE", "auto")];
    let first = world.load(&small, &auto)?;
    first.next("step")?;
    until("the first swaps", || Ok(engines()? == ["swap"]))?;
    let second = world.load(&small, &auto)?;
    second.next("step")?;
    until("the second does not", || Ok(engines()? == ["swap", "managed"]))?;
    until("its user is told", || {
        Ok(world.tenants_log().contains("the memory of this program moves by the engine managed"))
    })?;
    assert!(scheduler.log().contains("uses the engine managed"), "{}", scheduler.log());
    Ok(())
}

/// A program that ends at once has told its user and the operator why.
#[test]
fn a_refusal_by_a_limit_is_told_to_the_user_and_the_operator() -> Result<()> {
    const WHY: &str = "out of memory by the limit NVSHARE_MEM_LIMIT";
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&[])?;
    let arguments = ["--bytes", BYTES, "--steps", "1"];
    let refused = world.load(&arguments, &[("NVSHARE_MEM_LIMIT", "16MiB")])?.finish();
    assert!(refused.is_err());
    let user = world.tenants_log();
    assert_eq!(user.matches(WHY).count(), 1, "{user}");
    assert!(user.contains(" of 16 MiB"), "{user}");
    until("the operator hears of it", || Ok(scheduler.log().contains(WHY)))?;
    let quiet = [("NVSHARE_MEM_LIMIT", "16MiB"), ("NVSHARE_LOG", "off")];
    assert!(world.load(&arguments, &quiet)?.finish().is_err());
    assert_eq!(world.tenants_log().matches(WHY).count(), 1, "NVSHARE_LOG silences it");
    until("the operator hears of it", || Ok(scheduler.log().matches(WHY).count() == 2))
}

#[test]
fn a_limit_of_the_operators_is_told_as_such() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler_with("[limits]\nmemory_per_user = \"16MiB\"\n", &[])?;
    let tenant = world.load(&["--bytes", "8388600", "--seconds", "1000"], &[])?;
    tenant.next("step")?;
    let why = "out of memory by the operator's limit";
    assert!(world.load(&["--bytes", BYTES, "--steps", "1"], &[])?.finish().is_err());
    assert!(world.tenants_log().contains(why), "{}", world.tenants_log());
    until("the operator hears of it", || Ok(scheduler.log().contains(why)))
}

#[test]
fn a_program_that_waits_long_says_so_once() -> Result<()> {
    use nvshare_protocol::control::Request;
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler_with("[scheduler]\nquantum = 1000\nshare = false\n", &[])?;
    let holder = world.load(&["--bytes", BYTES, "--seconds", "1000"], &[])?;
    holder.next("step")?;
    let waiter = world.load(&["--bytes", BYTES, "--seconds", "1000"], &[])?;
    until("the second says that it waits", || {
        Ok(world.tenants_log().contains("has waited 5 s for its turn"))
    })?;
    assert!(scheduler.status()?.tenants.iter().any(|tenant| tenant.state == "waiting"));
    assert!(
        world.tenants_log().contains(&format!("nvshare[{}] warn: ", waiter.pid())),
        "{}",
        world.tenants_log()
    );
    // It is let through and waits anew.
    scheduler.ask(&Request::Off)?;
    waiter.next("step")?;
    assert_eq!(world.tenants_log().matches("for its turn").count(), 1);
    Ok(())
}

#[test]
fn without_cuda_the_library_is_silent_and_harmless() -> Result<()> {
    let world = World::new(REPORT)?;
    for (program, arguments) in [
        ("/bin/true", vec![]),
        ("/bin/sh", vec!["-c", "echo a; /bin/true | cat; (exit 0)"]),
        ("/usr/bin/env", vec![]),
    ] {
        let run = |preload: bool| -> Result<_> {
            let mut command = if preload { world.command(program)? } else { world.native(program)? };
            command.args(&arguments).stdin(Stdio::null()).stderr(Stdio::piped());
            command.env_remove("LD_LIBRARY_PATH").env("NVSHARE_SOCKET", world.socket());
            let output = command.output()?;
            let stdout = String::from_utf8(output.stdout)?;
            let lines: Vec<_> =
                stdout.lines().filter(|l| !l.starts_with("LD_PRELOAD=")).map(str::to_owned).collect();
            Ok((output.status.code(), lines, String::from_utf8(output.stderr)?))
        };
        assert_eq!(run(true)?, run(false)?, "{program}");
        assert_eq!(run(true)?.2, "");
    }
    Ok(())
}

#[test]
fn a_program_that_asks_for_a_driver_where_there_is_none_gets_the_same_answer() -> Result<()> {
    let world = World::new(REPORT)?;
    let mut command = world.command(nvshare_tests::world::built()?.join("load"))?;
    command.args(["--bytes", BYTES]).env_remove("LD_LIBRARY_PATH");
    let refused = Tenant::spawn(command)?.finish();
    assert!(refused.is_err());
    let log = world.tenants_log();
    assert!(log.contains("libcuda.so.1") && !log.contains("nvshare["), "{log}");
    Ok(())
}

#[test]
fn a_kernel_that_waits_for_a_thread_at_the_gate_costs_a_cancelled_drain_and_no_deadlock() -> Result<()> {
    let world = World::new(REPORT)?;
    let config = "[scheduler]\nquantum = 0.3\ndrain_seconds = 0.3\npatience_seconds = 1\n";
    let scheduler = world.scheduler_with(config, &[])?;
    let mut command = world.command(nvshare_tests::world::built()?.join("kernel_waits"))?;
    command.arg("4");
    let waiting = Tenant::spawn(command)?;
    waiting.next("waits")?;
    let other = world.load(&["--bytes", BYTES, "--steps", "3"], &[])?;
    assert_eq!(other.finish()?["wrong"], 0);
    assert_eq!(waiting.finish()?["ended"], true);
    assert!(world.tenants_log().contains("work did not end within 0.3 s"), "{}", world.tenants_log());
    assert!(scheduler.log().contains("cannot end its work"), "{}", scheduler.log());
    Ok(())
}

#[test]
fn a_limit_below_what_is_used_fails_the_next_allocation_and_nothing_else() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&[])?;
    let steady = world.load(&["--bytes", BYTES, "--steps", "40", "--rest-ms", "5"], &[])?;
    steady.next("step")?;
    let growing = world.load(&["--bytes", "8388608", "--seconds", "1000", "--extra", "1048576"], &[])?;
    growing.next("step").with_context(|| world.tenants_log())?;
    growing.next("step").with_context(|| world.tenants_log())?;
    for tenant in scheduler.status()?.tenants {
        let (target, limit) = (Target::Tenant(tenant.id), TenantChange::Limit(Some(1 << 20)));
        let reply = scheduler.ask(&Request::SetTenant { target, change: limit })?;
        assert!(
            matches!(&reply, Reply::Done { message } if message.contains("its next allocation fails")),
            "{reply:?}"
        );
    }
    let failed = growing.finish().unwrap_err().to_string();
    let log = world.tenants_log();
    assert!(log.contains("CUDA error 2"), "{failed}\n{log}");
    let last = steady.finish()?;
    assert_eq!((&last["wrong"], &last["steps"]), (&0.into(), &40.into()), "{last}");
    Ok(())
}
