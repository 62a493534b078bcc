//! The bytes of every message of every version. Lines are only ever added: a library in a running
//! container still speaks as it was built.
mod common;
use common::{
    to_scheduler, to_scheduler_2, to_scheduler_3, to_scheduler_4, to_scheduler_5, to_tenant, to_tenant_2,
    to_tenant_4, to_tenant_5,
};
use minicbor::{Decode, Encode};
use nvshare_protocol::frame::{self, Broken, Reader, Received};
use nvshare_protocol::tenant::{ToScheduler, ToTenant};
use std::fmt::Debug;

const TO_SCHEDULER_1: &[&str] = &[
    "300000008200818701506665646362613938373635343332313067707974686f6e3365302e312e30676d616e61676564f5191267",
    "2a0000008201818350303132333435363738396162636465661b00000004000000006b4e56494449412048323030",
    "240000008202818450303132333435363738396162636465661b00000003000000001a0020000001",
    "03000000820380",
    "260000008204818303818250303132333435363738396162636465661b00000003000000001a0f7f4900",
    "3a0000008205818403828250303132333435363738396162636465661bffffffffffffffff82503031323334353637383961626364656600051a3b9aca00",
    "0400000082068103",
    "1b000000820781773337206c61756e63686573206d6574206e6f2067617465",
    "0400000082088103",
];

const TO_TENANT_1: &[&str] = &[
    "0c0000008200818401f51a4000000005",
    "070000008200818301f400",
    "220000008201818304818250303132333435363738396162636465661b0000000380000000f5",
    "260000008202818304818250303132333435363738396162636465661bffffffffffffffff1a77359400",
    "04000000820381f5",
    "04000000820481f4",
    "22000000820581781d636f6e6e656374696f6e73203d20313032342069732072656163686564",
];

const TO_SCHEDULER_2: &[&str] = &[
    "3f0000008200818a02506665646362613938373635343332313067707974686f6e3365302e312e30676d616e61676564f5191267031b00000002000000001a40000000",
    "1b000000820981818250303132333435363738396162636465661a00200000",
    "0c000000820a811b0000000300000000",
];

const TO_SCHEDULER_3: &[&str] = &[
    "1a000000820b818250303132333435363738396162636465661a04000000",
    "400000008200818b03506665646362613938373635343332313067707974686f6e3365302e312e30676d616e61676564f5191267031b00000002000000001a4000000002",
    "420000008200818c03506665646362613938373635343332313067707974686f6e3365302e312e30676d616e61676564f5191267031b00000002000000001a40000000f6181e",
];

const TO_SCHEDULER_4: &[&str] =
    &["250000008202818550303132333435363738396162636465661b00000003000000001a002000000101"];

const TO_SCHEDULER_5: &[&str] = &[
    "520000008200818d05506665646362613938373635343332313067707974686f6e3365302e312e30676d616e61676564f5191267031b00000002000000001a40000000f6f670746f7263683a686f73743a3239353030",
    "530000008200818e05506665646362613938373635343332313067707974686f6e3365302e312e30676d616e61676564f5191267031b00000002000000001a40000000f6f670746f7263683a686f73743a323935303002",
    "49000000820c81818850303132333435363738396162636465661b00000002000000001b00000004000000001b0000000e000000001b00000006000000001bffffffffffffffff1a0020000000",
];

const TO_TENANT_2: &[&str] = &[
    "1f000000820681818250303132333435363738396162636465661bffffffffffffffff",
    "32000000820781828250303132333435363738396162636465661b000000010000000082503031323334353637383961626364656600",
    "0c0000008208811b0000000300000000",
];

const TO_TENANT_4: &[&str] = &[
    "2000000082098182781974656e616e7473203d20313032342069732072656163686564f5",
    "24000000820a81781f7468697320686f737420646f6573206e6f74206b6e6f772074686520475055",
];

const TO_TENANT_5: &[&str] = &["12000000820b81821a400000001b0000000200000000", "09000000820b81811a40000000"];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn read<M: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Result<Option<Received<M>>, Broken> {
    let mut reader = Reader::default();
    reader.feed(bytes);
    reader.next()
}

fn is_frozen<M>(messages: &[M], frozen: &[&str])
where
    M: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + Debug + Clone,
{
    let written: Vec<String> = messages
        .iter()
        .map(|message| {
            let mut out = Vec::new();
            frame::write(message, &mut out);
            hex(&out)
        })
        .collect();
    assert_eq!(written, frozen, "this build writes other bytes than that version did");
    for (message, line) in messages.iter().zip(frozen) {
        assert_eq!(read(&bytes(line)), Ok(Some(Received::Message(message.clone()))), "{line}");
    }
}

#[test]
fn messages_to_the_scheduler_keep_their_bytes() {
    is_frozen(&to_scheduler(), TO_SCHEDULER_1);
    is_frozen(&to_scheduler_2(), TO_SCHEDULER_2);
    is_frozen(&to_scheduler_3(), TO_SCHEDULER_3);
    is_frozen(&to_scheduler_4(), TO_SCHEDULER_4);
    is_frozen(&to_scheduler_5(), TO_SCHEDULER_5);
}

#[test]
fn messages_to_a_tenant_keep_their_bytes() {
    is_frozen(&to_tenant(), TO_TENANT_1);
    is_frozen(&to_tenant_2(), TO_TENANT_2);
    is_frozen(&to_tenant_4(), TO_TENANT_4);
    is_frozen(&to_tenant_5(), TO_TENANT_5);
}

/// A new variant breaks this match, and so asks for its example and its line above.
#[test]
fn every_message_has_an_example() {
    let mut seen = [false; 13];
    for message in to_scheduler()
        .into_iter()
        .chain(to_scheduler_2())
        .chain(to_scheduler_3())
        .chain(to_scheduler_4())
        .chain(to_scheduler_5())
    {
        seen[match message {
            ToScheduler::Hello(_) => 0,
            ToScheduler::Device(_) => 1,
            ToScheduler::Memory(_) => 2,
            ToScheduler::Request => 3,
            ToScheduler::Ready(_) => 4,
            ToScheduler::Released(_) => 5,
            ToScheduler::DrainCancelled(_) => 6,
            ToScheduler::Report(_) => 7,
            ToScheduler::Idle(_) => 8,
            ToScheduler::Evicted(_) => 9,
            ToScheduler::SwapWanted(_) => 10,
            ToScheduler::MemoryRefused(_) => 11,
            ToScheduler::Moves(_) => 12,
        }] = true;
    }
    assert_eq!(seen, [true; 13]);
    let mut seen = [false; 12];
    let all = to_tenant().into_iter().chain(to_tenant_2()).chain(to_tenant_4()).chain(to_tenant_5());
    for message in all {
        seen[match message {
            ToTenant::Welcome(_) => 0,
            ToTenant::Grant(_) => 1,
            ToTenant::Revoke(_) => 2,
            ToTenant::Contended(_) => 3,
            ToTenant::Enabled(_) => 4,
            ToTenant::Refused(_) => 5,
            ToTenant::Evict(_) => 6,
            ToTenant::Fetch(_) => 7,
            ToTenant::Swap(_) => 8,
            ToTenant::NoPlace(_) => 9,
            ToTenant::Notice(_) => 10,
            ToTenant::Terms(_) => 11,
        }] = true;
    }
    assert_eq!(seen, [true; 12]);
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32).to_le_bytes().to_vec();
    out.extend_from_slice(body);
    out
}

#[test]
fn a_field_of_a_newer_version_is_skipped() {
    let mut body = Vec::new();
    let mut cbor = minicbor::Encoder::new(&mut body);
    // Contended(true), then a map that no version 1 knows.
    cbor.array(2).unwrap().u32(3).unwrap().array(2).unwrap().bool(true).unwrap();
    cbor.map(1).unwrap().str("since").unwrap().begin_array().unwrap().u8(7).unwrap().end().unwrap();
    assert_eq!(read(&framed(&body)), Ok(Some(Received::Message(ToTenant::Contended(true)))));

    // Welcome without the optional limit, as a version without that field would say it.
    let mut body = Vec::new();
    let mut cbor = minicbor::Encoder::new(&mut body);
    cbor.array(2).unwrap().u32(0).unwrap().array(1).unwrap().array(3).unwrap();
    cbor.u32(1).unwrap().bool(true).unwrap().u64(9).unwrap();
    let Ok(Some(Received::Message(ToTenant::Welcome(welcome)))) = read(&framed(&body)) else { panic!() };
    assert_eq!((welcome.reserve.0, welcome.limit), (9, None));
}

#[test]
fn a_message_of_a_newer_version_is_skipped_and_the_next_is_read() {
    let mut body = Vec::new();
    let mut cbor = minicbor::Encoder::new(&mut body);
    cbor.array(2).unwrap().u32(99).unwrap().array(1).unwrap().str("news").unwrap();
    let mut stream = framed(&body);
    frame::write(&ToScheduler::Request, &mut stream);
    let mut reader = Reader::default();
    reader.feed(&stream);
    assert_eq!(reader.next::<ToScheduler>(), Ok(Some(Received::Unknown)));
    assert_eq!(reader.next(), Ok(Some(Received::Message(ToScheduler::Request))));
    assert_eq!(reader.next::<ToScheduler>(), Ok(None));
}

#[test]
fn what_is_no_message_breaks_the_stream_and_says_why() {
    assert_eq!(read::<ToScheduler>(&[0; 4]), Err(Broken::Length(0)));
    assert_eq!(read::<ToScheduler>(&u32::MAX.to_le_bytes()), Err(Broken::Length(u32::MAX)));
    assert_eq!(
        read::<ToScheduler>(&16_385_u32.to_le_bytes()).unwrap_err().to_string(),
        "a frame of 16385 bytes (allowed: 1 to 16384)"
    );
    assert!(matches!(read::<ToScheduler>(&framed(b"GET / HTTP/1.1")), Err(Broken::Body(_))));
    let mut body = Vec::new();
    minicbor::encode(ToScheduler::Request, &mut body).unwrap();
    body.extend([0, 0]);
    let error = read::<ToScheduler>(&framed(&body)).unwrap_err();
    assert_eq!(error.to_string(), "a frame that cannot be decoded: 2 bytes after its end");
}

#[test]
fn a_list_that_announces_more_than_it_holds_costs_nothing() {
    let mut body = Vec::new();
    let mut cbor = minicbor::Encoder::new(&mut body);
    cbor.array(2).unwrap().u32(4).unwrap().array(1).unwrap().array(3).unwrap();
    cbor.u64(1).unwrap().array(1 << 60).unwrap();
    assert!(matches!(read::<ToScheduler>(&framed(&body)), Err(Broken::Body(_))));
}

/// The fuzz targets begin with each version's messages, in one piece of 4096 bytes.
#[test]
fn the_fuzz_corpus_has_every_version() {
    let versions = [
        ("to-scheduler/version-1", TO_SCHEDULER_1),
        ("to-scheduler/version-2", TO_SCHEDULER_2),
        ("to-scheduler/version-3", TO_SCHEDULER_3),
        ("to-scheduler/version-4", TO_SCHEDULER_4),
        ("to-scheduler/version-5", TO_SCHEDULER_5),
        ("to-tenant/version-1", TO_TENANT_1),
        ("to-tenant/version-2", TO_TENANT_2),
        ("to-tenant/version-4", TO_TENANT_4),
    ];
    for (name, frozen) in versions {
        let path = format!("{}/../../tests/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let corpus = std::fs::read(&path).unwrap_or_default();
        let wanted = format!("ff0f{}", frozen.concat());
        assert_eq!(hex(&corpus), wanted, "{path} must have these bytes");
    }
}
