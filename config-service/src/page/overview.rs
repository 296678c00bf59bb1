//! The first page: how the cluster is, what is wrong, where a target is, who carries what, what changed last.

use super::{
    Actions, Changes, Facts, Found, Frame, Standing,
    actions::actions,
    bar,
    changes::changes,
    health::{Health, Trouble, judge},
    moves::moves,
    pod,
    target::{answer, pod_link, table},
    words::{Foreign, count, span, things},
};
use maud::{Markup, html};

/// The most problems that are listed.
const MOST_PROBLEMS: usize = 20;

/// Returns the first page.
pub(crate) fn overview(frame: &Frame, standing: &Standing, newest: &Changes, done: &Actions) -> Markup {
    let health = judge(standing);
    let main = html! {
        (sentence(&health))
        @match standing {
            Standing::Leading(facts) => {
                p.meta {
                    "Revision " (facts.revision) ", term " (facts.term) ", led by " (Foreign(&facts.address))
                    ", confirmed by the database " (span(u64::try_from(facts.confirmed.as_millis()).unwrap_or(u64::MAX))) " ago"
                }
                (search(facts.found.as_ref().map_or("", |found| &found.asked)))
                @if let Some(found) = &facts.found { (results(frame, found)) }
                (problems(&health.problems))
                (pods(facts))
                (moves(frame.now_ms, &facts.moves, "What moves"))
                (actions(frame.now_ms, done))
                (changes(frame.now_ms, newest))
            }
            Standing::Following { leader } => {
                p { "Only the leader knows how the cluster is. " a href={ "http://" (leader) "/" } { "Go to the leader at " (Foreign(leader)) } }
            }
            Standing::Leaderless { .. } => (problems(&health.problems)),
        }
    };
    let title = match standing {
        Standing::Leading(facts) => facts.found.as_ref().map(|found| format!("{} · {}", found.asked, health.word)),
        _ => None,
    };
    frame.document(title.as_deref().unwrap_or(health.word), "As it was at", &main)
}

fn sentence(health: &Health) -> Markup {
    html! { h1.health.(health.tone.class()) { span.word { (health.word) } " " (Foreign(&health.sentence)) } }
}

fn search(asked: &str) -> Markup {
    html! {
        form.search role="search" action="/" method="get" {
            label for="q" { "Where is a target?" }
            div.field {
                input #q type="search" name="q" value=(asked) maxlength="300" autocomplete="off" autocapitalize="none"
                    spellcheck="false" aria-describedby="q-help";
                button type="submit" { "Find" }
            }
            p.aside #q-help { "A name like discord:guild:123, the beginning of one, a bare id, or a pod." }
        }
    }
}

fn results(frame: &Frame, found: &Found) -> Markup {
    let nothing = found.exact.is_empty() && found.similar.is_empty() && found.pods.is_empty();
    html! {
        section.results aria-labelledby="results" {
            h2 #results { "Found for “" (Foreign(&found.asked)) "”" }
            @if found.too_long { p.empty { "No name is that long." } }
            @else if nothing { p.empty { "No target and no pod has a name that begins like this. A target is known from its first event on." } }
            @for assignment in &found.exact { p.answer { (answer(frame.now_ms, assignment)) } }
            @if !found.pods.is_empty() {
                p { "Pods: " @for (i, pod) in found.pods.iter().enumerate() { @if i > 0 { ", " } (pod_link(pod)) } "." }
            }
            @if !found.similar.is_empty() { (table(frame.now_ms, &found.similar, "Targets that begin like this")) }
            @if found.more { p.aside { "There are more; type more of the name." } }
        }
    }
}

fn problems(problems: &[Trouble]) -> Markup {
    if problems.is_empty() {
        return html! {};
    }
    html! {
        section aria-labelledby="problems" {
            h2 #problems { "What is wrong" }
            ul.problems {
                @for trouble in problems.iter().take(MOST_PROBLEMS) {
                    li.(trouble.tone.class()) {
                        p.what { @if let Some(pod) = &trouble.pod { (pod_link(pod)) " " } (Foreign(&trouble.what)) }
                        p.aside { (trouble.remedy) }
                    }
                }
            }
            @if problems.len() > MOST_PROBLEMS { p.aside { "And " (count((problems.len() - MOST_PROBLEMS) as u64)) " more, in the table of pods." } }
        }
    }
}

fn pods(facts: &Facts) -> Markup {
    let ordered = pod::in_order(&facts.pods);
    let platforms: Vec<_> = facts.platforms.iter().map(|(platform, n)| format!("{platform} {}", count(*n))).collect();
    let platforms =
        if platforms.is_empty() { String::new() } else { format!("By platform: {}.", platforms.join(", ")) };
    html! {
        section aria-labelledby="pods" {
            h2 #pods { "Who carries what" }
            @if facts.quarantined > 0 {
                p { a href="/targets?state=quarantined" { (things(facts.quarantined, "target")) " without data" } }
            }
            (bar::distribution(&ordered, facts.targets, &platforms))
            @if ordered.is_empty() { p.empty { "There is no pod yet." } } @else { (pod::table(&ordered, facts.targets)) }
        }
    }
}
