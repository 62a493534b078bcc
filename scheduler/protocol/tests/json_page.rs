//! docs/reference/json.md has every field of what operators' programs read, and no other.
use nvshare_protocol::control::{
    AuditEvent, DeviceStatus, EVENT_KINDS, Report, ReportRow, SCHEMA, Span, Status, TenantMoves,
    TenantStatus, Trace, Why,
};
use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../docs/reference/json.md");

/// Asks a structure for its fields: those that are left out when they are empty have no other way to be known.
struct Fields<'a>(&'a mut BTreeSet<String>);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no structure"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields.iter().map(ToString::to_string));
        Err(Error::custom("the names are all"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields<T: DeserializeOwned>() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    assert!(T::deserialize(Fields(&mut fields)).is_err() && !fields.is_empty());
    fields
}

/// The first cells of the section's table.
fn described(section: &str) -> BTreeSet<String> {
    let start = format!("\n## {section}\n");
    let text = PAGE.split(&start).nth(1).unwrap_or_else(|| panic!("no section {section}"));
    let text = text.split("\n## ").next().unwrap();
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    cells.map(str::to_owned).collect()
}

#[test]
fn every_field_of_the_json_is_described_and_no_other() {
    for (section, fields) in [
        ("Status", fields::<Status>()),
        ("GPU", fields::<DeviceStatus>()),
        ("Tenant", fields::<TenantStatus>()),
        ("Moves", fields::<TenantMoves>()),
        ("Why", fields::<Why>()),
        ("Event", fields::<AuditEvent>()),
        ("Report", fields::<Report>()),
        ("Row", fields::<ReportRow>()),
        ("Trace", fields::<Trace>()),
        ("Span", fields::<Span>()),
    ] {
        assert_eq!(described(section), fields, "{section}: described, and in the structure");
    }
    assert!(PAGE.contains(&format!("This is schema {SCHEMA},")));
}

/// The first cells of the operators' table of events.
#[test]
fn every_kind_of_event_is_explained_and_no_other() {
    let page = include_str!("../../../docs/guide/operating.md");
    let table = page.split("\n| event | meaning |\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let words =
        cells.flat_map(|cell| cell.split(", ")).filter_map(|word| word.strip_prefix('`')?.strip_suffix('`'));
    assert_eq!(words.collect::<BTreeSet<_>>(), EVENT_KINDS.into_iter().collect());
}

#[test]
fn the_same_is_called_the_same_everywhere_and_has_its_unit() {
    let all = [
        fields::<Status>(),
        fields::<DeviceStatus>(),
        fields::<TenantStatus>(),
        fields::<AuditEvent>(),
        fields::<Span>(),
    ];
    for field in all.into_iter().flatten() {
        let has = |word: &str| field.split('_').any(|part| part == word);
        assert!(!has("device") && !has("devices"), "{field}: it is a gpu for operators");
        assert!(!has("rate") || field.ends_with("_per_second"), "{field} has no unit");
        assert!(!has("cost") || field.ends_with("_seconds"), "{field} has no unit");
    }
}
