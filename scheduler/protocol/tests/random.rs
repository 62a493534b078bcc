//! Random messages come back as they were; random bytes cost one connection and nothing more.
mod common;
use common::{
    to_scheduler, to_scheduler_2, to_scheduler_3, to_scheduler_4, to_scheduler_5, to_tenant, to_tenant_2,
    to_tenant_4, to_tenant_5,
};
use nvshare_protocol::frame::{self, MAX_BODY, Reader, Received};
use nvshare_protocol::tenant::*;
use nvshare_protocol::{Bytes, DeviceId, InstanceId, LeaseId, Nanos};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::HashSet;
use std::mem::{Discriminant, discriminant};

fn device() -> impl Strategy<Value = DeviceId> {
    any::<[u8; 16]>().prop_map(DeviceId)
}

fn shares() -> impl Strategy<Value = Vec<Share>> {
    prop::collection::vec((device(), any::<u64>()), 0..65)
        .prop_map(|list| list.into_iter().map(|(device, b)| Share { device, bytes: Bytes(b) }).collect())
}

fn moves() -> impl Strategy<Value = Vec<Moves>> {
    let one = (device(), any::<[u64; 7]>()).prop_map(|(device, bytes)| {
        let [copied_out, unchanged, zero_out, copied_in, zero_in, away_content, clean] = bytes.map(Bytes);
        Moves { device, copied_out, unchanged, zero_out, copied_in, zero_in, away_content, clean }
    });
    prop::collection::vec(one, 0..40)
}

fn from_tenants() -> impl Strategy<Value = ToScheduler> {
    let text = || ".{0,64}";
    prop_oneof![
        (any::<(u32, [u8; 16], bool, u32)>(), text(), text(), text()).prop_map(
            |(n, program, library, engine)| {
                let (version, instance, holds, pid) = n;
                let instance = InstanceId(instance);
                let (weight, limit, swap) = (Some(pid), None, Some(Bytes(u64::from(version))));
                ToScheduler::Hello(Hello {
                    version,
                    instance,
                    program,
                    library,
                    engine,
                    holds,
                    pid,
                    weight,
                    limit,
                    swap,
                    priority: Some(version),
                    time_share: holds.then_some(pid),
                    gang: holds.then(|| "job".to_owned()),
                    gang_size: holds.then_some(version),
                })
            }
        ),
        (device(), any::<u64>(), text()).prop_map(|(device, capacity, name)| ToScheduler::Device(
            DeviceInfo { device, capacity: Bytes(capacity), name }
        )),
        (device(), any::<(u64, u64, u64, Option<u32>)>()).prop_map(|(device, (a, r, i, engine))| {
            let (allocated, resident, immovable) = (Bytes(a), Bytes(r), Bytes(i));
            ToScheduler::Memory(MemoryReport { device, allocated, resident, immovable, engine })
        }),
        Just(ToScheduler::Request),
        (any::<(u64, u64)>(), shares()).prop_map(|((lease, took), fetched)| ToScheduler::Ready(Ready {
            lease: LeaseId(lease),
            fetched,
            took: Nanos(took)
        })),
        (any::<(u64, u64, u64)>(), shares()).prop_map(|((lease, drain, evict), evicted)| {
            let (lease, drain, evict) = (LeaseId(lease), Nanos(drain), Nanos(evict));
            ToScheduler::Released(Released { lease, evicted, drain, evict })
        }),
        any::<u64>().prop_map(|lease| ToScheduler::DrainCancelled(LeaseId(lease))),
        any::<u64>().prop_map(|lease| ToScheduler::Idle(LeaseId(lease))),
        ".{0,256}".prop_map(ToScheduler::Report),
        shares().prop_map(ToScheduler::Evicted),
        any::<u64>().prop_map(|bytes| ToScheduler::SwapWanted(Bytes(bytes))),
        (device(), any::<u64>())
            .prop_map(|(device, bytes)| ToScheduler::MemoryRefused(Share { device, bytes: Bytes(bytes) })),
        moves().prop_map(ToScheduler::Moves),
    ]
}

fn to_tenants() -> impl Strategy<Value = ToTenant> {
    prop_oneof![
        any::<(u32, bool, u64, Option<u64>)>().prop_map(|(version, enabled, reserve, limit)| {
            ToTenant::Welcome(Welcome { version, enabled, reserve: Bytes(reserve), limit: limit.map(Bytes) })
        }),
        (any::<(u64, bool)>(), shares()).prop_map(|((lease, contended), budget)| ToTenant::Grant(Grant {
            lease: LeaseId(lease),
            budget,
            contended
        })),
        (any::<(u64, u64)>(), shares()).prop_map(|((lease, within), evict)| ToTenant::Revoke(Revoke {
            lease: LeaseId(lease),
            evict,
            drain_within: Nanos(within)
        })),
        any::<bool>().prop_map(ToTenant::Contended),
        any::<bool>().prop_map(ToTenant::Enabled),
        ".{0,256}".prop_map(ToTenant::Refused),
        shares().prop_map(ToTenant::Evict),
        shares().prop_map(ToTenant::Fetch),
        any::<u64>().prop_map(|bytes| ToTenant::Swap(Bytes(bytes))),
        (".{0,256}", any::<bool>()).prop_map(|(why, fails)| ToTenant::NoPlace(NoPlace { why, fails })),
        ".{0,256}".prop_map(ToTenant::Notice),
        any::<(u64, Option<u64>)>().prop_map(|(reserve, limit)| {
            ToTenant::Terms(Terms { reserve: Bytes(reserve), limit: limit.map(Bytes) })
        }),
    ]
}

/// The kinds of messages that a strategy makes.
fn kinds<M: std::fmt::Debug>(strategy: impl Strategy<Value = M>) -> HashSet<Discriminant<M>> {
    let mut runner = TestRunner::deterministic();
    let mut one = || discriminant(&strategy.new_tree(&mut runner).unwrap().current());
    (0..2000).map(|_| one()).collect()
}

/// `frozen.rs` sees to it that every message has an example.
#[test]
fn every_message_has_a_strategy() {
    let examples =
        [to_scheduler(), to_scheduler_2(), to_scheduler_3(), to_scheduler_4(), to_scheduler_5()].concat();
    assert_eq!(kinds(from_tenants()), examples.iter().map(discriminant).collect());
    let examples = [to_tenant(), to_tenant_2(), to_tenant_4(), to_tenant_5()].concat();
    assert_eq!(kinds(to_tenants()), examples.iter().map(discriminant).collect());
}

/// What a reader makes of a stream that arrives in pieces of `piece` bytes.
fn in_pieces<M: for<'b> minicbor::Decode<'b, ()>>(stream: &[u8], piece: usize) -> Vec<M> {
    let mut reader = Reader::default();
    let mut read = Vec::new();
    for bytes in stream.chunks(piece) {
        reader.feed(bytes);
        while let Ok(Some(frame)) = reader.next() {
            if let Received::Message(message) = frame {
                read.push(message);
            }
        }
    }
    read
}

proptest! {
    #[test]
    fn messages_to_the_scheduler_come_back(said in prop::collection::vec(from_tenants(), 1..8), piece in 1usize..5000) {
        let mut stream = Vec::new();
        said.iter().for_each(|message| frame::write(message, &mut stream));
        prop_assert_eq!(in_pieces::<ToScheduler>(&stream, piece), said);
    }

    #[test]
    fn messages_to_tenants_come_back(said in prop::collection::vec(to_tenants(), 1..8), piece in 1usize..5000) {
        let mut stream = Vec::new();
        said.iter().for_each(|message| frame::write(message, &mut stream));
        prop_assert_eq!(in_pieces::<ToTenant>(&stream, piece), said);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096), piece in 1usize..600) {
        in_pieces::<ToScheduler>(&bytes, piece);
        in_pieces::<ToTenant>(&bytes, piece);
    }

    /// A right header before arbitrary bytes reaches the decoder each time.
    #[test]
    fn arbitrary_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 1..512)) {
        let mut stream = (body.len() as u32).to_le_bytes().to_vec();
        stream.extend(&body);
        in_pieces::<ToScheduler>(&stream, 4096);
        in_pieces::<ToTenant>(&stream, 4096);
    }

    #[test]
    fn one_wrong_byte_never_panics(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut stream = Vec::new();
        to_scheduler().iter().chain(&to_scheduler_2()).chain(&to_scheduler_3()).chain(&to_scheduler_4()).for_each(|message| frame::write(message, &mut stream));
        let place = at.index(stream.len());
        stream[place] = byte;
        in_pieces::<ToScheduler>(&stream, 64);
        let messages = [to_tenant(), to_tenant_2(), to_tenant_4()].concat();
        let mut stream = Vec::new();
        frame::write(&messages[which.index(messages.len())], &mut stream);
        let place = at.index(stream.len());
        stream[place] = byte;
        in_pieces::<ToTenant>(&stream, 64);
    }

    /// One frame and one read, doubled by the growth of a vector.
    #[test]
    fn a_reader_stays_small(bytes in prop::collection::vec(any::<u8>(), 0..65536), fits in any::<bool>()) {
        let mut stream = bytes;
        if fits {
            for frame in stream.chunks_mut(MAX_BODY) {
                let body = (frame.len() as u32).saturating_sub(4);
                if frame.len() > 4 { frame[..4].copy_from_slice(&body.to_le_bytes()); }
            }
        }
        let mut reader = Reader::default();
        'stream: for read in stream.chunks(4096) {
            reader.feed(read);
            prop_assert!(reader.footprint() <= 2 * (4 + MAX_BODY + 4096));
            loop {
                match reader.next::<ToScheduler>() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
    }
}
