//! A short first-in-first-out queue.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Signal;

/// A queue of fixed depth between two threads. Neither side waits inside: both look, and wait on their [`Signal`].
#[derive(Debug)]
pub struct Bounded<T> {
    items: Mutex<VecDeque<T>>,
    depth: usize,
    reader: Arc<Signal>,
    writer: Arc<Signal>,
}

impl<T> Bounded<T> {
    /// An empty queue for `depth` items. `reader` is raised when an item comes, `writer` when one goes.
    #[must_use]
    pub fn new(depth: usize, reader: Arc<Signal>, writer: Arc<Signal>) -> Self {
        Self { items: Mutex::new(VecDeque::with_capacity(depth)), depth, reader, writer }
    }

    /// Appends an item.
    ///
    /// # Errors
    /// The item itself, when the queue is full.
    pub fn push(&self, item: T) -> Result<(), T> {
        {
            let mut items = self.lock();
            if items.len() >= self.depth {
                return Err(item);
            }
            items.push_back(item);
        }
        self.reader.raise();
        Ok(())
    }

    /// Takes the oldest item.
    pub fn pop(&self) -> Option<T> {
        let item = self.lock().pop_front()?;
        self.writer.raise();
        Some(item)
    }

    /// Whether [`Self::push`] would succeed. Only the one writer may rely on it.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.lock().len() < self.depth
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        // Nothing of the caller's runs under the lock.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn holds_its_depth_and_keeps_the_order() {
        let (reader, writer) = (Arc::new(Signal::default()), Arc::new(Signal::default()));
        let queue = Bounded::new(2, Arc::clone(&reader), Arc::clone(&writer));
        assert_eq!((queue.push(1), queue.push(2), queue.push(3)), (Ok(()), Ok(()), Err(3)));
        assert!(!queue.has_room());
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(1), Some(2), None));
        assert_eq!((reader.epoch(), writer.epoch()), (2, 2));
    }

    #[test]
    fn two_threads_pass_everything_through_in_order() {
        let (reader, writer) = (Arc::new(Signal::default()), Arc::new(Signal::default()));
        let queue = Arc::new(Bounded::new(2, Arc::clone(&reader), Arc::clone(&writer)));
        let sender = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                for i in 0..10_000 {
                    let mut item = i;
                    loop {
                        let seen = writer.epoch();
                        match queue.push(item) {
                            Ok(()) => break,
                            Err(back) => item = back,
                        }
                        writer.wait(seen, None);
                    }
                }
            }
        });
        for expected in 0..10_000 {
            let item = loop {
                let seen = reader.epoch();
                if let Some(item) = queue.pop() {
                    break item;
                }
                reader.wait(seen, None);
            };
            assert_eq!(item, expected);
        }
        sender.join().expect("the sender ends");
    }
}
