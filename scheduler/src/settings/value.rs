//! Values of settings: read where they are allowed, written as they are read.
use crate::metrics::listen::Address;
use crate::swap::ledger::Limit;
use nvshare_core::Priority;
use nvshare_protocol::{Bytes, Nanos, quantity, wishes};
use std::ops::RangeInclusive;
use toml::Value;

/// A number of seconds, or a time with its unit, within the core's range.
pub fn duration(value: &Value) -> Option<Nanos> {
    let seconds = match value {
        Value::Integer(n) => *n as f64,
        Value::Float(n) => *n,
        Value::String(text) => quantity::time(text)?.as_secs_f64(),
        _ => return None,
    };
    from_seconds(seconds)
}

/// `seconds`, where that is from a millisecond to a day.
pub fn from_seconds(seconds: f64) -> Option<Nanos> {
    let (least, most) = nvshare_core::settings::RANGE;
    let allowed = least.as_secs_f64()..=most.as_secs_f64();
    allowed.contains(&seconds).then(|| Nanos((seconds * 1e9).round() as u64))
}

pub fn seconds(time: Nanos) -> String {
    time.as_secs_f64().to_string()
}

pub fn boolean(value: &Value) -> Option<bool> {
    value.as_bool()
}

pub fn count(value: &Value, allowed: RangeInclusive<u64>) -> Option<u64> {
    u64::try_from(value.as_integer()?).ok().filter(|n| allowed.contains(n))
}

/// A size, at most 64 GiB.
pub fn size(value: &Value) -> Option<Bytes> {
    size_up_to(value, 64 << 30)
}

/// A size of at most 16 TiB; none: as the machine has it.
pub fn budget(value: &Value) -> Option<Option<Bytes>> {
    if value.as_str() == Some("auto") { Some(None) } else { size_up_to(value, 16 << 40).map(Some) }
}

/// A size from 1 MiB to 16 TiB; none: as much as there is.
pub fn ceiling(value: &Value) -> Option<Option<Bytes>> {
    if value.as_str() == Some("none") {
        return Some(None);
    }
    capacity(value).map(Some)
}

/// A size from 1 MiB to 16 TiB.
pub fn capacity(value: &Value) -> Option<Bytes> {
    size_up_to(value, 16 << 40).filter(|size| size.0 >= 1 << 20)
}

/// A limit of swap space.
pub fn limit(value: &Value) -> Option<Limit> {
    if value.as_str() == Some("auto") {
        return Some(Limit::Auto);
    }
    ceiling(value).map(|size| size.map_or(Limit::None, Limit::Size))
}

pub fn show_limit(limit: Limit) -> String {
    match limit {
        Limit::Auto => quoted("auto"),
        Limit::None => quoted("none"),
        Limit::Size(size) => whole_size(size),
    }
}

pub fn priority(value: &Value) -> Option<Priority> {
    Priority::ALL.get(wishes::priority(value.as_str()?)? as usize).copied()
}

/// Whether calls fail where there is no place.
pub fn fails(value: &Value) -> Option<bool> {
    ["wait", "fail"].iter().position(|word| value.as_str() == Some(word)).map(|at| at == 1)
}

pub fn show_ceiling(ceiling: Option<Bytes>) -> String {
    ceiling.map_or_else(|| quoted("none"), whole_size)
}

/// A part of time in whole per cent; none: all of it.
pub fn percent(value: &Value) -> Option<Option<u32>> {
    match value {
        Value::String(text) if text == "none" => Some(None),
        Value::String(text) => quantity::percent(text).map(Some),
        Value::Integer(number) => quantity::percent(&number.to_string()).map(Some),
        _ => None,
    }
}

pub fn show_percent(percent: Option<u32>) -> String {
    quoted(&percent.map_or_else(|| "none".into(), |percent| format!("{percent}%")))
}

fn size_up_to(value: &Value, most: u64) -> Option<Bytes> {
    quantity::size(value.as_str()?).filter(|size| size.0 <= most)
}

/// As it is read back, in quotes.
pub fn whole_size(size: Bytes) -> String {
    quoted(&quantity::exact_size(size))
}

pub fn mode(value: &Value) -> Option<u32> {
    let text = value.as_str()?;
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))?;
    // Reading a socket means nothing; without writing, its owner cannot connect.
    (mode & !0o666 == 0 && mode & 0o600 == 0o600).then_some(mode)
}

pub fn octal(mode: u32) -> String {
    quoted(&format!("{mode:04o}"))
}

/// A name; empty: none.
pub fn name(value: &Value) -> Option<Option<String>> {
    let text = value.as_str()?;
    let fits = text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    fits.then(|| (!text.is_empty()).then(|| text.to_owned()))
}

/// A library, by name or absolute path; empty: none.
pub fn library(value: &Value) -> Option<Option<String>> {
    let text = value.as_str()?;
    let fits = text.len() < 4096 && !text.contains('\0') && (text.starts_with('/') || !text.contains('/'));
    fits.then(|| (!text.is_empty()).then(|| text.to_owned()))
}

pub fn show_name(name: Option<&str>) -> String {
    quoted(name.unwrap_or(""))
}

/// Where to listen; empty: nowhere.
pub fn address(value: &Value) -> Option<Option<Address>> {
    let text = value.as_str()?;
    if text.is_empty() { Some(None) } else { Address::parse(text).map(Some) }
}

pub fn show_address(address: Option<&Address>) -> String {
    quoted(&address.map(ToString::to_string).unwrap_or_default())
}

pub fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_bound() {
        let read = |text: &str| size(&Value::String(text.into())).map(|bytes| bytes.0);
        assert_eq!(["1GiB", "1g", "1GB", "1024M"].map(read), [Some(1 << 30); 4]);
        assert_eq!(read("0B"), Some(0));
        for wrong in ["", "GiB", "-1GiB", "65GiB", "50%"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(size(&Value::Integer(5)), None);
        assert_eq!(whole_size(Bytes(1 << 30)), "\"1GiB\"");
        assert_eq!(whole_size(Bytes(3 << 29)), "\"1536MiB\"");
        assert_eq!(whole_size(Bytes(0)), "\"0B\"");
        let limit = |text: &str| ceiling(&Value::String(text.into()));
        assert_eq!((limit("none"), limit("8GiB")), (Some(None), Some(Some(Bytes(8 << 30)))));
        assert_eq!((limit("0B"), limit("any"), limit("17000GiB")), (None, None, None));
    }

    #[test]
    fn limits_of_swap_space_are_sizes_or_words() {
        let read = |text: &str| limit(&Value::String(text.into()));
        assert_eq!((read("auto"), read("none")), (Some(Limit::Auto), Some(Limit::None)));
        assert_eq!(read("8GiB"), Some(Limit::Size(Bytes(8 << 30))));
        assert_eq!((read("all"), read("0B")), (None, None));
        for text in ["auto", "none", "8GiB"] {
            assert_eq!(read(text).map(show_limit), Some(quoted(text)));
        }
    }

    #[test]
    fn parts_of_time_are_in_whole_per_cent() {
        let read = |text: &str| percent(&Value::String(text.into()));
        assert_eq!((read("none"), read("30"), read("100 %")), (Some(None), Some(Some(30)), Some(Some(100))));
        assert_eq!((percent(&Value::Integer(30)), percent(&Value::Integer(0))), (Some(Some(30)), None));
        for wrong in ["0%", "101%", "2.5%", "-1%", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!((show_percent(None), show_percent(Some(30))), ("\"none\"".into(), "\"30%\"".into()));
    }

    #[test]
    fn libraries_have_a_name_or_an_absolute_path() {
        let read = |text: &str| library(&Value::String(text.into()));
        assert_eq!(read(""), Some(None));
        for right in ["libnvidia-ml.so.1", "/opt/driver/libnvidia-ml.so.1"] {
            assert_eq!(read(right), Some(Some(right.into())));
        }
        for wrong in ["./libnvidia-ml.so.1", "lib/x.so", "/x\0y"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_are_finite_and_within_a_day() {
        assert_eq!(duration(&Value::Float(0.05)), Some(Nanos(50_000_000)));
        assert_eq!(duration(&Value::Integer(30)), Some(Nanos(30_000_000_000)));
        assert_eq!(duration(&Value::String("50ms".into())), Some(Nanos(50_000_000)));
        assert_eq!(duration(&Value::String("soon".into())), None);
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 86_401.0, 1e-9] {
            assert_eq!(duration(&Value::Float(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn modes_are_octal_and_execute_nothing() {
        let read = |text: &str| mode(&Value::String(text.into()));
        assert_eq!(read("0666"), Some(0o666));
        assert_eq!(read("600"), Some(0o600));
        for wrong in ["0777", "0", "+666", "rw", "", "0x1b6", "7777777777777"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
