//! Which bytes move: a pure choice over the ledger's allocations.
use super::Allocation;
use nvshare_protocol::Bytes;

/// A stretch of one allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: u64,
    pub bytes: u64,
}

/// What to bring in: first what is believed to be there (a driver under pressure evicts what it touched
/// longest ago, which else could be our own), then the rest, most recently used first.
pub fn fetch(allocations: &[Allocation], budget: Bytes) -> Vec<Range> {
    let mut left = budget.0.saturating_sub(immovable(allocations));
    let mut order: Vec<_> = allocations.iter().filter(|a| a.movable).collect();
    order.sort_by_key(|a| (a.resident == 0, core::cmp::Reverse(a.stamp)));
    let mut ranges = Vec::with_capacity(order.len());
    for allocation in order {
        let bytes = allocation.bytes.min(left);
        left -= bytes;
        if bytes > 0 {
            ranges.push(Range { start: allocation.start, bytes });
        }
    }
    ranges
}

/// What to move out: least recently used first, each from its end, until `wanted` is reached.
pub fn evict(allocations: &[Allocation], wanted: Bytes) -> Vec<Range> {
    let mut left = wanted.0;
    let mut order: Vec<_> = allocations.iter().filter(|a| a.movable && a.resident > 0).collect();
    order.sort_by_key(|a| a.stamp);
    let mut ranges = Vec::new();
    for allocation in order {
        let bytes = allocation.resident.min(left);
        left -= bytes;
        if bytes > 0 {
            ranges.push(Range { start: allocation.start + allocation.resident - bytes, bytes });
        }
    }
    ranges
}

pub fn sum(ranges: &[Range]) -> Bytes {
    Bytes(ranges.iter().map(|range| range.bytes).sum())
}

fn immovable(allocations: &[Allocation]) -> u64 {
    allocations.iter().filter(|a| !a.movable).map(|a| a.bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(start: u64, bytes: u64, resident: u64, stamp: u64) -> Allocation {
        Allocation { start, bytes, resident, stamp, movable: true, context: 1 }
    }

    #[test]
    fn the_most_recently_used_come_first_and_the_budget_holds() {
        let all = [allocation(0, 10, 0, 1), allocation(100, 10, 0, 3), allocation(200, 10, 0, 2)];
        let ranges = fetch(&all, Bytes(25));
        let expected = [(100, 10), (200, 10), (0, 5)].map(|(start, bytes)| Range { start, bytes });
        assert_eq!(ranges, expected);
    }

    #[test]
    fn what_is_there_is_touched_before_the_rest_comes() {
        let all = [allocation(0, 10, 10, 1), allocation(100, 10, 0, 3)];
        assert_eq!(fetch(&all, Bytes(30))[0].start, 0);
    }

    #[test]
    fn what_cannot_move_counts_against_the_budget_and_stays() {
        let fixed = Allocation { movable: false, ..allocation(0, 10, 10, 1) };
        let all = [fixed, allocation(100, 10, 4, 3)];
        assert_eq!(fetch(&all, Bytes(15)), [Range { start: 100, bytes: 5 }]);
        assert_eq!(evict(&all, Bytes::MAX), [Range { start: 100, bytes: 4 }]);
    }

    #[test]
    fn the_least_recently_used_leave_first_from_their_end_and_no_more_than_wanted() {
        let all = [allocation(0, 10, 10, 5), allocation(100, 10, 10, 1)];
        assert_eq!(evict(&all, Bytes(13)), [Range { start: 100, bytes: 10 }, Range { start: 7, bytes: 3 }]);
        assert_eq!(evict(&all, Bytes::ZERO), []);
    }
}
