//! What the settings' values mean.
use nvshare_protocol::Bytes;
use std::ops::RangeInclusive;

pub fn switch(on: &str, off: &str, text: &str) -> Option<bool> {
    choice(&[(on, true), (off, false)], text)
}

pub fn choice<T: Copy>(words: &[(&str, T)], text: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

pub fn whole(text: &str, range: RangeInclusive<u32>) -> Option<u32> {
    text.parse().ok().filter(|number| range.contains(number))
}

/// `30%`: 1 to 100.
pub fn percent(text: &str) -> Option<u32> {
    whole(text.trim().strip_suffix('%')?.trim(), 1..=100)
}

/// `1536`, `1536MiB`, `1.5 GiB`: more than 0, at most 2^62.
pub fn quantity(text: &str) -> Option<Bytes> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return None,
    };
    let value = number.parse::<f64>().ok()? * (1_u64 << shift) as f64;
    (1.0..=(1_u64 << 62) as f64).contains(&value).then_some(Bytes(value as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_units() {
        for (text, expected) in [
            ("1", Some(1)),
            ("1.5 GiB", Some(3 << 29)),
            ("512MiB", Some(512 << 20)),
            ("0", None),
            ("-1", None),
            ("1e9", None),
        ] {
            assert_eq!(quantity(text), expected.map(Bytes), "{text}");
        }
    }
}
