//! What is kept of targets, in the order of their names, in pages that copies share until one of them changes a page: copying
//! a million rows copies some thousand pointers. Names lie in their page, one behind the other, and pages are found by a short
//! form of their first names: looking one up touches a handful of cache lines. Knows nothing of what is kept.

mod again;
mod page;
mod short;

pub(crate) use again::Again;
pub(crate) use page::Name;

use page::{PAGE, Page};
use shared::TargetId;
use short::short;
use std::sync::Arc;

/// What is kept, by target.
#[derive(Debug, Clone)]
pub(crate) struct Paged<V> {
    /// None of them is empty.
    pages: Vec<Arc<Page<V>>>,
    /// The short form of the first name of each page.
    firsts: Vec<u128>,
    len: usize,
}

impl<V> Default for Paged<V> {
    fn default() -> Self {
        Self { pages: Vec::new(), firsts: Vec::new(), len: 0 }
    }
}

impl<V> Paged<V> {
    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is nothing.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns what is kept under that name.
    pub(crate) fn get(&self, name: &str) -> Option<&V> {
        self.row(name).map(|(_, value)| value)
    }

    /// Returns the same, with the name where it lies.
    pub(crate) fn row(&self, name: &str) -> Option<(Name<'_>, &V)> {
        let page = self.page_of(name);
        let rows = self.pages.get(page)?;
        rows.find(name).ok().map(|at| rows.row(at))
    }

    /// Returns all rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Name<'_>, &V)> + use<'_, V> {
        self.rest(0, 0)
    }

    /// Returns all rows from this name on.
    pub(crate) fn from(&self, name: &str) -> impl Iterator<Item = (Name<'_>, &V)> + use<'_, V> {
        let (page, at) = self.find(name);
        self.rest(page, at.unwrap_or_else(|at| at))
    }

    /// Returns all rows behind this name.
    pub(crate) fn after(&self, name: &str) -> impl Iterator<Item = (Name<'_>, &V)> + use<'_, V> {
        let (page, at) = self.find(name);
        self.rest(page, at.map_or_else(|at| at, |at| at + 1))
    }

    fn rest(&self, page: usize, at: usize) -> impl Iterator<Item = (Name<'_>, &V)> + use<'_, V> {
        let mut skipped = at;
        self.pages.iter().skip(page).flat_map(move |rows| rows.rows(std::mem::take(&mut skipped)))
    }

    /// Returns the page that a name is in, or would be, and its place in there.
    fn find(&self, name: &str) -> (usize, Result<usize, usize>) {
        let page = self.page_of(name);
        (page, self.pages.get(page).map_or(Err(0), |rows| rows.find(name)))
    }

    /// Returns the page that a name is in, or would be.
    fn page_of(&self, name: &str) -> usize {
        let form = short(name);
        let below = self.firsts.partition_point(|first| *first < form);
        // Whose short form is the same may begin behind the name.
        let alike = self.firsts[below..].partition_point(|first| *first == form);
        let begun = self.pages[below..below + alike].partition_point(|rows| rows.first() <= name);
        (below + begun).saturating_sub(1)
    }

    #[cfg(test)]
    pub(super) fn shares(&self, other: &Self) -> bool {
        self.pages.len() == other.pages.len() && self.pages.iter().zip(&other.pages).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// How much room all of it has, used or not.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let pages = self.pages.iter().map(|page| page.bytes() + size_of::<(Arc<Page<V>>, u128)>());
        pages.sum()
    }

    fn put_page(&mut self, at: usize, page: Arc<Page<V>>) {
        self.firsts.insert(at, short(page.first()));
        self.pages.insert(at, page);
    }

    fn remove_page(&mut self, at: usize) -> Arc<Page<V>> {
        self.firsts.remove(at);
        self.pages.remove(at)
    }
}

impl<V: Clone> Paged<V> {
    /// Keeps something under a name; returns what it replaces. In the order of their names is fastest.
    pub(crate) fn insert(&mut self, name: &TargetId, value: V) -> Option<V> {
        self.put(name.as_str(), value)
    }

    fn put(&mut self, name: &str, value: V) -> Option<V> {
        let (page, at) = self.find(name);
        let Some(rows) = self.pages.get_mut(page) else {
            self.len = 1;
            self.put_page(0, Arc::new(Page::of(name, value)));
            return None;
        };
        let at = match at {
            Ok(at) => return Some(Arc::make_mut(rows).replace(at, value)),
            Err(at) => at,
        };
        self.len += 1;
        if rows.len() < PAGE {
            Arc::make_mut(rows).put(at, name, value);
            if at == 0 {
                self.firsts[page] = short(name);
            }
        } else if at == PAGE {
            self.put_page(page + 1, Arc::new(Page::of(name, value)));
        } else {
            let full = Arc::make_mut(rows);
            let mut second = full.split_off(PAGE / 2);
            match at.checked_sub(PAGE / 2) {
                Some(at) => second.put(at, name, value),
                None => full.put(at, name, value),
            }
            self.firsts[page] = short(full.first());
            self.put_page(page + 1, Arc::new(second));
        }
        None
    }

    /// Forgets what is kept under a name; returns it.
    pub(crate) fn remove(&mut self, name: &str) -> Option<V> {
        let (page, at) = self.find(name);
        let (rows, at) = (self.pages.get_mut(page)?, at.ok()?);
        let rows = Arc::make_mut(rows);
        let value = rows.take(at);
        self.len -= 1;
        if rows.len() == 0 {
            self.remove_page(page);
        } else {
            self.firsts[page] = short(rows.first());
            self.join(page);
            if let Some(before) = page.checked_sub(1) {
                self.join(before);
            }
        }
        Some(value)
    }

    /// Joins a page from which a row was taken with the next, when both together are half a page.
    fn join(&mut self, page: usize) {
        let of = |page: usize| self.pages.get(page).map(|rows| rows.len());
        if let (Some(one), Some(other)) = (of(page), of(page + 1))
            && one + other <= PAGE / 2
        {
            let second = self.remove_page(page + 1);
            Arc::make_mut(&mut self.pages[page]).append(&second);
        }
    }
}

#[cfg(test)]
mod tests;
