//! A bounded map that forgets what was not used lately.

use std::{borrow::Borrow, hash::Hash};

use alloy_primitives::map::HashMap;

/// Values by key, in two generations: what is used moves to the young one, and when that holds half of the capacity the
/// old one is dropped.
pub(crate) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
    dropped: bool,
}

impl<K: Hash + Eq, V: Clone> Generations<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            half: capacity / 2,
            dropped: false,
        }
    }

    pub(crate) fn get<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.half == 0 {
            self.dropped = true;
            return;
        }
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
            self.dropped = true;
        }
        self.young.insert(key, value);
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    /// Whether any value went since this was asked before.
    pub(crate) fn take_dropped(&mut self) -> bool {
        std::mem::take(&mut self.dropped)
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.dropped = true;
    }

    /// Values held, at most the capacity.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_its_capacity_and_keeps_what_is_used() {
        let mut map = Generations::new(64);
        map.insert(0, 'a');
        for number in 1..200 {
            map.insert(number, 'b');
            assert!(map.len() <= 64);
            assert_eq!(map.get(&0), Some('a'), "what is read stays");
        }
        assert_eq!(map.get(&1), None, "what is not read goes");
        assert!(map.take_dropped() && !map.take_dropped());
        let mut none = Generations::new(0);
        none.insert(0, 'a');
        assert_eq!(none.get(&0), None);
    }
}
