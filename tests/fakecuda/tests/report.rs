//! The report's card and figures, from events and the device's log: simulated time, whatever the host does.
mod support;
use support::{Cuda, await_word, child, is_role, log, run};

const GIB: u64 = 1 << 30;
/// Simulated bytes for each real one, and 12 GiB at that scale.
const SCALE: u64 = 512;
const TENANT: u64 = 12 * GIB / SCALE;
const CARD: &[(&str, &str)] =
    &[("FAKECUDA_CARD", "report"), ("FAKECUDA_BYTE_SCALE", "512"), ("FAKECUDA_TIME_SCALE", "100")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    CARD.iter().chain(more).copied().collect()
}

fn near(got: f64, expected: f64, what: &str) {
    assert!((got / expected - 1.0).abs() < 0.02, "{what}: {got} s, expected {expected} s within 2 %");
}

#[test]
fn twelve_gib_by_faults_take_47_seconds_and_in_bulk_0_8() {
    run("tenant_faults_and_prefetches", CARD);
}

#[test]
fn tenant_faults_and_prefetches() {
    if !is_role("tenant_faults_and_prefetches") {
        return;
    }
    let cuda = Cuda::begin();
    let (fill, add_one, stream) = (cuda.function("fill"), cuda.function("add_one"), cuda.stream());
    let at = cuda.managed(TENANT);
    let words = TENANT / 4;
    let first = cuda.time(stream, || assert_eq!(cuda.launch(fill, stream, &[at, 7, words]), 0));
    assert!(first < 0.1, "never touched memory is only zeroed, but took {first} s");
    let kernel = cuda.time(stream, || assert_eq!(cuda.launch(add_one, stream, &[at, words]), 0));

    let out = cuda.time(stream, || cuda.prefetch(at, TENANT, -1, stream));
    near(out, 0.805, "to the host");
    let faults = cuda.time(stream, || assert_eq!(cuda.launch(add_one, stream, &[at, words]), 0));
    near(faults - kernel, 47.19, "demand paging");

    cuda.prefetch(at, TENANT, -1, stream);
    let bulk = cuda.time(stream, || {
        for piece in 0..192 {
            cuda.prefetch(at + piece * TENANT / 192, TENANT / 192, 0, stream);
        }
    });
    near(bulk, 0.807, "bulk prefetch in pieces of 64 MiB");
    let resident = cuda.time(stream, || assert_eq!(cuda.launch(add_one, stream, &[at, words]), 0));
    near(resident, kernel, "a kernel after the prefetch");

    let mut words = vec![0_u32; words as usize];
    ok!(cuda, "cuMemcpyDtoH_v2", words.as_mut_ptr(), at, TENANT);
    assert!(words.iter().all(|word| *word == 10), "filled with 7, one added three times");
}

#[test]
fn one_process_copies_in_while_another_copies_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let (at, log_at) = (dir.path().to_str().unwrap(), path.to_str().unwrap());
    // Real time, so that both are busy at once for 0.4 s however late one starts.
    let settings = with(&[("FAKECUDA_DIR", at), ("FAKECUDA_LOG", log_at), ("FAKECUDA_TIME_SCALE", "1")]);
    let mut tenants = [child("tenant_goes_round", &settings), child("tenant_goes_round", &settings)];
    for tenant in &mut tenants {
        await_word(tenant, "ready");
    }
    let done = tenants.map(|mut tenant| {
        drop(tenant.stdin.take());
        tenant
    });
    for tenant in done {
        assert!(tenant.wait_with_output().unwrap().status.success());
    }
    let lines = log(&path);
    let overlap: f64 = lines
        .iter()
        .filter(|a| a.operation == "prefetch_in" && a.bytes > 0)
        .flat_map(|a| {
            lines.iter().filter(move |b| b.operation == "prefetch_out" && b.pid != a.pid).map(move |b| (a, b))
        })
        .map(|(a, b)| (a.start + a.seconds).min(b.start + b.seconds) - a.start.max(b.start))
        .filter(|seconds| *seconds > 0.0)
        .sum();
    assert!(overlap > 0.05, "in and out overlapped for {overlap} s only: {lines:?}");
    for line in lines.iter().filter(|l| l.operation.starts_with("prefetch") && l.bytes > 0) {
        near(line.seconds, line.bytes as f64 / 16e9, "a copy beside another in the other direction");
    }
}

#[test]
fn tenant_goes_round() {
    if !is_role("tenant_goes_round") {
        return;
    }
    let cuda = Cuda::begin();
    let (fill, stream) = (cuda.function("fill"), cuda.stream());
    let bytes = TENANT / 8;
    let at = cuda.managed(bytes);
    assert_eq!(cuda.launch(fill, stream, &[at, 1, bytes / 4]), 0);
    cuda.synchronize();
    println!("ready");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    for _ in 0..6 {
        cuda.prefetch(at, bytes, -1, stream);
        cuda.prefetch(at, bytes, 0, stream);
    }
    cuda.synchronize();
}

#[test]
fn a_second_tenant_evicts_the_first_and_a_killed_one_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = with(&[("FAKECUDA_DIR", dir.path().to_str().unwrap())]);
    let mut first = child("tenant_stays", &settings);
    await_word(&mut first, "ready");
    run("tenant_beside_another", &settings);
    first.kill().unwrap();
    first.wait().unwrap();
    run("tenant_alone", &settings);
}

#[test]
fn tenant_stays() {
    if !is_role("tenant_stays") {
        return;
    }
    let cuda = Cuda::begin();
    let fill = cuda.function("fill");
    let at = cuda.managed(TENANT);
    let plain = cuda.plain(GIB / SCALE).unwrap();
    assert_eq!(cuda.launch(fill, 0, &[at, 1, TENANT / 4]), 0);
    cuda.synchronize();
    println!("ready {plain:#x}");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

#[test]
fn tenant_beside_another() {
    if !is_role("tenant_beside_another") {
        return;
    }
    let cuda = Cuda::begin();
    assert_eq!(cuda.free_bytes(), 3 * GIB / SCALE, "12 GiB resident and 1 GiB plain of 16");
    assert_eq!(cuda.plain(16 * GIB / SCALE), Err(2), "more than can be evicted");
    let (fill, stream) = (cuda.function("fill"), cuda.stream());
    let at = cuda.managed(TENANT);
    let first = cuda.time(stream, || assert_eq!(cuda.launch(fill, stream, &[at, 1, TENANT / 4]), 0));
    near(first, 9.0 * GIB as f64 / 16e9, "zeroing memory for which 9 GiB of another must go");
    assert_eq!(cuda.free_bytes(), 0);
}

#[test]
fn tenant_alone() {
    if !is_role("tenant_alone") {
        return;
    }
    assert_eq!(Cuda::begin().free_bytes(), 16 * GIB / SCALE, "the killed process's memory is free");
}
