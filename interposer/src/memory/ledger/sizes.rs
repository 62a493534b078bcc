//! How large the parts are that memory is made of, bytes.

/// The driver's granularity of device memory on every device so far; sizes of pieces are multiples of it.
pub const GRANULE: u64 = 2 << 20;
/// Small allocations begin at multiples of this, as the driver's own do.
pub const ALIGNMENT: u64 = 512;
/// Allocations below this share chunks.
pub const CHUNK_MAX: u64 = 32 << 20;
/// Larger allocations are made of few pieces, for each costs about 60 us to make and open (one H100 and one H200,
/// driver 580.159.04; the driver's own allocation of 1 GiB takes 110 to 160 us). A piece that has been evicted comes
/// back as several of [`FINE_PIECE`], so that the next eviction can begin early.
const COARSE_PIECE: u64 = 512 << 20;
/// Large enough that mapping costs little beside the copy (`tests/gpu/scripts/facts.sh`).
pub const FINE_PIECE: u64 = 128 << 20;

/// The pieces of an allocation, one after the other.
pub fn piece_sizes(whole: u64) -> Vec<u64> {
    let mut sizes = vec![COARSE_PIECE; (whole / COARSE_PIECE) as usize];
    sizes.extend((!whole.is_multiple_of(COARSE_PIECE)).then_some(whole % COARSE_PIECE));
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_and_are_no_larger_than_a_hand_over_likes() {
        for whole in [GRANULE, 32 << 20, 66 << 20, 512 << 20, (12 << 30) + GRANULE] {
            let sizes = piece_sizes(whole);
            assert_eq!(sizes.iter().sum::<u64>(), whole);
            assert!(sizes.iter().all(|size| *size > 0 && *size <= COARSE_PIECE && size % GRANULE == 0));
        }
        assert_eq!(piece_sizes(COARSE_PIECE + GRANULE), [COARSE_PIECE, GRANULE]);
    }
}
