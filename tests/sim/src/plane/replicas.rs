//! The leader's desk, as far as it is about replicas: what it says of a pod's last life, and what it hears of restores.

use crate::message::{Answer, Asker};
use crate::network::Node;
use crate::world::World;
use shared::PodId;
use shared::wire::control::{LastLife, Restored};

impl World {
    /// Says what is known of a pod's last life. No goodbye is ever said here.
    pub(super) fn leader_tells_life(&mut self, n: u8, asker: Asker, pod: &PodId) {
        let now = self.now;
        let plane = self.plane(n);
        let local = plane.hardware.look(now);
        let (record, targets) = (plane.model.pod(pod).cloned(), plane.model.targets_of(pod));
        let Some(leading) = plane.leading() else { return };
        let may_act = leading.core.may_act_for(pod, local);
        let life = LastLife {
            generation: 1,
            incarnation: record.as_ref().map(|record| record.info.incarnation.clone()),
            lease_id: record.as_ref().map(|record| record.lease_id),
            buried: record.as_ref().is_some_and(|record| record.buried),
            may_act_ms: record.as_ref().map_or(0, |_| may_act.as_millis() as u64),
            targets,
            loss_accepted: false,
            goodbye: None,
        };
        self.answer(Node::Plane(n), asker, Answer::Life(life));
    }

    /// A pod says what it has restored: it is answered with the next transaction.
    pub(super) fn leader_hears_restored(&mut self, n: u8, asker: Asker, pod: PodId, said: Restored) {
        let plane = self.plane(n);
        let model = std::mem::take(&mut plane.model);
        if let Some(leading) = plane.leading() {
            leading.desk.estate.restored(&model, asker, pod, said);
        }
        plane.model = model;
        self.desk_answers_restored(n);
    }

    /// Tells pods what became of what they have restored.
    pub(super) fn desk_answers_restored(&mut self, n: u8) {
        let Some(leading) = self.plane(n).leading() else { return };
        for (asker, taken) in leading.desk.estate.answers() {
            let answer = taken.map_or(Answer::Refused(409, "superseded"), Answer::RestoredTaken);
            self.answer(Node::Plane(n), asker, answer);
        }
    }
}
