//! JSON documents that are read and written again (config.json, daemon.json). A document in which an object has a key twice
//! is refused: one of the values would be lost, and readers differ in which one they take.

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// Why a document cannot be written again: the key that an object in it has twice.
pub fn duplicate_key(text: &[u8]) -> Option<String> {
    serde_json::from_slice::<UniqueKeys>(text).err().map(|error| error.to_string())
}

/// The document.
///
/// # Errors
/// It is not JSON, or an object of it has a key twice; the message names it.
pub fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str::<UniqueKeys>(text)?;
    serde_json::from_str(text)
}

/// Any value whose objects have no key twice.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Any)
    }
}

struct Any;

macro_rules! leaves {
    ($($name:ident: $ty:ty),*) => {$(
        fn $name<E>(self, _: $ty) -> Result<UniqueKeys, E> { Ok(UniqueKeys) }
    )*};
}

impl<'de> Visitor<'de> for Any {
    type Value = UniqueKeys;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("JSON")
    }

    leaves!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<UniqueKeys, A::Error> {
        while list.next_element::<UniqueKeys>()?.is_some() {}
        Ok(UniqueKeys)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueKeys, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            // How serde_json hands on a number of any length.
            if key == "$serde_json::private::Number" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            map.next_value::<UniqueKeys>()?;
            if let Some(key) = keys.replace(key) {
                return Err(A::Error::custom(format!("the key `{key}` stands twice in an object")));
            }
        }
        Ok(UniqueKeys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_named() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":[{"b":{"a":1,"c":null,"a":{}}}]}"#] {
            assert!(duplicate_key(text.as_bytes()).unwrap().contains("the key `a` stands twice"));
        }
        let text = r#"{"a":{"a":[1.10,18446744073709551615,-3,1e400,"x",null,true]},"b":{"a":123456789012345678901}}"#;
        assert_eq!(duplicate_key(text.as_bytes()), None);
        assert_eq!(parse(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        let error = parse("{\"a\": [{\"b\": 1, \"b\": 2}]}").unwrap_err();
        assert!(error.to_string().contains("the key `b` stands twice"), "{error}");
        assert!(parse("{").is_err());
    }
}
