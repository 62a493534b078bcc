//! How many connections each user has to everybody's socket.
use super::USER_CONNECTIONS;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The connections of each user.
#[derive(Clone, Debug, Default)]
pub struct Users(Arc<Mutex<HashMap<u32, usize>>>);

/// One connection's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    uid: u32,
    users: Users,
}

impl Users {
    /// None: the user has all places that one may have.
    pub fn enter(&self, uid: u32) -> Option<Place> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = users.entry(uid).or_default();
        (*has < USER_CONNECTIONS).then(|| {
            *has += 1;
            Place { uid, users: self.clone() }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self.users.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(has) = users.get_mut(&self.uid) {
            *has -= 1;
            if *has == 0 {
                users.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_few_places_and_leaves_nothing_behind() {
        let users = Users::default();
        let mut places: Vec<Place> = (0..USER_CONNECTIONS).map(|_| users.enter(7).unwrap()).collect();
        assert!(users.enter(7).is_none());
        places.push(users.enter(8).unwrap());
        drop(places.remove(0));
        places.push(users.enter(7).unwrap());
        drop(places);
        assert!(users.0.lock().unwrap().is_empty());
    }
}
