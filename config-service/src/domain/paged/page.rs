//! One page: some rows in the order of their names. What all names of it begin with is kept once; what follows lies one behind the
//! other, so that a search reads on in the same few lines of the cache.

use shared::TargetId;
use std::{cmp::Ordering, fmt, mem};

/// Most rows of a page. So many are moved when one comes in, and copied when another copy still uses them. The places of their
/// names must fit into 16 bits: a target's name has at most 145 bytes.
pub(super) const PAGE: usize = 128;

/// By how many rows a page grows, and fewer than so many it may have room for that are not there; the same in bytes of names.
pub(super) const STEP: usize = 8;
pub(super) const BYTES: usize = 128;

/// The page.
#[derive(Debug, Clone)]
pub(super) struct Page<V> {
    /// What all names begin with, and behind that the rest of each.
    names: String,
    common: u16,
    /// Where the rest of each name ends.
    ends: Vec<u16>,
    values: Vec<V>,
}

/// A name where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    common: &'a str,
    rest: &'a str,
}

impl Name<'_> {
    /// Returns the target whose name it is.
    pub(crate) fn target(self) -> TargetId {
        self.to_string().try_into().expect("only the names of targets are kept")
    }

    /// Says whether it begins with that.
    pub(crate) fn starts_with(self, beginning: &str) -> bool {
        match beginning.strip_prefix(self.common) {
            Some(more) => self.rest.starts_with(more),
            None => self.common.starts_with(beginning),
        }
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.common)?;
        f.write_str(self.rest)
    }
}

impl<V> Default for Page<V> {
    fn default() -> Self {
        Self { names: String::new(), common: 0, ends: Vec::new(), values: Vec::new() }
    }
}

impl<V> Page<V> {
    /// Makes a page of one row.
    pub(super) fn of(name: &str, value: V) -> Self {
        let mut page = Self::default();
        page.put(0, name, value);
        page
    }

    /// Returns how many rows there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the first name; of an empty page, nothing.
    pub(super) fn first(&self) -> &str {
        &self.names[..self.begin(1)]
    }

    /// Returns the last name; of an empty page, none.
    pub(super) fn last(&self) -> Option<Name<'_>> {
        self.len().checked_sub(1).map(|last| self.row(last).0)
    }

    /// Returns a row.
    pub(super) fn row(&self, at: usize) -> (Name<'_>, &V) {
        let name = Name { common: self.common(), rest: &self.names[self.begin(at)..self.begin(at + 1)] };
        (name, &self.values[at])
    }

    /// Returns all rows from one on.
    pub(super) fn rows(&self, from: usize) -> impl Iterator<Item = (Name<'_>, &V)> {
        (from..self.len()).map(|at| self.row(at))
    }

    /// Returns the place of a name, or where it would be.
    pub(super) fn find(&self, name: &str) -> Result<usize, usize> {
        let Some(rest) = name.strip_prefix(self.common()) else {
            return Err(if name < self.common() { 0 } else { self.len() });
        };
        let (names, rest) = (self.names.as_bytes(), rest.as_bytes());
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match names[self.begin(middle)..self.begin(middle + 1)].cmp(rest) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// Puts a row in at its place.
    pub(super) fn put(&mut self, at: usize, name: &str, value: V) {
        if self.len() == 0 {
            name.clone_into(&mut self.names);
            self.common = place(name.len());
        }
        let common = alike(self.common(), name).len();
        if common < self.common().len() {
            self.pack(common);
        }
        let (begin, rest) = (self.begin(at), &name[common..]);
        let needed = self.names.len() + rest.len();
        if self.names.capacity() < needed {
            self.names.reserve_exact(needed.next_multiple_of(BYTES) - self.names.len());
        }
        self.names.insert_str(begin, rest);
        grow(&mut self.ends).insert(at, place(begin));
        self.ends[at..].iter_mut().for_each(|end| *end += place(rest.len()));
        grow(&mut self.values).insert(at, value);
    }

    /// Puts something in the place of what is kept in a row; returns that.
    pub(super) fn replace(&mut self, at: usize, value: V) -> V {
        mem::replace(&mut self.values[at], value)
    }

    /// Takes a row out.
    pub(super) fn take(&mut self, at: usize) -> V {
        let (begin, end) = (self.begin(at), self.begin(at + 1));
        self.names.replace_range(begin..end, "");
        self.ends.remove(at);
        self.ends[at..].iter_mut().for_each(|place| *place -= self::place(end - begin));
        let value = self.values.remove(at);
        if self.ends.capacity() > self.len() + 2 * STEP {
            self.shrink();
        }
        value
    }

    /// Takes all rows from one on out, as a page of their own.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let (begin, common) = (self.begin(at), self.common().to_owned());
        let (rests, ends) = (self.names.split_off(begin), self.ends.split_off(at));
        let behind = |end: u16| place(usize::from(end) - begin + common.len());
        let mut second = Self {
            common: self.common,
            names: common.clone() + &rests,
            ends: ends.into_iter().map(behind).collect(),
            values: self.values.split_off(at),
        };
        self.tighten();
        second.tighten();
        second
    }

    /// Gives back room that is not needed soon.
    pub(super) fn shrink(&mut self) {
        self.names.shrink_to(self.names.len().next_multiple_of(BYTES));
        self.ends.shrink_to(self.len().next_multiple_of(STEP));
        self.values.shrink_to(self.len().next_multiple_of(STEP));
    }

    /// Keeps once what all names begin with.
    fn tighten(&mut self) {
        let last = self.last().map(|last| last.to_string()).unwrap_or_default();
        self.pack(alike(self.first(), &last).len());
        self.shrink();
    }

    /// Keeps so many first bytes of all names once.
    fn pack(&mut self, common: usize) {
        let (before, mut ends) = (self.common().len(), Vec::with_capacity(self.ends.capacity()));
        let rests: usize = self.names.len() - before + self.len() * before;
        let needed = common + rests - self.len() * common;
        let mut names = String::with_capacity(needed.next_multiple_of(BYTES));
        names.push_str(&self.first()[..common]);
        for (name, _) in self.rows(0) {
            // What all names begin with ends within the one part or within the other.
            names.push_str(name.common.get(common..).unwrap_or_default());
            names.push_str(&name.rest[common.saturating_sub(before)..]);
            ends.push(place(names.len()));
        }
        (self.names, self.ends, self.common) = (names, ends, place(common));
    }

    fn common(&self) -> &str {
        &self.names[..self.common.into()]
    }

    /// Where the rest of a name begins, which is where the one before it ends.
    fn begin(&self, at: usize) -> usize {
        at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(self.common).into()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let rows = self.ends.capacity() * size_of::<u16>() + self.values.capacity() * size_of::<V>();
        size_of::<Self>() + self.names.capacity() + rows
    }

    #[cfg(test)]
    pub(super) fn is_sound(&self) -> bool {
        let fits = |len: usize, capacity: usize, step: usize| capacity <= len + 3 * step;
        let lengths = self.len() == self.values.len() && self.begin(self.len()) == self.names.len();
        let names: Vec<_> = self.rows(0).map(|(name, _)| name.to_string()).collect();
        let filled = (1..=PAGE).contains(&self.len()) && names.is_sorted_by(|a, b| a < b) && names[0] == self.first();
        // What was joined grew as vectors do.
        let packed = self.len() <= PAGE / 2
            || (fits(self.len(), self.ends.capacity(), STEP)
                && fits(self.len(), self.values.capacity(), STEP)
                && fits(self.names.len(), self.names.capacity(), BYTES));
        lengths && filled && packed
    }
}

impl<V: Clone> Page<V> {
    /// Puts all rows of another behind its own.
    pub(super) fn append(&mut self, other: &Self) {
        for (name, value) in other.rows(0) {
            self.put(self.len(), &name.to_string(), value.clone());
        }
    }
}

/// The same rows, whatever is kept once of their names.
impl<V: PartialEq> PartialEq for Page<V> {
    fn eq(&self, other: &Self) -> bool {
        let names = || match self.common == other.common {
            true => self.names == other.names && self.ends == other.ends,
            false => self.rows(0).map(|row| row.0.to_string()).eq(other.rows(0).map(|row| row.0.to_string())),
        };
        self.values == other.values && names()
    }
}

/// What two texts begin with.
fn alike<'a>(a: &'a str, b: &str) -> &'a str {
    let bytes = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    // Names are ASCII: every byte of theirs is a character.
    a.get(..bytes).unwrap_or_default()
}

fn grow<T>(rows: &mut Vec<T>) -> &mut Vec<T> {
    if rows.len() == rows.capacity() {
        rows.reserve_exact(STEP);
    }
    rows
}

fn place(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("128 names of at most 145 bytes")
}
