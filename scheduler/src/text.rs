//! Words from outside, made fit for logs and terminals, and numbers for people.
use nvshare_protocol::{Bytes, Nanos};
use std::borrow::Cow;

/// `text` without characters that steer a terminal, forge a log line or turn the direction of
/// writing, cut after `most` characters.
#[must_use]
pub fn clean(text: &str, most: usize) -> String {
    let mut out: String = text.chars().take(most).map(|c| if steers(c) { '?' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        out.pop();
        out.push('…');
    }
    out
}

/// A word of a tenant's as a field of a line: as it is where it is plain, else in quotes, so that it cannot be read as
/// other fields.
#[must_use]
pub fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
    if !text.is_empty() && text.chars().all(plain) { text.into() } else { format!("{text:?}").into() }
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// In GB or MB of 10 to the 9th and 6th, as rates are quoted.
#[must_use]
pub fn bytes(Bytes(n): Bytes) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}

/// In GiB or MiB, as memory is sold.
#[must_use]
pub fn memory(n: u64) -> String {
    const MIB: u64 = 1 << 20;
    match n {
        0 => "0".into(),
        1..MIB => format!("{} KiB", n.div_ceil(1024)),
        MIB..0x4000_0000 => format!("{} MiB", n / MIB),
        _ => format!("{:.1} GiB", n as f64 / (1u64 << 30) as f64),
    }
}

/// In seconds, to the millisecond.
#[must_use]
pub fn seconds(time: Nanos) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// To the tenth of a second below a minute; then in two units.
#[must_use]
pub fn time(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// A quantum: `0.5 s`, or `auto (2.0 s)`.
#[must_use]
pub fn quantum(seconds: f64, auto: bool) -> String {
    if auto { format!("auto ({seconds:.1} s)") } else { format!("{seconds} s") }
}

/// `moved` in `took` as GB/s; nothing for a time too short to divide by.
#[must_use]
pub fn rate(Bytes(moved): Bytes, took: Nanos) -> Option<f64> {
    (took.0 > 0 && moved > 0).then(|| moved as f64 / took.0 as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_taken_out() {
        assert_eq!(clean("python3", 64), "python3");
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{202e}d", 64), "a?[2Jb?c?d");
        assert_eq!(clean("abcdef", 4), "abc…");
        assert_eq!(clean("abcd", 4), "abcd");
    }

    #[test]
    fn a_word_is_one_field() {
        for plain in ["python3", "a.out", "g++-14", "x_1"] {
            assert_eq!(word(plain), plain);
        }
        assert_eq!(word("python3, pid 1"), "\"python3, pid 1\"");
        assert_eq!(word("a\"b) left"), "\"a\\\"b) left\"");
        assert_eq!(word(""), "\"\"");
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(bytes(Bytes(12 << 30)), "12.9 GB");
        assert_eq!(memory(12 << 30), "12.0 GiB");
        assert_eq!(memory(1), "1 KiB");
        assert_eq!(seconds(Nanos(260_400_000)), "0.260 s");
        assert_eq!(rate(Bytes(12_900_000_000), Nanos(258_000_000)), Some(50.0));
        assert_eq!(rate(Bytes(1), Nanos(0)), None);
        assert_eq!((quantum(0.25, false), quantum(2.0, true)), ("0.25 s".into(), "auto (2.0 s)".into()));
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, text) in
            [(59.94, "59.9 s"), (61.0, "1 min 1 s"), (7322.0, "2 h 2 min"), (90_000.0, "1 d 1 h")]
        {
            assert_eq!(time(seconds), text);
        }
    }
}
