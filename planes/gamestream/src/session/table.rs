//! Which sessions there are, and which clients have something to resume.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use punktfunk_core::Fingerprint;

use super::live::Live;
use super::paused::Paused;
use crate::door::SessionKey;
use crate::lock;

/// The sessions of the plane.
#[derive(Default)]
pub(crate) struct Table {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    live: HashMap<SessionKey, Arc<Live>>,
    /// At most one per client, and no more than displays are kept for.
    paused: HashMap<Fingerprint, Paused>,
}

impl Table {
    /// A key that nobody has had.
    pub fn new_key(&self) -> SessionKey {
        let mut inner = lock(&self.inner);
        inner.next += 1;
        SessionKey(inner.next)
    }

    pub fn insert(&self, live: Arc<Live>) {
        lock(&self.inner).live.insert(live.key, live);
    }

    pub fn remove(&self, key: SessionKey) {
        lock(&self.inner).live.remove(&key);
    }

    pub fn get(&self, key: SessionKey) -> Option<Arc<Live>> {
        lock(&self.inner).live.get(&key).map(Arc::clone)
    }

    /// The client's newest session.
    pub fn of_client(&self, client: &Fingerprint) -> Option<Arc<Live>> {
        let inner = lock(&self.inner);
        inner.live.values().filter(|l| l.client == *client).max_by_key(|l| l.key).map(Arc::clone)
    }

    /// Every session that `wanted` picks, oldest first.
    pub fn select(&self, wanted: impl Fn(&Live) -> bool) -> Vec<Arc<Live>> {
        let inner = lock(&self.inner);
        let mut found: Vec<_> = inner.live.values().filter(|l| wanted(l)).map(Arc::clone).collect();
        found.sort_by_key(|l| l.key);
        found
    }

    /// The session that a control stream belongs to: by its connect data, or, for old clients, by its address.
    pub fn by_connect_data(&self, data: u32, peer: IpAddr) -> Option<Arc<Live>> {
        let belongs = |live: &Live| match (live.offer.get(), data) {
            (Some(offer), 1..) => offer.connect_data == data,
            (Some(_), 0) => live.request.peer == peer,
            (None, _) => false,
        };
        self.select(belongs).pop()
    }

    /// What the client left behind is kept for it.
    pub fn pause(&self, client: Fingerprint, paused: Paused) {
        lock(&self.inner).paused.insert(client, paused);
    }

    pub fn paused(&self, client: &Fingerprint) -> Option<Paused> {
        lock(&self.inner).paused.get(client).cloned()
    }

    pub fn forget(&self, client: &Fingerprint) -> Option<Paused> {
        lock(&self.inner).paused.remove(client)
    }

    pub fn forget_unless(&self, keep: impl Fn(&Fingerprint) -> bool) {
        lock(&self.inner).paused.retain(|client, _| keep(client));
    }
}
