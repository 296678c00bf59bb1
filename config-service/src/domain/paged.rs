//! Rows in the order of their names, in pages that copies share until one of them changes a page: copying a million rows copies
//! some thousand pointers, and a row takes no more room than it is large. Knows nothing of what a row means.

use std::{mem, sync::Arc};

/// Most rows of a page. So many are moved when one comes in, and copied when another copy still uses them.
const PAGE: usize = 256;

/// By how many rows a page grows, and how many it may have room for that are not there.
const STEP: usize = 16;

/// What has a name by which it is ordered.
pub(super) trait Named {
    /// Returns the name.
    fn name(&self) -> &str;
}

impl Named for shared::TargetId {
    fn name(&self) -> &str {
        self.as_str()
    }
}

/// The rows.
#[derive(Debug, Clone)]
pub(super) struct Paged<T> {
    /// None of them is empty.
    pages: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<T: Named + Clone> Paged<T> {
    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the row of that name.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let (page, at) = self.find(name);
        let found = self.pages.get(page)?.get(at.ok()?)?;
        Some(found)
    }

    /// Puts a row in; returns the one of that name that it replaces. In the order of their names is fastest.
    pub(super) fn insert(&mut self, row: T) -> Option<T> {
        let (page, at) = self.find(row.name());
        let Some(rows) = self.pages.get_mut(page) else {
            self.pages.push(Arc::new(vec![row]));
            self.len += 1;
            return None;
        };
        let at = match at {
            Ok(at) => return Some(mem::replace(&mut Arc::make_mut(rows)[at], row)),
            Err(at) => at,
        };
        self.len += 1;
        if rows.len() < PAGE {
            put(Arc::make_mut(rows), at, row);
        } else if at == PAGE {
            self.pages.insert(page + 1, Arc::new(vec![row]));
        } else {
            let full = Arc::make_mut(rows);
            let mut second = full.split_off(PAGE / 2);
            full.shrink_to(PAGE / 2 + STEP);
            match at.checked_sub(PAGE / 2) {
                Some(at) => put(&mut second, at, row),
                None => put(full, at, row),
            }
            self.pages.insert(page + 1, Arc::new(second));
        }
        None
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, name: &str) -> Option<T> {
        let (page, at) = self.find(name);
        let (rows, at) = (self.pages.get_mut(page)?, at.ok()?);
        let rows = Arc::make_mut(rows);
        let row = rows.remove(at);
        self.len -= 1;
        if rows.capacity() > rows.len() + 2 * STEP {
            rows.shrink_to(rows.len() + STEP);
        }
        self.join(page);
        Some(row)
    }

    /// Returns all rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> + use<'_, T> {
        self.pages.iter().flat_map(|page| page.iter())
    }

    /// Returns all rows from this name on.
    pub(super) fn from(&self, name: &str) -> impl Iterator<Item = &T> + use<'_, T> {
        let (page, at) = self.find(name);
        self.rest(page, at.unwrap_or_else(|at| at))
    }

    /// Returns all rows behind this name.
    pub(super) fn after(&self, name: &str) -> impl Iterator<Item = &T> + use<'_, T> {
        let (page, at) = self.find(name);
        self.rest(page, at.map_or_else(|at| at, |at| at + 1))
    }

    fn rest(&self, page: usize, at: usize) -> impl Iterator<Item = &T> + use<'_, T> {
        let (first, others) = self.pages.get(page..).and_then(|pages| pages.split_first()).unzip();
        let first = first.map(|rows| &rows[at..]).unwrap_or_default();
        first.iter().chain(others.unwrap_or_default().iter().flat_map(|page| page.iter()))
    }

    /// Returns the page that a name is in, or would be, and its place in there.
    fn find(&self, name: &str) -> (usize, Result<usize, usize>) {
        let begun = self.pages.partition_point(|page| page.first().is_some_and(|first| first.name() <= name));
        let page = begun.saturating_sub(1);
        let rows = self.pages.get(page).map_or(&[][..], |rows| rows.as_slice());
        (page, rows.binary_search_by(|row| row.name().cmp(name)))
    }

    /// Joins a page from which a row was taken with the next, when both together are half a page.
    fn join(&mut self, page: usize) {
        let of = |page: usize| self.pages.get(page).map(|rows| rows.len());
        if of(page) == Some(0) {
            self.pages.remove(page);
        } else if let (Some(one), Some(other)) = (of(page), of(page + 1))
            && one + other <= PAGE / 2
        {
            let second = self.pages.remove(page + 1);
            Arc::make_mut(&mut self.pages[page]).extend(second.iter().cloned());
        }
    }
}

fn put<T>(rows: &mut Vec<T>, at: usize, row: T) {
    if rows.len() == rows.capacity() {
        rows.reserve_exact(STEP);
    }
    rows.insert(at, row);
}

#[cfg(test)]
mod tests;
