//! Words from outside, made fit for logs and terminals, and numbers for people (sizes and times: [`quantity`]).
use nvshare_protocol::{Bytes, Nanos, quantity};
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

/// A process for people: `python3, pid 4711, container 4f1d3c0b5a69`. `place`: what it is in, with the word for that.
#[must_use]
pub fn label(program: &str, pid: u32, user: Option<&str>, place: Option<&str>) -> String {
    let user = user.map(|name| format!(", user {name}")).unwrap_or_default();
    let place = place.map(|place| format!(", {place}")).unwrap_or_default();
    format!("{}, pid {pid}{user}{place}", word(program))
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

pub use quantity::{show_seconds as seconds, show_size as bytes, show_time as time};

/// As [`bytes`].
#[must_use]
pub fn memory(n: u64) -> String {
    bytes(Bytes(n))
}

/// A quantum: `0.5 s`, or `auto (2.0 s)`.
#[must_use]
pub fn quantum(seconds: f64, auto: bool) -> String {
    if auto { format!("auto ({seconds:.1} s)") } else { format!("{seconds} s") }
}

/// `moved` in `took` as GB/s of 10 to the 9th, as links are sold; nothing for a time too short to divide by.
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
        assert_eq!(bytes(Bytes(2 << 30)), "2.0 GiB");
        assert_eq!(memory(12 << 30), "12.0 GiB");
        assert_eq!(memory(1), "1 KiB");
        assert_eq!(seconds(Nanos(260_400_000)), "0.260 s");
        assert_eq!(rate(Bytes(12_900_000_000), Nanos(258_000_000)), Some(50.0));
        assert_eq!(rate(Bytes(1), Nanos(0)), None);
        assert_eq!((quantum(0.25, false), quantum(2.0, true)), ("0.25 s".into(), "auto (2.0 s)".into()));
    }
}
