//! What operators do while all this happens: moves, drains, accepted losses. Their orders go to whoever leads.

use crate::network::PLANES;
use crate::world::World;

impl World {
    /// Moves a target to some other pod.
    pub(crate) fn operator_moves(&mut self, _target: usize) {}

    /// Moves everything away from a pod.
    pub(crate) fn operator_drains(&mut self, _n: u8) {}

    /// Lets a pod have targets again.
    pub(crate) fn operator_undrains(&mut self, _n: u8) {}

    /// Says that what was on a pod's disk is lost.
    pub(crate) fn operator_accepts_loss(&mut self, n: u8) {
        self.lost.insert(crate::pod::pod_id(n));
    }

    /// Lets the leader give its term up.
    pub(crate) fn operator_steps_down(&mut self) {
        for n in 0..PLANES {
            self.plane_steps_down(n);
        }
    }
}
