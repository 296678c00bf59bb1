//! Which units a pod has that could be moved for balance. Only finds them; who moves is decided elsewhere.

use super::{snapshot::NONE, state::State};

/// The movable units of each pod, as they were, and those that have come since.
#[derive(Debug)]
pub(super) struct Lists {
    start: Vec<u32>,
    units: Vec<u32>,
    arrived: Vec<Vec<u32>>,
    /// Those that could be moved but for a move of theirs: they cool down, or are on their way.
    resting: Vec<Vec<u32>>,
}

impl Lists {
    /// Lists what stands where now: of pods that answer.
    pub(super) fn of(state: &State<'_, '_>) -> Self {
        let world = state.world;
        let listed = |unit: usize| {
            let pod = state.at[unit];
            pod != NONE && world.pods[pod as usize].gives && world.is_movable(unit) && !state.split.contains(&unit)
        };
        let mut start = vec![0_u32; world.pods.len() + 1];
        for unit in (0..state.at.len()).filter(|unit| listed(*unit)) {
            start[state.at[unit] as usize + 1] += 1;
        }
        for at in 1..start.len() {
            start[at] += start[at - 1];
        }
        let mut next = start.clone();
        let mut units = vec![0; start.last().copied().unwrap_or_default() as usize];
        for unit in (0..state.at.len()).filter(|unit| listed(*unit)) {
            let place = &mut next[state.at[unit] as usize];
            units[*place as usize] = unit as u32;
            *place += 1;
        }
        let mut resting = vec![Vec::new(); world.pods.len()];
        let rests = |unit: usize| world.units.wish(unit).is_some_and(|wish| wish.held && wish.pin == NONE);
        for unit in (0..state.at.len()).filter(|unit| state.at[*unit] != NONE && rests(*unit)) {
            resting[state.at[unit] as usize].push(unit as u32);
        }
        Self { start, units, arrived: vec![Vec::new(); world.pods.len()], resting }
    }

    /// Returns what a pod has that could be moved some time: its movable units, and those that rest.
    pub(super) fn now_or_later<'l>(&'l self, state: &'l State<'_, '_>, pod: usize) -> impl Iterator<Item = usize> + 'l {
        self.on(state, pod).chain(self.resting[pod].iter().map(|unit| *unit as usize))
    }

    /// Returns a pod's movable units, each once.
    pub(super) fn on<'l>(&'l self, state: &'l State<'_, '_>, pod: usize) -> impl Iterator<Item = usize> + 'l {
        let first = &self.units[self.start[pod] as usize..self.start[pod + 1] as usize];
        let (was, is) = (first.iter(), self.arrived[pod].iter());
        was.chain(is).map(|unit| *unit as usize).filter(move |unit| state.at[*unit] as usize == pod)
    }

    /// Notes that a unit has come to a pod.
    pub(super) fn arrive(&mut self, unit: usize, pod: usize) {
        let unit = unit as u32;
        let was_here = self.units[self.start[pod] as usize..self.start[pod + 1] as usize].binary_search(&unit).is_ok();
        if !was_here && !self.arrived[pod].contains(&unit) {
            self.arrived[pod].push(unit);
        }
    }
}
