//! Changes to bytes by chance: less than a fuzzer that watches coverage, and to be had wherever tests run.

/// Words that readers treat in a way of their own.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b"\xff",
    b"\"",
    b"\\u0000",
    b"null",
    b"[]",
    b"{}",
    b"[",
    b"{",
    b"=",
    b".",
    b":",
    b"/",
    b"..",
    b"#",
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"--",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x7fELF",
];

/// Random numbers that a seed repeats (xorshift64*).
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// From 0 to below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % bound
    }

    /// One to eight changes to `bytes`, some of them with parts of `other`.
    pub fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(40)).min(bytes.len());
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.below(256) as u8,
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let part = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    drop(bytes.splice(to..to, part));
                }
                4 => drop(bytes.splice(at..end, WORDS[self.below(WORDS.len())].iter().copied())),
                5 => {
                    let from = self.below(other.len() + 1);
                    let to = (from + self.below(200)).min(other.len());
                    drop(bytes.splice(at..at, other[from..to].iter().copied()));
                }
                6 if self.below(8) == 0 => bytes.truncate(at),
                _ => drop(bytes.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
            }
        }
    }
}
