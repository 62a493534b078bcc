//! What the library's kernel `nvshare_content` finds, computed as `interposer/src/memory/migrate/look/content.cu` says.

/// Bytes of a granule, and its words of 32 bits.
pub const GRANULE: u64 = 2 << 20;
pub const WORDS: usize = 2 << 18;
const THREADS: usize = 256;
/// Words of a chunk: four in each of eight rows.
const ROWS: usize = 8;
const CHUNKS: usize = WORDS / (THREADS * ROWS * 4);
const PRIME: u64 = (1 << 61) - 1;

pub struct Keys {
    nh: [u32; 36],
    poly: [u64; 3],
    join: [u64; 3],
}

impl Keys {
    /// As the kernel takes them.
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let ([rows @ .., p0, p1, p2, j0, j1, j2], 24) = (words, words.len()) else { return None };
        let mut nh = [0; 36];
        for (pair, row) in nh.chunks_exact_mut(2).zip(rows) {
            pair.copy_from_slice(&[*row as u32, (*row >> 32) as u32]);
        }
        Some(Self { nh, poly: [*p0, *p1, *p2], join: [*j0, *j1, *j2] })
    }
}

/// # Safety
/// There are `count` addresses at `at`, which nobody writes.
pub unsafe fn addresses<'a>(at: u64, count: u64) -> &'a [u64] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(at as *const u64, count as usize) }
}

/// a * b + c modulo the prime.
fn multiply_add(a: u64, b: u64, c: u64) -> u64 {
    ((u128::from(a) * u128::from(b) + u128::from(c)) % u128::from(PRIME)) as u64
}

/// The hash of a granule, and whether anything in it is not zero.
pub fn look(granule: &[u32], keys: &Keys) -> [u64; 4] {
    let any = u64::from(granule.iter().any(|word| *word != 0));
    let mut sums = [0; 3];
    for thread in 0..THREADS {
        let mut hash = [0; 3];
        for chunk in 0..CHUNKS {
            let mut nh = [0_u64; 3];
            for row in 0..ROWS {
                let at = ((chunk * ROWS + row) * THREADS + thread) * 4;
                let words = &granule[at..at + 4];
                for (lane, nh) in nh.iter_mut().enumerate() {
                    let key = &keys.nh[4 * row + 2 * lane..4 * row + 2 * lane + 4];
                    let word = |n: usize| u64::from(words[n].wrapping_add(key[n]));
                    *nh = nh.wrapping_add(word(0) * word(1)).wrapping_add(word(2) * word(3));
                }
            }
            for lane in 0..3 {
                hash[lane] = multiply_add(hash[lane], keys.poly[lane], nh[lane]);
            }
        }
        for lane in 0..3 {
            let power = (0..=thread).fold(1, |power, _| multiply_add(power, keys.join[lane], 0));
            sums[lane] = multiply_add(hash[lane], power, sums[lane]);
        }
    }
    [sums[0], sums[1], sums[2], any]
}
