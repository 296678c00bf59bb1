//! The two kinds of objects that are read, with no more of them than is read. Decides nothing.

use crate::planner::scaling::Set;
use kube::core::{NamespaceResourceScope, ObjectMeta, Resource};
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeMap};

/// A StatefulSet.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct StatefulSet {
    metadata: ObjectMeta,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Clone, Deserialize)]
struct Spec {
    /// One when it is not said.
    replicas: Option<u32>,
    ordinals: Option<Ordinals>,
    selector: Selector,
}

#[derive(Debug, Clone, Deserialize)]
struct Ordinals {
    #[serde(default)]
    start: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct Selector {
    #[serde(default, rename = "matchLabels")]
    match_labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    current_revision: Option<String>,
    update_revision: Option<String>,
    updated_replicas: u32,
}

/// A pod.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pod {
    metadata: ObjectMeta,
}

impl StatefulSet {
    /// Returns how many pods are meant to run.
    pub(super) fn replicas(&self) -> u32 {
        self.spec.replicas.unwrap_or(1)
    }

    /// Returns the position of what was read in the API's history.
    pub(super) fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }

    /// Returns the selector of its pods.
    pub(super) fn labels(&self) -> String {
        let labels: Vec<_> =
            self.spec.selector.match_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        labels.join(",")
    }

    /// Returns the set with these pods.
    pub(super) fn set(&self, pods: &[Pod]) -> Set {
        let prefix = self.metadata.name.clone().unwrap_or_default();
        let start = self.spec.ordinals.as_ref().map_or(0, |ordinals| ordinals.start);
        let (replicas, status) = (self.replicas(), &self.status);
        let replacing = status.update_revision.is_some() && status.update_revision != status.current_revision;
        let rollout =
            replacing.then(|| format!("{} of {replicas} pods are of the new revision", status.updated_replicas));
        let mut set = Set { prefix, start, replicas, there: Default::default(), rollout };
        let names = pods.iter().filter_map(|pod| pod.metadata.name.as_deref()?.parse().ok());
        set.there = names.filter_map(|name| set.ordinal(&name)).collect();
        set
    }
}

impl Resource for StatefulSet {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "StatefulSet".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "apps".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "statefulsets".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Resource for Pod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pods(names: &[&str]) -> Vec<Pod> {
        names
            .iter()
            .map(|name| serde_json::from_value(json!({ "metadata": { "name": name } })).expect("a pod"))
            .collect()
    }

    #[test]
    fn a_set_is_read_as_the_api_writes_it() {
        let text = json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": { "name": "gateway", "resourceVersion": "7" },
            "spec": {
                "replicas": 3,
                "ordinals": { "start": 2 },
                "selector": { "matchLabels": { "app": "berth", "role": "gateway" } },
                "template": {},
            },
            "status": { "replicas": 3, "currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1 },
        });
        let read: StatefulSet = serde_json::from_value(text).expect("a set");
        assert_eq!((read.version(), read.labels().as_str()), (Some("7"), "app=berth,role=gateway"));
        let set = read.set(&pods(&["gateway-2", "gateway-4", "gateway-x", "other-3"]));
        assert_eq!((set.start, set.replicas, set.there), (2, 3, [2, 4].into()));
        assert_eq!(set.rollout.as_deref(), Some("1 of 3 pods are of the new revision"));
        let least = json!({ "metadata": { "name": "gateway" }, "spec": { "selector": {} } });
        let set = serde_json::from_value::<StatefulSet>(least).expect("a set").set(&[]);
        assert_eq!((set.start, set.replicas, set.rollout), (0, 1, None));
    }
}
