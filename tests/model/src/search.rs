//! Searches a model through and says how far it came.

use stateright::{Checker, Model};
use std::{fmt::Debug, hash::Hash, time::Duration};

/// How a search ended.
#[derive(Debug)]
pub struct Found {
    /// How many distinct states were seen.
    pub states: usize,
    /// How long it took.
    pub took: Duration,
    /// The actions up to the first state in which a property was broken.
    pub broken: Option<(&'static str, Vec<String>)>,
    /// The properties of the kind "this happens" for which no example was found.
    pub missing: Vec<&'static str>,
}

/// Searches until every state was seen, or a property is broken, or so many states were seen.
pub fn search<M>(model: M, most: usize) -> Found
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + Send + Sync + PartialEq,
    M::Action: Clone + Debug + Send + PartialEq,
{
    let clock = shared::clock::BootClock;
    let began = shared::Clock::now(&clock);
    let checker = model.checker().target_state_count(most).threads(2).spawn_dfs().join();
    let took = shared::Clock::now(&clock).since(began);
    let (mut broken, mut missing) = (None, Vec::new());
    for property in checker.model().properties() {
        let discovery = checker.discovery(property.name);
        match property.expectation {
            stateright::Expectation::Sometimes if discovery.is_none() => missing.push(property.name),
            stateright::Expectation::Sometimes => {}
            _ => {
                if let (Some(path), None) = (discovery, &broken) {
                    let actions = path.into_actions().into_iter().map(|action| format!("{action:?}")).collect();
                    broken = Some((property.name, actions));
                }
            }
        }
    }
    Found { states: checker.unique_state_count(), took, broken, missing }
}

impl Found {
    /// Prints a line about the search.
    pub fn print(&self, name: &str) {
        let seconds = self.took.as_secs_f64();
        println!("{name}: {} states in {seconds:.1} s", self.states);
    }
}
