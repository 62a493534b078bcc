//! JSON in which no key is given twice: to write such a document again would drop one of them without a word.

use anyhow::{Context, Result};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// The document.
///
/// # Errors
/// It is not JSON, or an object of it has a key twice; the message names it.
pub fn parse(text: &str) -> Result<Value> {
    serde_json::from_str::<Unique>(text).context("not JSON that can be used")?;
    Ok(serde_json::from_str(text)?)
}

/// A value that was looked through and not kept.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Unique)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Unique;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Unique, A::Error> {
        while from.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Unique, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = from.next_key::<String>()? {
            // serde_json hands a number of any precision over as an object; its value is no value of a document.
            if key.starts_with("$serde_json::private") {
                from.next_value::<IgnoredAny>()?;
                continue;
            }
            from.next_value::<Unique>()?;
            if let Some(key) = keys.replace(key) {
                return Err(A::Error::custom(format!("`{key}` is given twice")));
            }
        }
        Ok(Unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_twice_is_named_wherever_it_stands() {
        let text =
            "{\"a\": 1, \"b\": [null, true, -2.5e3, {\"c\": 123456789012345678901234567890}], \"d\": {}}";
        assert_eq!(parse(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        let error = parse("{\"a\": [{\"b\": 1, \"b\": 2}]}").unwrap_err();
        assert!(format!("{error:#}").contains("`b` is given twice"), "{error:#}");
        assert!(parse("{").is_err());
    }
}
