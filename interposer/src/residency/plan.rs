//! Which bytes of managed memory move: a pure choice.
use nvshare_protocol::Bytes;

/// Managed memory of one extent. Its resident part is its beginning, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub start: u64,
    pub bytes: u64,
    pub resident: u64,
    /// The newest counts as the most recently used.
    pub stamp: u64,
}

/// A part of one stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: u64,
    pub bytes: u64,
}

/// What to bring in: first what is believed to be there (a driver under pressure evicts what it touched
/// longest ago, which else could be our own), then the rest, most recently used first.
pub fn fetch(stretches: &[Stretch], budget: Bytes) -> Vec<Range> {
    let mut left = budget.0;
    let mut order: Vec<_> = stretches.iter().collect();
    order.sort_by_key(|a| (a.resident == 0, core::cmp::Reverse(a.stamp)));
    let mut ranges = Vec::with_capacity(order.len());
    for stretch in order {
        let bytes = stretch.bytes.min(left);
        left -= bytes;
        if bytes > 0 {
            ranges.push(Range { start: stretch.start, bytes });
        }
    }
    ranges
}

/// What to move out: least recently used first, each from its end, until `wanted` is reached.
pub fn evict(stretches: &[Stretch], wanted: Bytes) -> Vec<Range> {
    let mut left = wanted.0;
    let mut order: Vec<_> = stretches.iter().filter(|a| a.resident > 0).collect();
    order.sort_by_key(|a| a.stamp);
    let mut ranges = Vec::new();
    for stretch in order {
        let bytes = stretch.resident.min(left);
        left -= bytes;
        if bytes > 0 {
            ranges.push(Range { start: stretch.start + stretch.resident - bytes, bytes });
        }
    }
    ranges
}

pub fn sum(ranges: &[Range]) -> Bytes {
    Bytes(ranges.iter().map(|range| range.bytes).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(start: u64, bytes: u64, resident: u64, stamp: u64) -> Stretch {
        Stretch { start, bytes, resident, stamp }
    }

    #[test]
    fn the_most_recently_used_come_first_and_the_budget_holds() {
        let all = [stretch(0, 10, 0, 1), stretch(100, 10, 0, 3), stretch(200, 10, 0, 2)];
        let ranges = fetch(&all, Bytes(25));
        let expected = [(100, 10), (200, 10), (0, 5)].map(|(start, bytes)| Range { start, bytes });
        assert_eq!(ranges, expected);
    }

    #[test]
    fn what_is_there_is_touched_before_the_rest_comes() {
        let all = [stretch(0, 10, 10, 1), stretch(100, 10, 0, 3)];
        assert_eq!(fetch(&all, Bytes(30))[0].start, 0);
    }

    #[test]
    fn the_least_recently_used_leave_first_from_their_end_and_no_more_than_wanted() {
        let all = [stretch(0, 10, 10, 5), stretch(100, 10, 10, 1)];
        assert_eq!(evict(&all, Bytes(13)), [Range { start: 100, bytes: 10 }, Range { start: 7, bytes: 3 }]);
        assert_eq!(evict(&all, Bytes::ZERO), []);
    }
}
