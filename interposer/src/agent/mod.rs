//! The agent: one thread that holds the lease, moves the memory, works the gate, and speaks with the scheduler.
//!
//! It does one thing after the other. What it must not wait for without a bound, the end of submitted
//! work, a thread of its own waits for (`drain`).
//!
//! Reading order: `reactor` (the loop, and what happens with time), `link` (the state of the connection), `incoming` (what
//! the scheduler says, and what we do about it), `unmanaged` (without a scheduler), `report` (what we say of our memory),
//! `swap_upkeep` (swap space for later), `idle` (whether there is nothing to do), `long_wait` (when
//! the user is told of a wait) and `late_drain` (of work that does not end), `pacer` (bounds unfinished work).
mod drain;
mod idle;
mod incoming;
mod late_drain;
mod link;
mod long_wait;
mod pacer;
mod reactor;
mod report;
mod swap_upkeep;
mod unmanaged;

pub use reactor::spawn;
