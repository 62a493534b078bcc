//! What stands behind the name of an event, an action or the settings: `name=word`, one for each field. Every type of a
//! field is written and read here, and nowhere else.
use crate::event::Stuck;
use crate::model::gang_state::GangState;
use crate::model::ids::TenantId;
use crate::model::priority::Priority;
use crate::model::settings::{EvictMode, Quantum, Settings};
use crate::trace::{parse, print};
use nvshare_protocol::tenant::{Grant, Moves, Ready, Released, Revoke, Share};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::BTreeMap;
use std::fmt;

/// Why a line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub(crate) String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Fault {}

/// The `name=word` fields of a line that have not been taken yet.
pub(crate) struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    pub fn new(words: impl Iterator<Item = &'a str>) -> Result<Self, Fault> {
        let split = |word: &'a str| word.split_once('=').ok_or_else(|| Fault(format!("`{word}` has no `=`")));
        words.map(split).collect::<Result<_, _>>().map(Self)
    }

    pub fn take<T: Word>(&mut self, name: &str) -> Result<T, Fault> {
        let at = self.0.iter().position(|field| field.0 == name);
        let (_, word) = self.0.swap_remove(at.ok_or_else(|| Fault(format!("`{name}` is missing")))?);
        T::read(word).ok_or_else(|| Fault(format!("`{name}` cannot be `{word}`")))
    }

    pub fn take_or<T: Word>(&mut self, name: &str, absent: T) -> Result<T, Fault> {
        if self.0.iter().any(|field| field.0 == name) { self.take(name) } else { Ok(absent) }
    }

    /// Nothing is left over.
    pub fn end(&self) -> Result<(), Fault> {
        match self.0.first() {
            Some((name, _)) => Err(Fault(format!("`{name}` does not belong here"))),
            None => Ok(()),
        }
    }
}

/// A field of an event or an action: one word, or several fields of its own.
pub(crate) trait Field: Sized {
    fn write(&self, name: &str, line: &mut String);
    fn read(name: &str, fields: &mut Fields<'_>) -> Result<Self, Fault>;
}

/// What is written as one word.
pub(crate) trait Word: Sized {
    fn word(&self) -> String;
    /// None: the word cannot be read.
    fn read(word: &str) -> Option<Self>;
}

impl<T: Word> Field for T {
    fn write(&self, name: &str, line: &mut String) {
        // A field's name in the trace has hyphens.
        *line += &format!(" {}={}", name.replace('_', "-"), self.word());
    }

    fn read(name: &str, fields: &mut Fields<'_>) -> Result<Self, Fault> {
        fields.take(&name.replace('_', "-"))
    }
}

/// `type: |value| its word, |word| the value;` for each type that is one word.
macro_rules! words {
    ($($type:ty: |$value:ident| $write:expr, |$word:ident| $read:expr;)*) => {
        $(impl Word for $type {
            fn word(&self) -> String {
                let $value = self;
                $write
            }

            fn read($word: &str) -> Option<Self> {
                $read
            }
        })*
    };
}

words! {
    u32: |n| n.to_string(), |word| word.parse().ok();
    u64: |n| n.to_string(), |word| number(word);
    Option<u32>: |n| n.map_or_else(|| "none".into(), |n| n.to_string()), |word| {
        if word == "none" { Some(None) } else { word.parse().ok().map(Some) }
    };
    usize: |n| n.to_string(), |word| word.parse().ok();
    bool: |is| is.to_string(), |word| word.parse().ok();
    TenantId: |id| id.0.to_string(), |word| number(word).map(TenantId);
    LeaseId: |id| id.0.to_string(), |word| number(word).map(LeaseId);
    DeviceId: |id| id.to_string(), |word| device(word);
    Nanos: |time| seconds(*time), |word| nanos(word);
    Bytes: |bytes| bytes.0.to_string(), |word| {
        if word == "max" { Some(Bytes::MAX) } else { number(word).map(Bytes) }
    };
    MaxBytes: |bytes| if bytes.0 == Bytes::MAX { "max".into() } else { bytes.0.word() }, |word| {
        Word::read(word).map(MaxBytes)
    };
    Priority: |priority| priority.as_str().to_owned(), |word| Priority::named(word);
    EvictMode: |mode| mode.as_str().to_owned(), |word| EvictMode::named(word);
    GangState: |state| state.as_str().to_owned(), |word| {
        GangState::ALL.into_iter().find(|state| state.as_str() == word)
    };
    Stuck: |why| why.as_str().to_owned(), |word| Stuck::ALL.into_iter().find(|why| why.as_str() == word);
    Quantum: |quantum| quantum_word(*quantum), |word| {
        if word == "auto" { Some(Quantum::Auto) } else { nanos(word).map(Quantum::Fixed) }
    };
    Option<Quantum>: |quantum| quantum.map_or_else(|| "none".into(), quantum_word), |word| {
        if word == "none" { Some(None) } else { Word::read(word).map(Some) }
    };
    Vec<Share>: |shares| list(shares.iter().map(|share| (share.device, MaxBytes(share.bytes)))), |word| {
        Some(read_list(word)?.into_iter().map(|(device, MaxBytes(bytes))| Share { device, bytes }).collect())
    };
    Vec<(TenantId, Bytes)>: |kept| list(kept.iter().copied()), |word| read_list(word);
    BTreeMap<DeviceId, Quantum>: |quanta| list(quanta.iter().map(|(device, quantum)| (*device, *quantum))), |word| {
        Some(read_list(word)?.into_iter().collect())
    };
}

/// Bytes of which the most means all of them.
pub(crate) struct MaxBytes(pub Bytes);

/// `type { its fields };` for each type whose fields stand beside those around it.
macro_rules! structs {
    ($($type:ident { $($field:ident),* };)*) => {
        $(impl Field for $type {
            fn write(&self, _: &str, line: &mut String) {
                $(Field::write(&self.$field, stringify!($field), line);)*
            }

            fn read(_: &str, fields: &mut Fields<'_>) -> Result<Self, Fault> {
                Ok(Self { $($field: Field::read(stringify!($field), fields)?),* })
            }
        })*
    };
}

impl Field for Settings {
    fn write(&self, _: &str, line: &mut String) {
        print::rules(self, line);
    }

    fn read(_: &str, fields: &mut Fields<'_>) -> Result<Self, Fault> {
        parse::rules(fields)
    }
}

structs! {
    Ready { lease, fetched, took };
    Released { lease, evicted, drain, evict };
    Moves { device, copied_out, unchanged, zero_out, copied_in, zero_in, away_content, clean };
    Grant { lease, budget, contended };
    Revoke { lease, evict, drain_within };
}

/// `[a:b,c:d]`.
fn list<A: Word, B: Word>(pairs: impl Iterator<Item = (A, B)>) -> String {
    let words: Vec<String> = pairs.map(|(a, b)| format!("{}:{}", a.word(), b.word())).collect();
    format!("[{}]", words.join(","))
}

fn read_list<A: Word, B: Word>(word: &str) -> Option<Vec<(A, B)>> {
    let inner = word.strip_prefix('[')?.strip_suffix(']')?;
    let pair = |word: &str| {
        let (a, b) = word.split_once(':')?;
        Some((A::read(a)?, B::read(b)?))
    };
    inner.split(',').filter(|_| !inner.is_empty()).map(pair).collect()
}

fn quantum_word(quantum: Quantum) -> String {
    match quantum {
        Quantum::Fixed(length) => seconds(length),
        Quantum::Auto => "auto".into(),
    }
}

/// Seconds with nine digits.
pub(crate) fn seconds(time: Nanos) -> String {
    format!("{}.{:09}", time.0 / Nanos::SECOND.0, time.0 % Nanos::SECOND.0)
}

pub(crate) fn nanos(word: &str) -> Option<Nanos> {
    let (whole, rest) = word.split_once('.').unwrap_or((word, "0"));
    if rest.is_empty() || rest.len() > 9 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let rest: u64 = format!("{rest:0<9}").parse().ok()?;
    number(whole)?.checked_mul(Nanos::SECOND.0)?.checked_add(rest).map(Nanos)
}

fn number(word: &str) -> Option<u64> {
    word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok())?
}

/// `GPU-` and 32 hexadecimal digits in five groups, as `nvidia-smi -L` writes it.
pub(crate) fn device(word: &str) -> Option<DeviceId> {
    let digits: String = word.strip_prefix("GPU-")?.chars().filter(|&c| c != '-').collect();
    let value = u128::from_str_radix(&digits, 16).ok()?;
    let device = DeviceId(value.to_be_bytes());
    (device.to_string() == word).then_some(device)
}
