//! What operators tell a leader.

use crate::pod::pod_id;
use crate::world::World;
use config_service::domain::Marks;

/// An operator's order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// A target is to move, to this pod if it is said.
    Move(usize, Option<u8>),
    /// Some move is to be called off.
    Cancel,
    /// This is to stand of a pod.
    Mark(u8, Marks),
}

impl World {
    /// Takes an order, if this config-service leads.
    pub(crate) fn plane_is_ordered(&mut self, n: u8, order: &Order) {
        let name = |target: usize| self.targets[target].clone();
        let plane = &mut self.planes[usize::from(n)];
        let first = plane.model.moves().next().map(|entry| entry.id);
        let stands = |n: u8| plane.model.pod(&pod_id(n)).map(|record| record.marks);
        let stands = if let Order::Mark(n, _) = order { stands(*n) } else { None };
        let Some(leading) = plane.leading() else { return };
        let moves = &mut leading.desk.handoffs;
        match (*order, stands) {
            (Order::Move(target, to), _) => moves.wish_move(name(target), to.map(pod_id)),
            (Order::Cancel, _) => first.into_iter().for_each(|id| moves.wish_cancel(id)),
            // One order at a time: whoever looks again gives the other.
            (Order::Mark(pod, wanted), Some(stands)) if stands.draining != wanted.draining => {
                moves.wish_drain(pod_id(pod), wanted.draining);
            }
            (Order::Mark(pod, wanted), Some(stands)) if stands.cordoned != wanted.cordoned => {
                moves.wish_cordon(pod_id(pod), wanted.cordoned);
            }
            (Order::Mark(..), _) => return,
        }
        self.plane_goes_on(n);
    }
}
