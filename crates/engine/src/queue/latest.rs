//! A place for one item, where a newer one replaces an unread one: where pictures are dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Signal;

/// A queue of depth 1. The writer never waits; the reader gets the newest.
#[derive(Debug)]
pub struct Latest<T> {
    item: Mutex<Option<T>>,
    reader: Arc<Signal>,
}

impl<T> Latest<T> {
    /// An empty place whose reader waits on `reader`.
    #[must_use]
    pub const fn new(reader: Arc<Signal>) -> Self {
        Self { item: Mutex::new(None), reader }
    }

    /// Puts `newer` there. An unread older item is joined into it by `join(&mut newer, &older)` and returned.
    pub fn put(&self, mut newer: T, join: impl FnOnce(&mut T, &T)) -> Option<T> {
        let replaced = {
            let mut item = self.lock();
            if let Some(older) = item.as_ref() {
                join(&mut newer, older);
            }
            item.replace(newer)
        };
        self.reader.raise();
        replaced
    }

    /// Whether nothing is there to be read.
    pub fn is_empty(&self) -> bool {
        self.lock().is_none()
    }

    /// Takes the item.
    pub fn take(&self) -> Option<T> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        // `join` runs before the item is touched, so a panic in it leaves the older item whole.
        self.item.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_item_replaces_and_joins_an_unread_one() {
        let signal = Arc::new(Signal::default());
        let latest = Latest::new(Arc::clone(&signal));
        let join = |newer: &mut (u32, u32), older: &(u32, u32)| newer.1 += older.1;
        assert_eq!(latest.put((1, 10), join), None);
        assert_eq!(latest.put((2, 5), join), Some((1, 10)));
        assert_eq!(latest.put((3, 1), join), Some((2, 15)));
        assert_eq!((latest.take(), latest.take()), (Some((3, 16)), None));
        assert_eq!(signal.epoch(), 3);
    }
}
