//! What happens before a gateway begins where there are replicas: the shell around production's decisions. It asks the store and
//! config-service, seals, looks, restores, and begins another life, or none. Whatever goes wrong on the way is tried again.

use crate::agenda::{MS, Ns, SECOND};
use crate::depot::{Began, StoreAnswer, StoreAsk};
use crate::disk::Data;
use crate::message::{Answer, Ask};
use crate::network::{Node, PLANES};
use crate::world::{Happening, World};
use gateway::simulation::boot::{Begin, Copies, Folder, Note};
use shared::Incarnation;
use shared::protocol::invariants::What;
use shared::wire::control::{LastLife, Life};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long config-service and the store may take.
const SHORTLY: Ns = 3 * SECOND;
/// How long until it is tried again.
const AGAIN: Ns = SECOND;

/// A question under way.
#[derive(Debug, Clone)]
enum Call {
    Life,
    Look,
    Step(Step),
}

/// The steps of another life's beginning, in this order.
#[derive(Debug, Clone)]
enum Step {
    /// Look whether there is anything of a lineage.
    Look(Whose),
    /// Seal it.
    Seal(Whose),
    /// Look at what is acknowledged.
    List(Whose),
    /// Restore it.
    Fetch(Whose),
    /// Write the beginning of the new one.
    Begin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Last,
}

/// What `prepare` knows.
#[derive(Debug)]
pub(crate) struct Preparing {
    pub(super) life: u32,
    plane: u8,
    calls: BTreeMap<u64, Call>,
    /// What config-service says; none while it has not said it.
    last: Option<LastLife>,
    copies: Option<Copies>,
    /// Another life begins.
    begins: bool,
    own: Option<Copies>,
    of_last: Option<Copies>,
    /// The life whose copies the new one begins with.
    before: Option<Incarnation>,
    /// It begins with an empty database.
    empty: bool,
}

impl World {
    pub(super) fn pod_prepares(&mut self, n: u8) {
        let pod = &mut self.pods[usize::from(n)];
        pod.lives += 1;
        let life = pod.lives;
        pod.preparing = Some(Preparing {
            life,
            plane: n % PLANES,
            calls: BTreeMap::new(),
            last: None,
            copies: None,
            begins: false,
            own: None,
            of_last: None,
            before: None,
            empty: false,
        });
        let asked = pod.disk.note.as_ref().map(|note| note.incarnation.clone());
        self.prepare_asks_life(n);
        if let Some(incarnation) = asked {
            let life = self.life_of(n, incarnation);
            self.prepare_asks(n, Node::Store, Call::Look, Ask::Store(StoreAsk::Look(life)), SHORTLY);
        }
    }

    fn life_of(&self, n: u8, incarnation: Incarnation) -> Life {
        Life { pod: self.pods[usize::from(n)].id.clone(), incarnation }
    }

    fn preparing(&mut self, n: u8) -> Option<&mut Preparing> {
        self.pods[usize::from(n)].preparing.as_mut()
    }

    fn prepare_asks(&mut self, n: u8, to: Node, call: Call, ask: Ask, patience: Ns) {
        let pod = &mut self.pods[usize::from(n)];
        let Some(preparing) = &mut pod.preparing else { return };
        pod.next += 1;
        preparing.calls.insert(pod.next, call);
        let number = pod.next;
        self.ask(Node::Pod(n), to, number, ask, patience);
    }

    fn prepare_asks_life(&mut self, n: u8) {
        let pod = &self.pods[usize::from(n)];
        let Some(preparing) = &pod.preparing else { return };
        let (plane, ask) = (Node::Plane(preparing.plane), Ask::Life(pod.id.clone()));
        self.prepare_asks(n, plane, Call::Life, ask, SHORTLY);
    }

    fn prepare_folder(&self, n: u8) -> Folder {
        let pod = &self.pods[usize::from(n)];
        pod.disk.folder(&pod.id, pod.boot)
    }

    /// An answer, or none in time.
    pub(super) fn prepare_hears(&mut self, n: u8, call: u64, answer: Option<Answer>) {
        let Some(preparing) = self.preparing(n) else { return };
        let Some(call) = preparing.calls.remove(&call) else { return };
        match (call, answer) {
            (Call::Life, Some(Answer::Life(life))) => preparing.last = Some(life),
            (Call::Life, _) => preparing.plane = (preparing.plane + 1) % PLANES,
            (Call::Look, Some(Answer::Store(StoreAnswer::Looked(copies)))) => {
                preparing.copies = Some(copies.unwrap_or_default());
            }
            (Call::Look, _) => {}
            (Call::Step(step), Some(Answer::Store(answer))) => return self.prepare_goes_on(n, &step, answer),
            (Call::Step(_), _) => return self.prepare_again(n),
        }
        self.prepare_decides(n);
    }

    /// Decides, once both have answered or taken too long.
    fn prepare_decides(&mut self, n: u8) {
        let folder = self.prepare_folder(n);
        let Some(preparing) = self.preparing(n) else { return };
        if preparing.begins || !preparing.calls.is_empty() {
            return;
        }
        if folder.goes_on(preparing.last.as_ref(), preparing.copies) {
            return self.prepare_ends(n);
        }
        match &preparing.last {
            Some(life) if folder.may_begin(life) => {
                preparing.begins = true;
                self.prepare_steps(n, Step::Look(Whose::Own));
            }
            _ => self.prepare_waits(n),
        }
    }

    /// Asks config-service again after a while.
    fn prepare_waits(&mut self, n: u8) {
        if let Some(life) = self.preparing(n).map(|preparing| preparing.life) {
            self.agenda.put(self.now + AGAIN, Happening::Disk { pod: n, life, done: Box::new(super::Done::Waited) });
        }
    }

    /// Something did not go as it should: all over again.
    fn prepare_again(&mut self, n: u8) {
        if let Some(preparing) = self.preparing(n) {
            (preparing.begins, preparing.last) = (false, None);
            preparing.calls.clear();
            self.prepare_waits(n);
        }
    }

    /// The while has passed.
    pub(super) fn prepare_wakes(&mut self, n: u8) {
        if self.preparing(n).is_some_and(|preparing| preparing.calls.is_empty()) {
            self.prepare_asks_life(n);
        }
    }

    fn whose(&mut self, n: u8, whose: Whose) -> Option<Life> {
        let pod = &self.pods[usize::from(n)];
        let incarnation = match whose {
            Whose::Own => pod.disk.note.as_ref().map(|_| pod.disk.data.incarnation.clone()),
            Whose::Last => pod.preparing.as_ref()?.last.as_ref()?.incarnation.clone(),
        };
        incarnation.map(|incarnation| self.life_of(n, incarnation))
    }

    fn prepare_steps(&mut self, n: u8, step: Step) {
        let whose = match &step {
            Step::Look(whose) | Step::Seal(whose) | Step::List(whose) | Step::Fetch(whose) => self.whose(n, *whose),
            Step::Begin => {
                let Some(preparing) = self.preparing(n) else { return };
                let (before, empty) = (preparing.before.clone(), preparing.empty);
                let (life, before) = (self.pod_life(n), before.map(|before| self.life_of(n, before)));
                let before = before.filter(|before| *before != life);
                let ask = Ask::Store(StoreAsk::Begin(life, Began { before, empty }));
                return self.prepare_asks(n, Node::Store, Call::Step(step), ask, SHORTLY);
            }
        };
        let Some(life) = whose else {
            // There is no such life: on to the next question.
            return match step {
                Step::Look(Whose::Own) => self.prepare_steps(n, Step::Look(Whose::Last)),
                _ => self.prepare_chooses(n),
            };
        };
        let ask = match &step {
            Step::Seal(_) => StoreAsk::Seal(life),
            Step::Fetch(_) => StoreAsk::Fetch(life),
            _ => StoreAsk::Look(life),
        };
        self.prepare_asks(n, Node::Store, Call::Step(step), Ask::Store(ask), 2 * SHORTLY);
    }

    fn prepare_goes_on(&mut self, n: u8, step: &Step, answer: StoreAnswer) {
        match (step, answer) {
            // What was never written to, and is in force, stays open.
            (Step::Look(whose), StoreAnswer::Looked(Some(found)))
                if found.last.is_none() && !self.is_over(n, *whose) =>
            {
                self.prepare_knows(n, *whose, Some(found));
            }
            (Step::Look(whose), StoreAnswer::Looked(Some(_))) => self.prepare_steps(n, Step::Seal(*whose)),
            (Step::Seal(whose), StoreAnswer::Done) => self.prepare_steps(n, Step::List(*whose)),
            (Step::Look(whose) | Step::List(whose), StoreAnswer::Looked(found)) => self.prepare_knows(n, *whose, found),
            (Step::Fetch(_), StoreAnswer::Fetched(Some(copy))) => self.prepare_restored(n, &copy),
            (Step::Begin, StoreAnswer::Done) => self.prepare_notes(n),
            _ => self.prepare_again(n),
        }
    }

    /// Whether a life was failed over.
    fn is_over(&mut self, n: u8, whose: Whose) -> bool {
        let life = self.whose(n, whose);
        let last = self.preparing(n).and_then(|preparing| preparing.last.as_ref());
        last.is_some_and(|last| last.buried && last.incarnation == life.map(|life| life.incarnation))
    }

    fn prepare_knows(&mut self, n: u8, whose: Whose, found: Option<Copies>) {
        let Some(preparing) = self.preparing(n) else { return };
        match whose {
            Whose::Own => {
                preparing.own = found;
                self.prepare_steps(n, Step::Look(Whose::Last));
            }
            Whose::Last => {
                preparing.of_last = found;
                self.prepare_chooses(n);
            }
        }
    }

    /// Everything is known: what does the next life begin with?
    fn prepare_chooses(&mut self, n: u8) {
        let folder = self.prepare_folder(n);
        let (own, last) = (self.whose(n, Whose::Own), self.whose(n, Whose::Last));
        let Some(preparing) = self.preparing(n) else { return };
        let Some(life) = &preparing.last else { return };
        let (decided, empty) = folder.begin(life, preparing.own, preparing.of_last);
        let found = |life: Option<Life>, copies: Option<Copies>| life.filter(|_| copies.is_some());
        let (own, last) = (found(own, preparing.own), found(last, preparing.of_last));
        let source = if decided == Begin::RestoreLast { last } else { own.or(last) };
        preparing.before = source.map(|life| life.incarnation);
        preparing.empty = empty;
        let id = self.pods[usize::from(n)].id.clone();
        self.history.say(self.now, || format!("{id} begins another life: {decided:?}"));
        let disk = &mut self.pods[usize::from(n)].disk;
        match decided {
            Begin::RestoreOwn => return self.prepare_steps(n, Step::Fetch(Whose::Own)),
            Begin::RestoreLast => return self.prepare_steps(n, Step::Fetch(Whose::Last)),
            Begin::Finish => {}
            Begin::Keep => disk.begin_again(),
            // An empty one is in its first life.
            Begin::Empty => {}
        }
        self.prepare_steps(n, Step::Begin);
    }

    fn prepare_restored(&mut self, n: u8, copy: &Arc<Data>) {
        let disk = &mut self.pods[usize::from(n)].disk;
        disk.data = (**copy).clone();
        disk.begin_again();
        self.prepare_steps(n, Step::Begin);
    }

    /// The new lineage is begun: it is written down, and the gateway starts.
    fn prepare_notes(&mut self, n: u8) {
        let pod = &mut self.pods[usize::from(n)];
        pod.disk.lease = None;
        pod.disk.put_aside = None;
        let incarnation = pod.disk.data.incarnation.clone();
        pod.disk.note = Some(Note { incarnation, boot: pod.boot, over: false });
        let life = self.pod_life(n);
        self.history.note(self.now, &What::LineageBegan { life });
        self.prepare_ends(n);
    }

    fn prepare_ends(&mut self, n: u8) {
        let pod = &mut self.pods[usize::from(n)];
        pod.preparing = None;
        if let Some(note) = &mut pod.disk.note {
            note.boot = pod.boot;
        }
        self.pod_begins(n);
    }

    /// The lineage of a running gateway is over: it stops in order, and is prepared anew.
    pub(super) fn pod_must_prepare(&mut self, n: u8, why: &'static str) {
        let id = self.pods[usize::from(n)].id.clone();
        self.history.say(self.now, || format!("{id} must be prepared: {why}"));
        if let Some(note) = &mut self.pods[usize::from(n)].disk.note {
            note.over = true;
        }
        self.kill(Node::Pod(n));
        self.agenda.put(self.now + 200 * MS, Happening::Start(Node::Pod(n)));
    }
}
