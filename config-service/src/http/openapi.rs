//! The description of the API in OpenAPI 3.1, made from the routes' documentation. Decides only how it is written down.

use super::{
    docs::{Access, Answer, Doc, Place, key_parameter},
    problems::CODES,
};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const TEXT: &str = "The control plane of Berth: where every target is and why, which pods there are, who changed what. \
    Changes take a reason, an optional Idempotency-Key and `dry_run`. Errors are RFC 9457 problems with a stable `code`.";

/// The largest number of the database.
const MOST: u64 = i64::MAX as u64;

/// Returns the description.
pub(super) fn describe(docs: &[Doc]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = SchemaGenerator::new(settings);
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for doc in docs {
        let operation = operation(doc, &mut generator);
        paths.entry(doc.path).or_default().insert(doc.method.as_str().to_ascii_lowercase(), operation);
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Problem".to_owned(), problem());
    let mut whole = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Berth admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": TEXT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": { "RequestId": { "description": "The id of the request.", "schema": { "type": "string" } } },
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A token of the admin API, or of the services." },
            },
        },
    });
    bound(&mut whole);
    whole
}

fn operation(doc: &Doc, generator: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<_> =
        doc.parameters.iter().flat_map(|(place, of)| taken(doc, *place, of(generator))).collect();
    if doc.keyed {
        parameters.push(key_parameter());
    }
    parameters.push(json!({
        "name": "x-request-id", "in": "header", "required": false,
        "description": "The id of the request in logs and audit: 1 to 64 characters of A-Z a-z 0-9 . _ -; another one is replaced.",
        "schema": { "type": "string" },
    }));
    let mut operation = json!({
        "operationId": id(doc),
        "summary": doc.summary,
        "tags": [tag(doc.path)],
        "x-berth-access": doc.access.as_str(),
        "parameters": parameters,
        "responses": responses(doc, generator),
    });
    if !doc.text.is_empty() {
        operation["description"] = doc.text.into();
    }
    if doc.access != Access::Open {
        operation["security"] = json!([{ "bearer": [] }]);
    }
    if let Some(of) = doc.body {
        let mut content = json!({ "schema": of(generator) });
        if let Some(example) = &doc.example {
            content["example"] = example.clone();
        }
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": content } });
    }
    operation
}

/// Makes a name of method and path that generated clients can use.
fn id(doc: &Doc) -> String {
    let words = doc.path.split(['/', '-', '.']).filter(|word| !word.is_empty());
    let words = words.map(|word| word.trim_matches(|c| matches!(c, '{' | '}' | '*')));
    let words: Vec<_> = words.collect();
    format!("{}_{}", doc.method.as_str().to_ascii_lowercase(), words.join("_"))
}

/// Groups operations by what they are about.
fn tag(path: &str) -> &str {
    match path.strip_prefix("/v1/") {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None if path.starts_with("/guild") || path.starts_with("/pod") || path.starts_with("/api") => "proposal",
        None => "process",
    }
}

fn taken(doc: &Doc, place: Place, schema: Schema) -> Vec<Value> {
    let schema = schema.to_value();
    if place == Place::Part {
        let name = doc.path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(name, _)| name);
        return vec![parameter(name, "path", true, schema)];
    }
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let place = if place == Place::Path { "path" } else { "query" };
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields.map(|(name, field)| parameter(name, place, place == "path" || required(name), field.clone())).collect()
}

fn parameter(name: &str, place: &str, required: bool, mut schema: Value) -> Value {
    without_null(&mut schema);
    let mut parameter = json!({ "name": name, "in": place, "required": required });
    if let Some(text) = schema.as_object_mut().and_then(|schema| schema.remove("description")) {
        parameter["description"] = text;
    }
    parameter["schema"] = schema;
    parameter
}

/// A parameter may be left out; it is never null.
fn without_null(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|one| one != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = object.get_mut("anyOf") {
        any.retain(|one| one["type"] != "null");
        if let [only] = any.as_slice() {
            let only = only.as_object().cloned().unwrap_or_default();
            object.remove("anyOf");
            object.extend(only);
        }
    }
}

fn responses(doc: &Doc, generator: &mut SchemaGenerator) -> Value {
    let id = json!({ "X-Request-Id": { "$ref": "#/components/headers/RequestId" } });
    let mut responses = Map::new();
    let mut done = json!({ "description": "Done.", "headers": id });
    match doc.answer {
        Answer::Json(of) => done["content"] = json!({ "application/json": { "schema": of(generator) } }),
        Answer::Other(media_type) => done["content"] = json!({ media_type: { "schema": { "type": "string" } } }),
        Answer::Nothing => {}
    }
    if !matches!(doc.answer, Answer::Nothing) {
        responses.insert(doc.status.to_string(), done);
    }
    let mut by_status: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for code in CODES.iter().filter(|code| doc.problems.contains(code.code)) {
        by_status.entry(code.status).or_default().push(format!("`{}`: {}", code.code, code.when));
    }
    for (status, codes) in by_status {
        let problem = json!({
            "description": codes.join(" "),
            "headers": id,
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
        responses.insert(status.to_string(), problem);
    }
    responses.into()
}

fn problem() -> Value {
    let codes: Vec<_> = CODES.iter().map(|code| code.code).collect();
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457). `code` is for programs, `detail` for people.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string", "description": "`urn:berth:problem:` and the code." },
            "title": { "type": "string", "description": "The kind of problem." },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "What went wrong here, and what to do." },
            "code": { "type": "string", "description": "A stable word.", "examples": codes },
            "instance": { "type": "string", "description": "The path of the request." },
            "request_id": { "type": "string", "description": "The id of the request in logs and audit." },
        },
    })
}

/// Numbers end where those of the database and of the code do.
fn bound(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let most = match object.get("format").and_then(Value::as_str) {
                Some("uint64") => Some(MOST),
                Some("uint32") => Some(u64::from(u32::MAX)),
                _ => None,
            };
            if let Some(most) = most {
                object.entry("maximum").or_insert_with(|| most.into());
            }
            object.values_mut().for_each(bound);
        }
        Value::Array(all) => all.iter_mut().for_each(bound),
        _ => {}
    }
}
