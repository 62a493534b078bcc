//! How many connections each user has to everybody's socket, how often each connects, and how often each asks.
use super::{USER_CONNECTIONS, USER_CONNECTS, USER_REQUESTS};
use crate::tenants::token_bucket::TokenBucket;
use nvshare_protocol::Nanos;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A user who is not connected is forgotten when more than so many are known, if the user may ask at will again.
const REMEMBERED: usize = 256;

/// What each user has. The questions of all connections of a user count together, those that are closed too: else a
/// user who connects anew for each would ask without a bound.
#[derive(Clone, Debug, Default)]
pub struct Users(Arc<Mutex<HashMap<u32, Use>>>);

#[derive(Debug)]
struct Use {
    connections: usize,
    connects: TokenBucket,
    questions: TokenBucket,
}

/// What a user has too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    Connections,
    Connects,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connections => {
                write!(f, "a user has {USER_CONNECTIONS} connections at most: close another one")
            }
            Self::Connects => write!(f, "a user connects {USER_CONNECTS} times a second at most"),
        }
    }
}

/// One connection's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    uid: u32,
    users: Users,
}

impl Users {
    /// A place for one more connection of the user.
    ///
    /// # Errors
    /// What the user has too much of.
    pub fn enter(&self, uid: u32, now: Nanos) -> Result<Place, Full> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() > REMEMBERED {
            let is_at_rest = |has: &Use| has.connects.is_full(now) && has.questions.is_full(now);
            users.retain(|_, has| has.connections > 0 || !is_at_rest(has));
        }
        let anew = || Use {
            connections: 0,
            connects: TokenBucket::new(USER_CONNECTS, now),
            questions: TokenBucket::new(USER_REQUESTS, now),
        };
        let has = users.entry(uid).or_insert_with(anew);
        if !has.connects.take(now) {
            return Err(Full::Connects);
        }
        if has.connections == USER_CONNECTIONS {
            return Err(Full::Connections);
        }
        has.connections += 1;
        Ok(Place { uid, users: self.clone() })
    }
}

impl Place {
    /// Whether the user may ask once more.
    pub fn may_ask(&self, now: Nanos) -> bool {
        let mut users = self.users.0.lock().unwrap_or_else(PoisonError::into_inner);
        users.get_mut(&self.uid).is_some_and(|has| has.questions.take(now))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self.users.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(has) = users.get_mut(&self.uid) {
            has.connections -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Nanos = Nanos(0);

    #[test]
    fn a_user_has_a_few_places_and_leaves_nothing_behind() {
        let users = Users::default();
        let mut places: Vec<Place> = (0..USER_CONNECTIONS).map(|_| users.enter(7, NOW).unwrap()).collect();
        assert_eq!(users.enter(7, NOW).unwrap_err(), Full::Connections);
        places.push(users.enter(8, NOW).unwrap());
        drop(places.remove(0));
        places.push(users.enter(7, NOW).unwrap());
        drop(places);
        for uid in 0..1000 {
            drop(users.enter(uid, Nanos::from_millis(60_000 * u64::from(uid))).unwrap());
        }
        assert!(users.0.lock().unwrap().len() <= REMEMBERED + 1);
    }

    #[test]
    fn a_user_who_connects_without_end_is_refused() {
        let users = Users::default();
        let connects = |uid, now| (0..1000).filter(|_| users.enter(uid, now).is_ok()).count() as u64;
        assert_eq!(connects(7, NOW), 2 * USER_CONNECTS);
        assert_eq!(users.enter(7, NOW).unwrap_err(), Full::Connects);
        assert_eq!(connects(8, NOW), 2 * USER_CONNECTS, "others connect all the same");
        assert_eq!(connects(7, Nanos::from_millis(1_000)), USER_CONNECTS);
    }

    #[test]
    fn a_user_who_connects_anew_asks_no_more_often() {
        let users = Users::default();
        let ask = |uid, now| users.enter(uid, now).is_ok_and(|place| place.may_ask(now));
        assert_eq!((0..100).filter(|_| ask(7, NOW)).count() as u64, 2 * USER_REQUESTS);
        assert!(ask(8, NOW), "others ask all the same");
        // Nor are they forgotten among many.
        (100..1000).for_each(|uid| assert!(ask(uid, NOW)));
        assert!(!ask(7, NOW));
        assert!(ask(7, Nanos::from_millis(1_000)));
    }
}
