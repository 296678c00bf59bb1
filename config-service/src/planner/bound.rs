//! The least weight that any plan would have to move (PLACEMENT.md, Lower bound), for each track and each dimension by itself:
//! `max( w(F) + Σ_p (L_p − hi_p)⁺ , Σ_p (need_p − L_p)⁺ )`.
//!
//! Every plan that brings the pods into their bands moves at least that much in each dimension. As one number, weight that
//! moves is what a pod's load is: the largest of its dimensions. So no plan can be below the largest of these bounds.
//!
//! `hi_p` is the same in all dimensions: the band is that of the leading one. What pods lack counts in that one, in which they
//! are filled; `need_p` is the band's lower end, and the mean for a new pod. Of `L_p` what has to leave is no part any more: it
//! counts in `w(F)`.

use super::{state::State, world::Amount};

/// So much of each dimension in each track.
pub(super) type ByTrack = [Amount; 2];

/// Returns the bounds; to be asked when what has to move was lifted and is not placed yet. `forced` is what that weighs.
pub(super) fn lower(state: &State<'_, '_>, forced: &ByTrack) -> ByTrack {
    let mut bounds = *forced;
    for (pool, bound) in state.pools.iter().zip(&mut bounds) {
        let mut below = 0.0;
        for pod in &pool.pods {
            let capacity = state.world.pods[*pod].capacity;
            for (part, load) in bound.iter_mut().zip(&state.loads[*pod]) {
                *part += (load - pool.high * capacity).max(0.0);
            }
            if state.world.pods[*pod].receives {
                below += (state.need[*pod] - state.load(*pod)).max(0.0) * capacity;
            }
        }
        bound[pool.lead] = bound[pool.lead].max(below);
    }
    bounds
}

/// Returns a weight as one number: in each track the largest of its dimensions.
pub(super) fn as_one(weight: &ByTrack) -> f64 {
    weight.iter().map(|amount| amount.iter().copied().fold(0.0, f64::max)).sum()
}

/// Returns a weight of both tracks together.
pub(super) fn together(weight: &ByTrack) -> Amount {
    std::array::from_fn(|d| weight[0][d] + weight[1][d])
}
