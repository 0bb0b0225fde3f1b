//! A cache of named frames with a memory limit.
//!
//! Two generations: when the young one is full, it becomes the old one and the previous old one is dropped. An entry that is
//! used moves to the young one, so recently used entries survive, as in an LRU list but without its links.

use leaktrace_model::{Frame, ModuleId};
use std::collections::HashMap;
use std::sync::Arc;

/// A module (the first one with its content) and the file offset that was looked up.
pub(crate) type Key = (ModuleId, u64);

/// Named frames by module and offset.
#[derive(Debug)]
pub(crate) struct FrameCache {
    young: HashMap<Key, Arc<[Frame]>>,
    old: HashMap<Key, Arc<[Frame]>>,
    young_bytes: usize,
    old_bytes: usize,
    limit: usize,
}

impl FrameCache {
    /// A cache of at most about `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_bytes: 0, old_bytes: 0, limit }
    }

    /// The frames of a key; `None` when they are not in the cache.
    pub(crate) fn get(&mut self, key: Key) -> Option<Arc<[Frame]>> {
        if let Some(frames) = self.young.get(&key) {
            return Some(Arc::clone(frames));
        }
        let frames = self.old.remove(&key)?;
        self.old_bytes -= size_of_entry(&frames);
        self.insert(key, Arc::clone(&frames));
        Some(frames)
    }

    /// Adds the frames of a key.
    pub(crate) fn insert(&mut self, key: Key, frames: Arc<[Frame]>) {
        let bytes = size_of_entry(&frames);
        if self.young_bytes + bytes > self.limit / 2 {
            self.old = std::mem::take(&mut self.young);
            self.old_bytes = std::mem::take(&mut self.young_bytes);
        }
        if bytes <= self.limit / 2 {
            self.young_bytes += bytes;
            if let Some(before) = self.young.insert(key, frames) {
                self.young_bytes -= size_of_entry(&before);
            }
        }
    }

    /// Memory in use, in bytes (an estimate).
    pub(crate) fn bytes(&self) -> usize {
        self.young_bytes + self.old_bytes
    }
}

fn size_of_entry(frames: &[Frame]) -> usize {
    // The table's entry, the Arc's counts, the frames, and their strings with the allocator's overhead.
    let text = |text: &Option<String>| text.as_ref().map_or(0, |text| text.capacity() + 16);
    64 + frames.iter().map(|frame| size_of::<Frame>() + text(&frame.symbol) + text(&frame.file)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(name: &str) -> Arc<[Frame]> {
        [Frame { symbol: Some(name.to_owned()), ..Frame::default() }].into()
    }

    #[test]
    fn memory_stays_within_the_limit_and_what_is_used_survives() {
        let mut cache = FrameCache::new(100_000);
        cache.insert((ModuleId(0), 0), frames("hot"));
        for offset in 1..10_000 {
            cache.insert((ModuleId(0), offset), frames("cold"));
            assert!(cache.get((ModuleId(0), 0)).is_some(), "lost after {offset}");
            assert!(cache.bytes() <= 100_000);
        }
        assert!(cache.get((ModuleId(0), 1)).is_none());
    }

    #[test]
    fn the_same_place_again_is_counted_once() {
        let mut cache = FrameCache::new(100_000);
        cache.insert((ModuleId(0), 0), frames("a"));
        let bytes = cache.bytes();
        cache.insert((ModuleId(0), 0), frames("b"));
        assert_eq!(cache.bytes(), bytes);
        assert_eq!(cache.get((ModuleId(0), 0)).unwrap()[0].symbol.as_deref(), Some("b"));
    }

    #[test]
    fn nothing_larger_than_the_cache_gets_in() {
        let mut cache = FrameCache::new(100);
        cache.insert((ModuleId(0), 0), frames(&"x".repeat(1000)));
        assert_eq!(cache.bytes(), 0);
    }
}
