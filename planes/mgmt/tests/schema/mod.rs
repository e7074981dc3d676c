//! As much of JSON Schema as the API's description uses: values that fit a schema, values that nearly do, and the check.

use serde_json::{Map, Value, json};

/// Deterministic: the same seed makes the same requests.
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// The schemas of a description.
pub struct Schemas<'a>(&'a Value);

impl<'a> Schemas<'a> {
    pub const fn new(document: &'a Value) -> Self {
        Self(document)
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(path) => {
                self.0.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("{path} leads nowhere"))
            }
            None => schema,
        }
    }

    /// A value that fits, at the edges of what fits more often than not.
    pub fn make(&self, schema: &'a Value, random: &mut Random, depth: u32) -> Value {
        let schema = self.resolve(schema);
        if let Some(of) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            return self.make(random.pick(of), random, depth);
        }
        if let Some(values) = schema["enum"].as_array() {
            return random.pick(values).clone();
        }
        if schema["example"] != Value::Null && random.one_in(2) {
            return schema["example"].clone();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => random.pick(kinds).as_str().unwrap_or("null").to_owned(),
            kind => kind.as_str().unwrap_or("any").to_owned(),
        };
        match kind.as_str() {
            "null" => Value::Null,
            "boolean" => random.one_in(2).into(),
            "integer" => {
                let least = schema["minimum"].as_i64().unwrap_or(-5);
                let most = schema["maximum"].as_i64().unwrap_or(if schema["format"] == "int32" {
                    i64::from(i32::MAX)
                } else {
                    i64::MAX
                });
                match random.below(4) {
                    0 => least.into(),
                    1 => most.into(),
                    _ => least.saturating_add((random.below(200)) as i64).min(most).into(),
                }
            }
            "number" => json!(0.5),
            "string" => text(random).into(),
            "array" => (0..random.below(3)).map(|_| self.make(&schema["items"], random, depth + 1)).collect(),
            "object" => self.make_object(schema, random, depth),
            _ => random.pick(&[json!(null), json!(true), json!(7), json!("x"), json!([1]), json!({"a": {}})]).clone(),
        }
    }

    fn make_object(&self, schema: &'a Value, random: &mut Random, depth: u32) -> Value {
        let mut object = Map::new();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if required.iter().any(|r| r == name) || (depth < 4 && random.one_in(2)) {
                object.insert(name.clone(), self.make(property, random, depth + 1));
            }
        }
        if schema["properties"].is_null() && random.one_in(2) {
            object.insert((*random.pick(&["a.number", "a.switch", "b"])).to_owned(), json!(random.below(3)));
        }
        object.into()
    }

    /// A value that is wrong in one way.
    pub fn spoil(&self, schema: &'a Value, random: &mut Random) -> Value {
        let mut value = if schema.is_object() { self.make(schema, random, 0) } else { json!({}) };
        let Some(object) = value.as_object_mut() else { return json!({"wrong": true}) };
        let keys: Vec<_> = object.keys().cloned().collect();
        match (random.below(5), keys.as_slice()) {
            (0, _) | (_, []) => drop(object.insert("surprise".into(), json!(1))),
            (1, keys) => drop(object.remove(random.pick(keys))),
            (2, _) => value = json!([value]),
            (_, keys) => {
                let odd = [
                    json!(-1),
                    json!(1e300),
                    json!({}),
                    json!([[]]),
                    json!("\u{0}\u{202e}<b>"),
                    json!(u64::MAX),
                    json!(null),
                ];
                object.insert(random.pick(keys).clone(), random.pick(&odd).clone());
            }
        }
        value
    }

    /// Whether a value fits.
    pub fn check(&self, schema: &'a Value, value: &Value) -> Result<(), String> {
        let schema = self.resolve(schema);
        if let Some(of) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            let fits = of.iter().any(|one| self.check(one, value).is_ok());
            return if fits { Ok(()) } else { Err(format!("{value} is none of {}", schema["oneOf"])) };
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, value)?;
        }
        if let Some(values) = schema["enum"].as_array()
            && !values.contains(value)
        {
            return Err(format!("{value} is not one of {values:?}"));
        }
        let is = |kind: &str| match kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("a type of its own: {other}"),
        };
        let fits = match &schema["type"] {
            Value::Null => true,
            Value::Array(kinds) => kinds.iter().any(|k| is(k.as_str().expect("a type"))),
            kind => is(kind.as_str().expect("a type")),
        };
        if !fits {
            return Err(format!("{value} is no {}", schema["type"]));
        }
        if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
            && number < least
        {
            return Err(format!("{number} is less than {least}"));
        }
        if let Some(items) = value.as_array().filter(|_| schema["items"].is_object()) {
            items.iter().try_for_each(|item| self.check(&schema["items"], item))?;
        }
        if let Some(object) = value.as_object() {
            self.check_object(schema, object)?;
        }
        Ok(())
    }

    fn check_object(&self, schema: &'a Value, object: &Map<String, Value>) -> Result<(), String> {
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().expect("a name");
            if !object.contains_key(name) {
                return Err(format!("{name} is missing"));
            }
        }
        let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
        for (name, value) in object {
            match properties.get(name) {
                Some(property) => self.check(property, value).map_err(|e| format!("{name}: {e}"))?,
                None => return Err(format!("{name} is not described")),
            }
        }
        Ok(())
    }
}

fn text(random: &mut Random) -> String {
    let odd = [
        "",
        "x",
        "0042",
        "\u{0}\u{7}\u{1b}[2J",
        "\u{202e}<script>alert(1)</script>",
        "../../etc/passwd",
        "ä🎮",
        "010101010101",
        "' OR 1=1 --",
        "true",
    ];
    match random.below(12) {
        0 => "z".repeat(300),
        _ => (*random.pick(&odd)).to_owned(),
    }
}
