//! Which bytes of managed memory move: a pure choice.
use nvshare_protocol::Bytes;

/// Managed memory of one extent. Its resident part is its beginning, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagedExtent {
    pub start: u64,
    pub bytes: u64,
    pub resident: u64,
    /// The newest counts as the most recently used.
    pub lru_seq: u64,
}

/// A part of one extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    pub start: u64,
    pub bytes: u64,
}

/// What to bring in: first what is believed to be there (a driver under pressure evicts what it touched
/// longest ago, which else could be our own), then the rest, most recently used first.
pub fn restore(extents: &[ManagedExtent], budget: Bytes) -> Vec<AddressRange> {
    let mut left = budget.0;
    let mut order: Vec<_> = extents.iter().collect();
    order.sort_by_key(|a| (a.resident == 0, core::cmp::Reverse(a.lru_seq)));
    let mut ranges = Vec::with_capacity(order.len());
    for extent in order {
        let bytes = extent.bytes.min(left);
        left -= bytes;
        if bytes > 0 {
            ranges.push(AddressRange { start: extent.start, bytes });
        }
    }
    ranges
}

/// What to move out: least recently used first, each from its end, until `wanted` is reached.
pub fn evict(extents: &[ManagedExtent], wanted: Bytes) -> Vec<AddressRange> {
    let mut left = wanted.0;
    let mut order: Vec<_> = extents.iter().filter(|a| a.resident > 0).collect();
    order.sort_by_key(|a| a.lru_seq);
    let mut ranges = Vec::new();
    for extent in order {
        let bytes = extent.resident.min(left);
        left -= bytes;
        if bytes > 0 {
            ranges.push(AddressRange { start: extent.start + extent.resident - bytes, bytes });
        }
    }
    ranges
}

pub fn sum(ranges: &[AddressRange]) -> Bytes {
    Bytes(ranges.iter().map(|range| range.bytes).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managed(start: u64, bytes: u64, resident: u64, lru_seq: u64) -> ManagedExtent {
        ManagedExtent { start, bytes, resident, lru_seq }
    }

    #[test]
    fn the_most_recently_used_come_first_and_the_budget_holds() {
        let all = [managed(0, 10, 0, 1), managed(100, 10, 0, 3), managed(200, 10, 0, 2)];
        let ranges = restore(&all, Bytes(25));
        let expected = [(100, 10), (200, 10), (0, 5)].map(|(start, bytes)| AddressRange { start, bytes });
        assert_eq!(ranges, expected);
    }

    #[test]
    fn what_is_there_is_touched_before_the_rest_comes() {
        let all = [managed(0, 10, 10, 1), managed(100, 10, 0, 3)];
        assert_eq!(restore(&all, Bytes(30))[0].start, 0);
    }

    #[test]
    fn the_least_recently_used_leave_first_from_their_end_and_no_more_than_wanted() {
        let all = [managed(0, 10, 10, 5), managed(100, 10, 10, 1)];
        assert_eq!(
            evict(&all, Bytes(13)),
            [AddressRange { start: 100, bytes: 10 }, AddressRange { start: 7, bytes: 3 }]
        );
        assert_eq!(evict(&all, Bytes::ZERO), []);
    }
}
