//! `berth target explain`: why a target is where it is, and what speaks for and against every pod.

use super::One;
use crate::{
    admin::now_ms,
    exit::Failure,
    output::{self, Format, ago},
};
use shared::wire::admin::{Candidate, Explanation};

/// Does it.
pub(super) async fn run(args: One) -> Result<(), Failure> {
    let told: Explanation = args.common.api()?.get(&format!("/v1/targets/{}/explain", args.target)).await?;
    if args.common.output != Format::Table {
        return output::rows(args.common.output, &told, &told.candidates, &HEAD, cells);
    }
    output::print(&sheet(&told, now_ms()))?;
    output::print("\n")?;
    output::rows(Format::Table, &told, &told.candidates, &HEAD, cells)
}

const HEAD: [&str; 6] = ["POD", "ANSWER", "SCORE", "LOAD", "TARGETS", "WHY"];

fn cells(of: &Candidate) -> Vec<String> {
    let answer = of.answer.clone().unwrap_or_else(|| if of.eligible { "yes" } else { "no" }.to_owned());
    let against = of.verdicts.iter().filter(|verdict| verdict.answer != "yes").map(|verdict| match &verdict.remedy {
        Some(remedy) => format!("{} ({remedy})", verdict.sentence),
        None => verdict.sentence.clone(),
    });
    let mut why: Vec<_> = against.collect();
    if of.chosen && of.verdicts.is_empty() {
        why.push("placement would choose it".to_owned());
    }
    vec![
        of.pod.to_string(),
        answer,
        format!("{:.3}", of.score),
        format!("{:.2}", of.load),
        of.targets.to_string(),
        if why.is_empty() { "-".to_owned() } else { why.join("; ") },
    ]
}

/// Lists what is known of the target's place, a line a fact.
fn sheet(told: &Explanation, now: u64) -> String {
    let mut table = output::Table::new(&["target", told.target.as_str()]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("summary", output::plain(&told.summary));
    if let Some(owner) = &told.assignment {
        let state = told.owner_state.map_or_else(String::new, |state| format!(", {}", state.as_str()));
        fact("pod", format!("{}{state}", owner.pod));
        fact("epoch", owner.epoch.to_string());
        fact("since", format!("{} ago, {}", ago(now.saturating_sub(owner.since_ms)), owner.reason));
    }
    if let Some(owned) = &told.ownership {
        let actor = owned.actor.as_deref().map(|actor| format!("on the word of {}", output::plain(actor)));
        let moved = owned.moved_by.map(|id| format!("move {id}"));
        let plan = owned.plan.map(|id| format!("plan {id}"));
        let pause = owned.pause_ms.map(|ms| format!("paused {ms} ms"));
        let facts: Vec<_> = [moved, plan, actor, pause].into_iter().flatten().collect();
        if !facts.is_empty() {
            fact("moved by", facts.join(", "));
        }
    }
    if let Some(pin) = &told.pin {
        let until = pin.until_ms.map_or_else(String::new, |until| format!(" for {}", ago(until.saturating_sub(now))));
        let (who, why) = (output::plain(&pin.actor), output::plain(&pin.reason));
        fact("pinned", format!("to {}{until}, by {who}: {why}", pin.pod));
    }
    if let Some(desired) = &told.desired {
        fact("desired", told.unwanted.as_ref().map_or_else(|| desired.to_string(), |why| format!("{desired}; {why}")));
    }
    table.render()
}
