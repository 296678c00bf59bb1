//! What operators do while all this happens: moves, drains, cordons, accepted losses. Their orders go to whoever leads; what
//! they want of a pod they say again until it stands.

use crate::network::{Node, PLANES, PODS};
use crate::plane::Order;
use crate::world::World;
use config_service::domain::Marks;

/// What operators want.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    /// Of each pod.
    marks: [Marks; PODS as usize],
    /// Lives whose disks are lost, and nobody has said so.
    lost: Vec<shared::Incarnation>,
}

impl World {
    /// Moves a target to some other pod.
    pub(crate) fn operator_moves(&mut self, target: usize, to: Option<u8>) {
        self.operator_orders(&Order::Move(target, to));
    }

    /// Calls off a move that is under way, if there is one.
    pub(crate) fn operator_cancels(&mut self) {
        self.operator_orders(&Order::Cancel);
    }

    /// Moves everything away from a pod, or lets it have targets again.
    pub(crate) fn operator_drains(&mut self, n: u8, draining: bool) {
        self.operator.marks[usize::from(n)].draining = draining;
        self.operator_looks();
    }

    /// Lets a pod have no new targets, or lets it have some again.
    pub(crate) fn operator_cordons(&mut self, n: u8, cordoned: bool) {
        self.operator.marks[usize::from(n)].cordoned = cordoned;
        self.operator_looks();
    }

    /// Says again what does not stand yet.
    pub(crate) fn operator_looks(&mut self) {
        for n in 0..PODS {
            let wanted = self.operator.marks[usize::from(n)];
            self.operator_orders(&Order::Mark(n, wanted));
        }
    }

    /// Returns whether a pod is to be empty.
    pub(crate) fn operator_wants_empty(&self, n: u8) -> bool {
        let draining = |n: u8| self.operator.marks[usize::from(n)].draining;
        let open = (0..PODS).filter(|n| self.operator.marks[usize::from(*n)].open()).count();
        draining(n) && open > 0
    }

    fn operator_orders(&mut self, order: &Order) {
        for n in 0..PLANES {
            if self.life(Node::Plane(n)).is_some() && !self.is_paused(Node::Plane(n)) {
                self.plane_is_ordered(n, order);
            }
        }
    }

    /// Says that what was on a pod's disk is lost, in whichever life of that folder it came there.
    pub(crate) fn operator_accepts_loss(&mut self, n: u8) {
        let data = &self.pods[usize::from(n)].disk.data;
        self.lost.extend(data.past.iter().chain([&data.incarnation]).cloned());
    }

    /// A disk is lost, whose replica is there: sometimes somebody says at once that nobody comes back as that life.
    pub(crate) fn operator_sees_a_lost_disk(&mut self, n: u8) {
        let data = &self.pods[usize::from(n)].disk.data;
        self.operator.lost.extend(data.past.iter().chain([&data.incarnation]).cloned());
        if self.depot.draw.chance(300) {
            self.operator_buries_the_lost();
        }
    }

    /// Says of all lives whose disks are lost that nobody comes back as them.
    pub(crate) fn operator_buries_the_lost(&mut self) {
        self.gone.extend(self.operator.lost.drain(..));
    }

    /// Lets the leader give its term up.
    pub(crate) fn operator_steps_down(&mut self) {
        for n in 0..PLANES {
            self.plane_steps_down(n);
        }
    }
}
