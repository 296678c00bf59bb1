//! Dead letters of all pods as one list. Every pod is asked, a few at a time; who does not answer is named and hides
//! nobody else's.

use super::super::{
    Api,
    auth::Reader,
    body::Params,
    docs::{Doc, Routes},
    owner::Owner,
    page::{Cursor, Limit, position, size},
};
use crate::control::ControlError;
use axum::{Json, extract::State};
use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use shared::{
    PodId, Problem, TargetId,
    wire::{
        control::PodInfo,
        data::{DeadLetter, DeadLetters, Decided, LetterKind, Place, PodError, Verb},
    },
};
use std::{fmt, str::FromStr};

/// Pods asked at once.
const AT_ONCE: usize = 16;

/// Adds the route.
pub(super) fn routes(routes: Routes) -> Routes {
    let doc = Doc::new("List dead letters")
        .text(
            "Events whose handler failed too often, calls that failed for good, and calls of unknown outcome, by pod. A pod \
             that does not answer is named in `pods`; what it holds is missing then.",
        )
        .answers::<DeadLetters>()
        .fails(&["bad-cursor", "unknown-pod"]);
    routes.get("/v1/dead-letters", list, doc.asks_leader())
}

/// Which dead letters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only this pod's.
    pod: Option<PodId>,
    /// Only this target's.
    target: Option<TargetId>,
    /// Only events, or only calls.
    kind: Option<LetterKind>,
    /// Most of the page; 100 when it is left out.
    limit: Option<Limit>,
    /// Where the page before ended.
    cursor: Option<Cursor>,
}

/// Where a page ended: at a place of a pod, or before a pod's first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    pod: PodId,
    place: Option<Place>,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{}/{place}", self.pod),
            None => write!(f, "{}", self.pod),
        }
    }
}

impl FromStr for Position {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pod, place) = text.split_once('/').map_or((text, None), |(pod, place)| (pod, Some(place)));
        let pod = pod.parse().map_err(|_| "no pod")?;
        Ok(Self { pod, place: place.map(str::parse).transpose()? })
    }
}

async fn list(State(api): State<Api>, _: Reader, Params(filter): Params<Filter>) -> Result<Json<DeadLetters>, Problem> {
    let (size, from) = (size(filter.limit), position::<Position>(filter.cursor.as_ref())?);
    let begins = from.as_ref().map(|from| from.pod.clone());
    let (only, target) = (filter.pod.clone(), filter.target.clone());
    let pods: Result<Vec<PodInfo>, ControlError> = api
        .control
        .read(move |view| {
            if let Some(unknown) = only.as_ref().filter(|only| view.model.pod(only).is_none()) {
                return Err(ControlError::UnknownPod(unknown.clone()));
            }
            let owner = target.as_ref().map(|target| view.model.owner(target).cloned());
            let asked = |pod: &PodId| {
                only.as_ref().is_none_or(|only| only == pod)
                    && begins.as_ref().is_none_or(|begins| pod >= begins)
                    && owner.as_ref().is_none_or(|owner| owner.as_ref() == Some(pod))
            };
            Ok(view.model.pods().map(|record| record.info.clone()).filter(|info| asked(&info.pod)).collect())
        })
        .await?;
    let mut query = format!("limit={size}");
    if let Some(kind) = filter.kind {
        query.push_str(&format!("&kind={kind}"));
    }
    if let Some(target) = &filter.target {
        query.push_str(&format!("&target={target}"));
    }
    let ask = |info: PodInfo| {
        let place = from.as_ref().filter(|from| from.pod == info.pod).and_then(|from| from.place.clone());
        let cursor = place.map(|place| format!("&cursor={place}")).unwrap_or_default();
        let (api, path) = (&api, format!("/v1/local/dead?{query}{cursor}"));
        async move {
            let said = match Owner::at(api, &info) {
                Ok(owner) => owner.get::<DeadLetters>(&path).await,
                Err(why) => Err(why),
            };
            (info.pod, said)
        }
    };
    let answers = stream::iter(pods?).map(ask).buffered(AT_ONCE);
    Ok(Json(gather(answers, size).await))
}

/// Puts the pods' answers together, in their order, until the page is full.
async fn gather(
    answers: impl stream::Stream<Item = (PodId, Result<DeadLetters, Problem>)>,
    size: usize,
) -> DeadLetters {
    let mut answers = std::pin::pin!(answers);
    let mut page = DeadLetters::default();
    while let Some((pod, said)) = answers.next().await {
        if page.items.len() >= size {
            // There may be more behind a full page: this pod's, and those after it.
            page.next = Some(Cursor::after(&Position { pod, place: None }));
            break;
        }
        match said {
            Ok(DeadLetters { mut items, next, .. }) => {
                let room = size - page.items.len();
                let cut = items.len() > room || next.is_some();
                items.truncate(room);
                let place = items.last().map(DeadLetter::place);
                page.items.extend(items);
                if cut {
                    page.next = Some(Cursor::after(&Position { pod, place }));
                    break;
                }
            }
            Err(why) => page.pods.push(PodError { pod, error: why.to_string() }),
        }
    }
    page
}

/// Looks for one dead letter, and says what a decision about it would come to.
///
/// # Errors
/// 404 when there is none.
pub(super) async fn find(
    owner: &Owner,
    target: &TargetId,
    kind: LetterKind,
    seq: u64,
    verb: Verb,
) -> Result<Decided, Problem> {
    let before = seq.checked_sub(1).map(|seq| Place { kind, seq, target: target.clone() });
    let cursor = before.map(|place| format!("&cursor={place}")).unwrap_or_default();
    let path = format!("/v1/local/dead?limit=1&kind={kind}&target={target}{cursor}");
    let found: DeadLetters = owner.get(&path).await?;
    let found = found.items.into_iter().find(|letter| letter.seq == seq);
    let letter = found.ok_or_else(|| Problem::not_found(format!("{target} has no dead {kind} {seq}")))?;
    let state = match (verb, kind) {
        (Verb::Drop, _) => "dropped",
        (Verb::Retry, LetterKind::Event) => "accepted",
        (Verb::Retry, LetterKind::Call) => "pending",
    };
    let note = "nothing was changed".to_owned();
    Ok(Decided { target: letter.target, kind, seq, id: letter.id, state: state.to_owned(), note })
}

#[cfg(test)]
mod tests;
