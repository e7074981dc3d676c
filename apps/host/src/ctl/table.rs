//! The API's answers for a person: a list as a table, a thing as its fields.

use punktfunk_hub::is_hostile;
use serde_json::{Map, Value};

/// Prints an answer.
pub fn print(answer: &Value, json: bool) {
    if json {
        // Maps with text keys: this does not fail.
        println!("{}", serde_json::to_string_pretty(answer).unwrap_or_default());
    } else {
        let text = text(answer);
        print!("{}", if text.is_empty() { "ok\n" } else { &text });
    }
}

fn text(answer: &Value) -> String {
    match answer {
        Value::Null => String::new(),
        Value::Array(rows) if rows.is_empty() => "none\n".to_owned(),
        Value::Array(rows) => table(rows),
        Value::Object(fields) => thing(fields),
        other => format!("{}\n", cell(other)),
    }
}

/// Fields one below the other; lists of things as tables behind them.
fn thing(fields: &Map<String, Value>) -> String {
    let is_list = |value: &Value| value.as_array().is_some_and(|rows| rows.first().is_some_and(Value::is_object));
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in fields.iter().filter(|(_, v)| !is_list(v) && !v.is_null()) {
        out.push_str(&format!("{name:<width$}  {}\n", cell(value)));
    }
    for (name, value) in fields.iter().filter(|(_, v)| is_list(v)) {
        out.push_str(&format!("\n{name}\n{}", text(value)));
    }
    out
}

/// One line per row, one column per field that any row has.
fn table(rows: &[Value]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for row in rows.iter().filter_map(Value::as_object) {
        for (name, value) in row {
            // Nested things do not fit into a line; `--json` has them.
            if !names.contains(&name.as_str()) && !value.is_object() && !value.is_null() {
                names.push(name);
            }
        }
    }
    if names.is_empty() {
        return rows.iter().map(|row| format!("{}\n", cell(row))).collect();
    }
    let line = |row: &Value| names.iter().map(|n| row.get(n).map(cell).unwrap_or_default()).collect::<Vec<_>>();
    let mut lines = vec![names.iter().map(|n| n.to_uppercase()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(line));
    let widths: Vec<usize> =
        (0..names.len()).map(|at| lines.iter().map(|l| l[at].chars().count()).max().unwrap_or(0)).collect();
    lines
        .iter()
        .map(|line| {
            let cells: Vec<_> = line.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // Names come from devices: nothing in them may steer a terminal.
        Value::String(text) => text.chars().map(|c| if is_hostile(c) { ' ' } else { c }).collect(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_become_tables_and_control_characters_spaces() {
        let rows = json!([{"id": "a", "name": "t\u{1b}[2J\u{202e}v", "end": null}, {"id": "bcd", "name": "x", "extra": [1, 2]}]);
        assert_eq!(text(&rows), "ID   NAME     EXTRA\na    t [2J v\nbcd  x        1, 2\n");
        assert_eq!(text(&json!({"a": 1, "rows": [{"b": 2}]})), "a     1\n\nrows\nB\n2\n");
        assert_eq!((text(&json!([])).as_str(), text(&json!(null)).as_str()), ("none\n", ""));
    }
}
