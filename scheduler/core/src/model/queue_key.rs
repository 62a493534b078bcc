//! Where a request stands in a queue.
use crate::model::priority::Priority;

/// Within one priority: the eager stand before the others, and whose turn was broken off comes after them. Both only as
/// long as no more than [`AHEAD`] rounds have been served since another asked: that one stands before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Interactive,
    Continuing,
    Regular,
}

/// So many rounds stand those before others that are eager, or go on.
pub(crate) const CLASS_LEAD: u64 = 4;

/// From its lowest bit on, a place tells: the order of arrival, which may begin anew within a round; the class; the round;
/// and the priority.
pub(crate) const CLASS_SHIFT: u32 = 22;

pub(crate) const ROUND_SHIFT: u32 = 24;

pub(crate) const PRIORITY_SHIFT: u32 = 62;

pub(crate) const ROUNDS: u64 = (1 << (PRIORITY_SHIFT - ROUND_SHIFT)) - 1;

const fn class_lead(class: u64) -> u64 {
    if class < Class::Regular as u64 { CLASS_LEAD } else { 0 }
}

/// In which round who stands there is served.
pub(crate) const fn round_of(place: u64) -> u64 {
    let shown = (place >> ROUND_SHIFT & ROUNDS) + class_lead(place >> CLASS_SHIFT & 3);
    // Rounds begin with this one, so that there is always room before them.
    shown - CLASS_LEAD
}

/// A place in line: those with the least stand first.
pub(crate) const fn queue_key(priority: Priority, class: Class, round: u64, arrival: u64) -> u64 {
    let round = round + CLASS_LEAD - class_lead(class as u64);
    let arrival = arrival & ((1 << CLASS_SHIFT) - 1);
    priority_bits(priority) | (round & ROUNDS) << ROUND_SHIFT | (class as u64) << CLASS_SHIFT | arrival
}

pub(crate) const fn priority_bits(priority: Priority) -> u64 {
    let before = match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    };
    before << PRIORITY_SHIFT
}

/// The priority of who stands there.
pub(crate) const fn priority_of(place: u64) -> Priority {
    match place >> PRIORITY_SHIFT {
        0 => Priority::High,
        1 => Priority::Normal,
        _ => Priority::Low,
    }
}
