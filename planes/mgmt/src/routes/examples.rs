//! An example for every body, every answer and every parameter of the description: put together from the schemas' own
//! examples, and from what a field of that name looks like. A test holds each to its schema.

use serde_json::{Map, Value, json};
use utoipa::openapi::content::Content;
use utoipa::openapi::{OpenApi, RefOr, Schema};

/// Adds those that are missing.
pub(super) fn add(document: &mut OpenApi) {
    let schemas = document.components.as_ref().map(|c| serde_json::to_value(&c.schemas).unwrap_or_default());
    let maker = Maker { schemas: schemas.unwrap_or_default() };
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch, &mut item.head];
        for operation in operations.into_iter().flatten() {
            for parameter in operation.parameters.iter_mut().flatten() {
                let RefOr::T(parameter) = parameter else { continue };
                if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema {
                    let made = maker.make(&serde_json::to_value(&*schema).unwrap_or_default(), &parameter.name, true);
                    schema.example.get_or_insert(made);
                }
            }
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                body.content.iter_mut().for_each(|(kind, content)| maker.give(kind, content, false));
            }
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if status.starts_with('2') {
                    response.content.iter_mut().for_each(|(kind, content)| maker.give(kind, content, true));
                }
            }
        }
    }
}

struct Maker {
    schemas: Value,
}

impl Maker {
    /// `full`: with everything that may be left out.
    fn give(&self, kind: &str, content: &mut RefOr<Content>, full: bool) {
        let RefOr::T(content) = content else { return };
        if content.example.is_some() {
            return;
        }
        content.example = match kind {
            "application/json" => {
                let schema = content.schema.as_ref().map(|s| serde_json::to_value(s).unwrap_or_default());
                schema.map(|schema| self.make(&schema, "", full))
            }
            "text/event-stream" => Some(EVENT.into()),
            "text/csv" => Some(crate::recordings::example().into()),
            "text/plain" => Some(METRICS.into()),
            // Pictures.
            _ => None,
        };
    }

    /// A value of this schema, for a field of this name.
    fn make(&self, schema: &Value, name: &str, full: bool) -> Value {
        if let Some(path) = schema["$ref"].as_str() {
            let target = &self.schemas[path.rsplit('/').next().unwrap_or_default()];
            return self.make(target, name, full);
        }
        if !schema["example"].is_null() {
            return schema["example"].clone();
        }
        let alternatives = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
        if let Some(some) = alternatives.and_then(|all| all.iter().find(|one| one["type"] != "null")) {
            return self.make(some, name, full);
        }
        if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
            return first.clone();
        }
        if let Some(known) = by_name(name).filter(|known| is_of_its_kind(schema, known)) {
            return known;
        }
        let kinds: Vec<_> = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            kind => kind.as_str().into_iter().collect(),
        };
        match kinds.into_iter().find(|kind| *kind != "null") {
            Some("boolean") => false.into(),
            Some("integer") => schema["minimum"].as_u64().filter(|least| *least > 0).unwrap_or(1).into(),
            Some("number") => json!(0.5),
            Some("string") => "".into(),
            Some("array") => vec![self.make(&schema["items"], name, full)].into(),
            Some("object") => self.object(schema, full),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, full: bool) -> Value {
        let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|r| r == name));
        let properties = || schema["properties"].as_object().into_iter().flatten();
        let wanted = |(name, property): &(&String, &Value)| full || required(name) || !property["example"].is_null();
        let made: Map<_, _> =
            properties().filter(wanted).map(|(name, of)| (name.clone(), self.make(of, name, full))).collect();
        made.into()
    }
}

/// Fields of one name are of several kinds.
fn is_of_its_kind(schema: &Value, value: &Value) -> bool {
    let kind = match value {
        Value::String(_) => "string",
        Value::Number(_) => "integer",
        Value::Array(_) if schema["items"]["type"] == "string" => "array",
        Value::Object(_) if schema["properties"].is_null() => "object",
        _ => return false,
    };
    match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    }
}

/// What a field of this name looks like, where its schema does not say.
fn by_name(name: &str) -> Option<Value> {
    Some(match name {
        "fingerprint" | "bound" => "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
        "id" | "client" => "a1b2c3d4e5f6".into(),
        "name" => "living-room".into(),
        "title" => "Dota 2".into(),
        "version" => "0.1.0".into(),
        "source" => "192.0.2.20".into(),
        "peer" => "192.0.2.20:50123".into(),
        "password" => "correct horse battery".into(),
        "current" => "the old password".into(),
        "link" => "3b9f0c2d5e7a41c88d6e0f1a2b3c4d5e".into(),
        "urls" => json!(["https://192.0.2.10:47992/"]),
        "run" => "xrandr --output HDMI-1 --mode 1920x1080".into(),
        "detail" => "what exactly was found".into(),
        "message" => "sending video".into(),
        "description" => "Which video encoder is used.".into(),
        "default" | "running" => "auto".into(),
        "changes" => json!({ "video.encoder": "x264" }),
        "stages" => json!(["queue", "encode", "send"]),
        "Last-Event-ID" => "1a2b3c4d-17".into(),
        "paired_at_s" | "created_at_s" | "expires_at_s" | "at_s" => 1_764_201_600.into(),
        _ => return None,
    })
}

const EVENT: &str = "id: 1a2b3c4d-17\nevent: session.started\n\
                     data: {\"seq\":17,\"at_ms\":1764201600000,\"kind\":\"session.started\",\"session\":1}\n\n";
const METRICS: &str = "# TYPE punktfunk_sessions gauge\npunktfunk_sessions 1\n";
