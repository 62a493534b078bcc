use super::*;
use crate::nvml::{DeviceReport, Inventory};

const ANN: u64 = 1;
const BOB: u64 = 2;

fn id(n: u64) -> DeviceId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    DeviceId(id)
}

fn device(n: u64, capacity: u64) -> DeviceInfo {
    DeviceInfo { device: id(n), capacity: Bytes(capacity), name: format!("GPU {n}") }
}

fn tenant(n: u64) -> TenantId {
    TenantId(n)
}

/// A machine whose host knows nothing.
fn unknown() -> Devices {
    Devices::new(BTreeMap::new(), false)
}

fn lists(devices: &[(u64, u64)]) -> Answer {
    let found = |&(n, total): &(u64, u64)| DeviceReport {
        device: id(n),
        total: Some(Bytes(total)),
        used: None,
        processes: None,
        utilization: None,
        place: None,
    };
    Answer::Inventory(Inventory { question: 0, complete: true, devices: devices.iter().map(found).collect() })
}

fn capacity_of(machine: &Devices, n: u64) -> u64 {
    machine.get(id(n)).unwrap().capacity.0
}

#[test]
fn the_largest_word_counts_while_it_is_there_and_the_core_hears_of_changes() {
    let mut machine = unknown();
    let sized = Change::Resized(id(1));
    let uses = |n| Change::Attached(tenant(n), id(1), None);
    assert_eq!(machine.claim(ANN, tenant(1), device(1, 1)), [sized.clone(), uses(1)]);
    assert_eq!(machine.claim(BOB, tenant(2), device(1, 16)), [sized.clone(), uses(2)]);
    assert_eq!(machine.claim(BOB, tenant(3), device(1, 16)), [uses(3)], "no news");
    assert_eq!((capacity_of(&machine, 1), machine.claimed(tenant(1), id(1))), (16, Some(Bytes(1))));
    let (changes, unused) = machine.leave(BOB, tenant(2), [id(1)].into_iter());
    assert_eq!((changes, unused), (vec![], vec![]));
    let (changes, unused) = machine.leave(BOB, tenant(3), [id(1)].into_iter());
    assert_eq!((changes, unused), (vec![sized.clone()], vec![]));
    let (changes, unused) = machine.leave(ANN, tenant(1), [id(1)].into_iter());
    assert_eq!((changes, unused), (vec![], vec![id(1)]), "its word is not the last one");
    assert_eq!(machine.claim(BOB, tenant(4), device(1, 16)), [sized, uses(4)]);
    assert_eq!(capacity_of(&machine, 1), 16);
}

#[test]
fn nvml_corrects_what_tenants_said() {
    let mut machine = Devices::new(BTreeMap::new(), true);
    machine.claim(ANN, tenant(1), device(1, 1 << 46));
    assert_eq!((capacity_of(&machine, 1), machine.get(id(1)).unwrap().from), (1 << 46, Source::Tenants));
    assert_eq!(machine.update(&lists(&[(1, 100)])), [Change::Resized(id(1))]);
    assert_eq!((capacity_of(&machine, 1), machine.get(id(1)).unwrap().from), (100, Source::Nvml));
    assert_eq!(machine.update(&lists(&[(1, 100)])), [], "no news");
    let uses = Change::Attached(tenant(2), id(1), None);
    assert_eq!(machine.claim(BOB, tenant(2), device(1, 99)), [Change::Resized(id(1)), uses]);
    assert_eq!(capacity_of(&machine, 1), 99, "as CUDA says");
}

#[test]
fn the_log_has_each_word_once_and_none_of_tenants_before_nvmls() {
    let mut machine = Devices::new(BTreeMap::new(), true);
    for n in 1..3 {
        machine.claim(ANN, tenant(n), device(1, 99));
        assert_eq!(machine.take_size_news(id(1)), None);
        machine.update(&lists(&[(1, 100)]));
        let expected = Some((Bytes(99), Source::Nvml)).filter(|_| n == 1);
        assert_eq!((machine.take_size_news(id(1)), machine.take_size_news(id(1))), (expected, None));
        machine.leave(ANN, tenant(n), [id(1)].into_iter());
    }
}

#[test]
fn an_unknown_device_waits_with_its_memory_until_it_is_known() {
    let mut machine = Devices::new(BTreeMap::new(), true);
    machine.update(&lists(&[(1, 100)]));
    assert_eq!(machine.claim(ANN, tenant(1), device(2, 50)), []);
    assert_eq!(machine.take_refusals(), [(tenant(1), id(2), RefusalReason::Unknown)]);
    assert_eq!(machine.take_refusals(), [], "once");
    let memory = MemoryReport {
        device: id(2),
        allocated: Bytes(5),
        resident: Bytes(5),
        immovable: Bytes(0),
        engine: None,
    };
    assert!(machine.remember_refused(ANN, tenant(1), id(2), Some(&memory)));
    assert!(machine.remember_refused(ANN, tenant(1), id(2), None));
    assert_eq!(machine.refused_count(ANN, tenant(1)), 1);
    let changes = machine.update(&lists(&[(1, 100), (2, 50)]));
    assert_eq!(changes, [Change::Resized(id(2)), Change::Attached(tenant(1), id(2), Some(memory))]);
    assert_eq!(machine.refused_count(ANN, tenant(1)), 0);
}

#[test]
fn what_was_used_before_nvml_spoke_stays_and_words_wait_for_it() {
    let mut machine = Devices::new(BTreeMap::from([(id(9), Bytes(9))]), true);
    assert_eq!(machine.claim(ANN, tenant(1), device(1, 5)), [], "another one is configured");
    assert_eq!(machine.take_refusals(), [], "NVML may know it");
    assert_eq!(machine.update(&lists(&[(1, 5)])).len(), 2);
    assert_eq!(machine.take_refusals(), []);
    let mut machine = Devices::new(BTreeMap::new(), true);
    machine.claim(ANN, tenant(1), device(1, 5));
    assert_eq!(machine.update(&lists(&[(2, 5)])), [Change::Resized(id(1))]);
    assert_eq!(
        machine.take_size_news(id(1)),
        Some((Bytes(5), Source::Tenants)),
        "the only word that there is"
    );
    assert_eq!(machine.claimed(tenant(1), id(1)), Some(Bytes(5)));
    machine.claim(ANN, tenant(2), device(1, 5));
    assert_eq!(machine.refused_count(ANN, tenant(2)), 1, "and is refused to whoever comes then");
}

#[test]
fn an_owner_brings_in_so_many_and_the_next_when_one_is_gone() {
    let mut machine = unknown();
    for n in 0..MOST_BY_OWNER as u64 {
        assert_eq!(machine.claim(ANN, tenant(n % 2), device(n, 1)).len(), 2);
    }
    assert_eq!(machine.claim(ANN, tenant(2), device(900, 1)), []);
    assert_eq!(machine.claim(ANN, tenant(2), device(901, 1)), []);
    assert_eq!(
        machine.take_refusals().iter().map(|word| word.2).collect::<Vec<_>>(),
        [RefusalReason::OwnerLimit; 2]
    );
    assert_eq!(machine.claim(ANN, tenant(2), device(3, 1)).len(), 1, "one that it has takes no other place");
    assert_eq!(machine.claim(BOB, tenant(3), device(900, 1)).len(), 2, "another owner has places of its own");
    let (changes, _) = machine.leave(ANN, tenant(0), [id(0)].into_iter());
    assert_eq!(
        changes,
        [Change::Attached(tenant(2), id(900), None)],
        "the first one is another's too by now, and takes a place of this one all the same"
    );
}

#[test]
fn a_device_takes_a_place_of_each_owner_whose_tenants_name_it() {
    let mut machine = unknown();
    machine.claim(ANN, tenant(1), device(1, 1));
    machine.claim(ANN, tenant(2), device(1, 1));
    machine.claim(BOB, tenant(3), device(1, 1));
    assert_eq!(machine.charged, HashMap::from([(ANN, 1), (BOB, 1)]));
    machine.leave(ANN, tenant(1), [id(1)].into_iter());
    assert_eq!(machine.charged, HashMap::from([(ANN, 1), (BOB, 1)]));
    machine.leave(ANN, tenant(2), [id(1)].into_iter());
    assert_eq!(machine.charged, HashMap::from([(BOB, 1)]));
    machine.leave(BOB, tenant(3), [id(1)].into_iter());
    assert_eq!((machine.charged.len(), machine.used), (0, 0));
}

#[test]
fn two_owners_that_name_each_others_inventions_have_no_more_than_their_bounds() {
    let mut machine = unknown();
    for round in 0..100 {
        let (ann, bob) = (tenant(2 * round), tenant(2 * round + 1));
        let invented = || (0..64).map(move |n| round * 64 + n);
        invented().for_each(|n| drop(machine.claim(ANN, ann, device(n, 1))));
        invented().for_each(|n| drop(machine.claim(BOB, bob, device(n, 1))));
        machine.leave(ANN, ann, invented().map(id));
        assert!(machine.used <= 2 * MOST_BY_OWNER, "round {round}: {} devices", machine.used);
    }
    assert_eq!(machine.claim(3, tenant(999), device(9999, 16)).len(), 2);
    assert_eq!(capacity_of(&machine, 9999), 16);
}

#[test]
fn a_full_table_takes_an_owners_first_devices_all_the_same_and_more_when_there_is_room() {
    let mut machine = unknown();
    for n in 0..MOST as u64 {
        assert_eq!(machine.claim(1000 + n / 64, tenant(n / 64), device(n, 1)).len(), 2);
    }
    let first = 9000..9000 + ALWAYS_BY_OWNER as u64;
    for n in first.clone() {
        assert_eq!(machine.claim(ANN, tenant(999), device(n, 16)).len(), 2, "whoever has filled it");
        assert_eq!(capacity_of(&machine, n), 16);
    }
    assert_eq!(machine.claim(ANN, tenant(999), device(5, 1)).len(), 1, "one that is there is no new one");
    assert_eq!(machine.claim(ANN, tenant(999), device(9999, 1)), []);
    assert_eq!(machine.take_refusals(), [(tenant(999), id(9999), RefusalReason::HostLimit)]);
    machine.leave(1000, tenant(0), (0..64).map(id));
    assert_eq!(machine.get(id(9999)).unwrap().users.len(), 1);
    machine.leave(ANN, tenant(999), first.chain([5, 9999]).map(id));
    assert_eq!((machine.used, machine.charged.contains_key(&ANN)), (MOST - 64, false));
    machine.claim(ANN, tenant(1000), device(7777, 1));
    assert!(machine.devices.len() <= MOST + ALWAYS_BY_OWNER);
}

#[test]
fn a_device_that_the_host_knows_takes_no_place() {
    let mut machine = Devices::new((0..100).map(|n| (id(n), Bytes(7))).collect(), false);
    for n in 0..100 {
        assert_eq!(machine.claim(ANN, tenant(1), device(n, 5)).len(), 2);
    }
    assert_eq!((machine.charged.len(), capacity_of(&machine, 3)), (0, 7));
}

#[test]
fn of_many_refusals_of_one_tenant_few_are_told() {
    let mut machine = Devices::new(BTreeMap::from([(id(1), Bytes(1))]), false);
    for n in 10..70 {
        machine.claim(ANN, tenant(1), device(n, 1));
    }
    assert_eq!((machine.take_refusals().len(), machine.refused_count(ANN, tenant(1))), (4, 60));
    machine.leave(ANN, tenant(1), [].into_iter());
    assert_eq!(machine.refused_count(ANN, tenant(1)), 0);
}
