//! Reading everything once more, when most of it is known: pages that come out as they were are shared with the copy that knew
//! them, so that two copies of a million rows take little more room than one. What is read counts; what was known only saves room.

use super::{PAGE, Page, Paged};
use shared::TargetId;
use std::{mem, sync::Arc};

/// What was read up to now.
#[derive(Debug)]
pub(crate) struct Again<V> {
    known: Paged<V>,
    /// The next of the known pages that a page may be like.
    next: usize,
    page: Page<V>,
    read: Paged<V>,
}

impl<V: Clone + PartialEq> Again<V> {
    /// Begins, with what is known.
    pub(crate) fn new(known: Paged<V>) -> Self {
        Self { known, next: 0, page: Page::default(), read: Paged::default() }
    }

    /// Takes the next row. They come in the order of their names; others only take longer.
    pub(crate) fn push(&mut self, name: &TargetId, value: V) {
        let name = name.as_str();
        let behind = self.page.len() == 0 || self.page.find(name) == Err(self.page.len());
        if self.page.len() == PAGE || !behind || self.begins(name) {
            self.turn();
        }
        self.page.put(self.page.len(), name, value);
    }

    /// Returns all that was read.
    pub(crate) fn done(mut self) -> Paged<V> {
        self.turn();
        self.read
    }

    /// Whether a known page begins with this name.
    fn begins(&mut self, name: &str) -> bool {
        let passed = self.known.pages[self.next..].iter().take_while(|page| page.first() < name).count();
        self.next += passed;
        self.known.pages.get(self.next).is_some_and(|page| page.first() == name)
    }

    /// The page is full.
    fn turn(&mut self) {
        let mut page = mem::take(&mut self.page);
        if page.len() == 0 {
            return;
        }
        let last = self.read.pages.last().and_then(|before| before.last());
        if last.is_some_and(|last| last.to_string().as_str() >= page.first()) {
            for (name, value) in page.rows(0) {
                self.read.put(&name.to_string(), value.clone());
            }
            return;
        }
        page.shrink();
        let known = self.known.pages.get(self.known.page_of(page.first())).filter(|known| ***known == page);
        self.read.len += page.len();
        let page = known.map_or_else(|| Arc::new(page), Arc::clone);
        self.read.put_page(self.read.pages.len(), page);
    }
}
