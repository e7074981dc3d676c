//! How many streams of events there are: of one credential, and in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::access::{Credential, lock};

/// The streams that are open.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashMap<Credential, usize>>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Place {
    streams: Arc<Streams>,
    credential: Credential,
}

impl Streams {
    /// A place for one more, if there is room.
    pub(crate) fn enter(self: &Arc<Self>, credential: &Credential) -> Option<Place> {
        let mut open = lock(&self.0);
        let mine = open.get(credential).copied().unwrap_or(0);
        if mine >= PER_CREDENTIAL || open.values().sum::<usize>() >= ALL {
            return None;
        }
        open.insert(credential.clone(), mine + 1);
        Some(Place { streams: Arc::clone(self), credential: credential.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.streams.0);
        if let Some(count) = open.get_mut(&self.credential) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.credential);
            }
        }
    }
}

/// A browser opens one per tab, a script one: whoever has more forgets to close them.
const PER_CREDENTIAL: usize = 64;
/// Some 40 KB each with its connection; below what a door takes, so that requests get through.
const ALL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_credential_cannot_take_the_places_of_others() {
        let streams = Arc::new(Streams::default());
        let token = |n: usize| Credential::Token { id: n.to_string() };
        let mine: Vec<_> = (0..PER_CREDENTIAL).map(|_| streams.enter(&token(0)).expect("room")).collect();
        assert!(streams.enter(&token(0)).is_none());
        let others: Vec<_> = (PER_CREDENTIAL..ALL).map(|n| streams.enter(&token(1 + n % 30)).expect("room")).collect();
        assert!(streams.enter(&token(99)).is_none(), "full");
        drop(mine);
        assert!(streams.enter(&token(0)).is_some());
        drop(others);
        assert!(lock(&streams.0).is_empty(), "nothing is kept of those who left");
    }
}
