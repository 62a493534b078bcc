//! The one reader and the one writer of sizes, parts of time and times, for all programs.
//!
//! * A size is a number and a unit: `8GiB`, `8Gi`, `8GB`, `8G`, `8g`, `1.5 GiB`. `k`, `m`, `g` and `t` are powers of 1024,
//!   with or without `i` and `B`, in capitals or not, as docker counts them. A number alone is bytes.
//! * A part of time is in whole per cent: `30%`, `30`.
//! * A time is a number and a unit: `500ms`, `2s`, `10min` (or `10m`), `1h`, `1d`. A number alone is seconds.
//!
//! Sizes are written in KiB, MiB and GiB, times in seconds or in two larger units.
use crate::{Bytes, Nanos};

/// What a size may be, for errors.
pub const SIZE: &str =
    "a size such as 8GiB, 8g or 512MB, where k, m, g and t are powers of 1024; a number alone is bytes";
/// What a part of time may be, for errors.
pub const PERCENT: &str = "a whole number of per cent, 1% to 100%";

/// At most 2^62 bytes: sums of some of them are still numbers.
const LARGEST: u64 = 1 << 62;

/// Reads a size.
#[must_use]
pub fn size(text: &str) -> Option<Bytes> {
    let (number, unit) = split(text)?;
    let letters = unit.to_ascii_lowercase();
    let shift = match letters.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 10,
        "m" | "mb" | "mi" | "mib" => 20,
        "g" | "gb" | "gi" | "gib" => 30,
        "t" | "tb" | "ti" | "tib" => 40,
        _ => return None,
    };
    let bytes = match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(1 << shift)?,
        Err(_) => {
            let bytes = number.parse::<f64>().ok()? * (1_u64 << shift) as f64;
            (bytes <= LARGEST as f64).then_some(bytes as u64)?
        }
    };
    (bytes <= LARGEST).then_some(Bytes(bytes))
}

/// Reads a part of time: 1 to 100.
#[must_use]
pub fn percent(text: &str) -> Option<u32> {
    let text = text.trim();
    let number = text.strip_suffix('%').map_or(text, str::trim_end);
    whole(number).filter(|percent| (1..=100).contains(percent))
}

/// Reads a whole number, without a sign.
#[must_use]
pub fn whole(text: &str) -> Option<u32> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Reads a time of at most 10,000 days.
#[must_use]
pub fn time(text: &str) -> Option<Nanos> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * seconds;
    (seconds <= 864e6).then(|| Nanos((seconds * 1e9).round() as u64))
}

/// A number without sign and exponent, and what follows it.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    (!number.is_empty()).then(|| (number, unit.trim_start()))
}

/// Writes a size for people, in the unit in which memory is sold: `2.0 GiB`, `512 MiB`.
#[must_use]
pub fn show_size(Bytes(n): Bytes) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    match n {
        0 => "0".into(),
        1..MIB => format!("{} KiB", n.div_ceil(KIB)),
        MIB..GIB => format!("{} MiB", n / MIB),
        _ => format!("{:.1} GiB", n as f64 / GIB as f64),
    }
}

/// Writes a size as it is read, in the largest unit that divides it: `1536MiB`.
#[must_use]
pub fn exact_size(Bytes(n): Bytes) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let (name, unit) = UNITS.into_iter().find(|(_, unit)| n % unit == 0 && n >= *unit).unwrap_or(("B", 1));
    format!("{}{name}", n / unit)
}

/// Writes a time in seconds, to the millisecond.
#[must_use]
pub fn show_seconds(time: Nanos) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// Writes a time to the tenth of a second below a minute; then in two units.
#[must_use]
pub fn show_time(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_may_be_written_in_every_usual_way() {
        for gigabytes in ["8g", "8G", "8GB", "8Gi", "8GiB", "8gib", "8 GiB", " 8 gb ", "8192MB", "8.0g"] {
            assert_eq!(size(gigabytes), Some(Bytes(8 << 30)), "{gigabytes}");
        }
        for (text, bytes) in [
            ("8000MB", 8000 << 20),
            ("1.5 GiB", 3 << 29),
            ("4096", 4096),
            ("0B", 0),
            ("7k", 7 << 10),
            ("2T", 2 << 40),
        ] {
            assert_eq!(size(text), Some(Bytes(bytes)), "{text}");
        }
        assert_eq!(size("4611686018427387903"), Some(Bytes((1 << 62) - 1)), "no digit is lost");
        for wrong in [
            "",
            "GiB",
            "-1",
            "+1",
            "1e9",
            "50%",
            "1.2.3MiB",
            "8 parsecs",
            "infGiB",
            "8gg",
            "9e9",
            "99999999999T",
        ] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_part_of_time_needs_no_sign() {
        for (text, expected) in [("30%", Some(30)), ("30", Some(30)), (" 100 % ", Some(100)), ("1", Some(1))]
        {
            assert_eq!(percent(text), expected, "{text}");
        }
        for wrong in ["0", "0%", "101", "2.5%", "-1%", "+5", "", "%", "30 %%"] {
            assert_eq!(percent(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_is_in_seconds_unless_it_says_otherwise() {
        for (text, millis) in [
            ("2", 2000),
            ("0.5", 500),
            ("500ms", 500),
            ("2 s", 2000),
            ("10min", 600_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(time(text), Some(Nanos::from_millis(millis)), "{text}");
        }
        for wrong in ["", "soon", "-1", "1e3", "nan", "inf", "5 weeks", "99999999d"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_was_set_is_what_is_shown() {
        for (text, shown) in
            [("2GiB", "2.0 GiB"), ("2g", "2.0 GiB"), ("512MB", "512 MiB"), ("1", "1 KiB"), ("0", "0")]
        {
            assert_eq!(size(text).map(show_size).as_deref(), Some(shown), "{text}");
        }
        for text in ["1GiB", "1536MiB", "7B", "0B"] {
            assert_eq!(size(text).map(exact_size).as_deref(), Some(text));
        }
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, text) in
            [(59.94, "59.9 s"), (61.0, "1 min 1 s"), (7322.0, "2 h 2 min"), (90_000.0, "1 d 1 h")]
        {
            assert_eq!(show_time(seconds), text);
        }
        assert_eq!(show_seconds(Nanos(260_400_000)), "0.260 s");
    }
}
