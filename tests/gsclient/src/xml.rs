//! The little XML that hosts answer with, read as strictly as the strictest client.

use crate::Violations;

/// An answer's root, flattened: elements in the order of their end tags, each with its path below `root`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xml {
    /// Attributes of the root, unescaped.
    pub attributes: Vec<(String, String)>,
    /// Path (`App/ID`) and text of every element without children.
    pub leaves: Vec<(String, String)>,
    /// Whether text stands between the root's start and its first child, or between other elements.
    pub stray_text: bool,
}

impl Xml {
    /// Reads a document; `Err` says what is wrong with it.
    ///
    /// # Errors
    /// Anything that is not one well-formed `root` element without mixed content, DTDs or processing instructions other
    /// than the declaration.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim_start_matches('\u{feff}').trim_start();
        if let Some(after) = rest.strip_prefix("<?xml") {
            rest = after.split_once("?>").ok_or("unfinished declaration")?.1.trim_start();
        }
        let mut out = Self::default();
        let mut path: Vec<(String, String, bool)> = Vec::new();
        let mut finished = false;
        while !rest.is_empty() {
            let (before, after) = rest.split_once('<').ok_or("text after the root")?;
            let text = unescape(before)?;
            match path.last_mut() {
                Some((_, content, parent)) => {
                    out.stray_text |= *parent && !text.is_empty();
                    content.push_str(&text);
                }
                None if !text.trim().is_empty() => return Err("text outside the root".to_owned()),
                None => {}
            }
            let (tag, after) = after.split_once('>').ok_or("unfinished tag")?;
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                let (open, content, parent) = path.pop().ok_or("end tag without start")?;
                if open != name.trim_end() {
                    return Err(format!("<{open}> is closed by </{name}>"));
                }
                finished = path.is_empty();
                if !finished && !parent {
                    out.leaf(&path, &open, content);
                }
                if finished {
                    break;
                }
                continue;
            }
            let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
                return Err(format!("tag name {name:?}"));
            }
            if let Some((_, content, parent)) = path.last_mut() {
                out.stray_text |= !content.is_empty();
                *parent = true;
            } else if name == "root" {
                out.attributes = parse_attributes(attributes)?;
            } else {
                return Err(format!("the root is <{name}>"));
            }
            match (empty, path.is_empty()) {
                (true, true) => {
                    finished = true;
                    break;
                }
                (true, false) => out.leaf(&path, name, String::new()),
                (false, _) if path.len() < MAX_DEPTH => path.push((name.to_owned(), String::new(), false)),
                (false, _) => return Err("too deep".to_owned()),
            }
        }
        if !finished || !rest.trim().is_empty() {
            return Err("the root is not the whole document".to_owned());
        }
        Ok(out)
    }

    fn leaf(&mut self, path: &[(String, String, bool)], name: &str, content: String) {
        let mut full: String = path.iter().skip(1).map(|(name, ..)| format!("{name}/")).collect();
        full.push_str(name);
        self.leaves.push((full, content));
    }

    /// The text of the element at this path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&str> {
        self.leaves.iter().find(|(p, _)| p == path).map(|(_, text)| text.as_str())
    }

    /// An attribute of the root.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether the host says that all is well: `status_code` is 200.
    #[must_use]
    pub fn status(&self) -> Option<i32> {
        // 32-bit wrap as hosts print 4294967295 for −1.
        self.attribute("status_code").and_then(|code| code.parse::<i64>().ok()).map(|code| code as i32)
    }

    /// Notes what §3.1 forbids of every answer.
    pub fn check(&self, what: &str, violations: &mut Violations) {
        violations.check(self.status().is_some(), "§3.1", || format!("{what}: no status_code"));
        violations.check(!self.stray_text, "§3.1", || format!("{what}: text between elements"));
        for (i, (path, _)) in self.leaves.iter().enumerate() {
            let once = path.contains('/') || !self.leaves[..i].iter().any(|(p, _)| p == path);
            violations.check(once, "§3.1", || format!("{what}: <{path}> twice"));
        }
    }
}

fn parse_attributes(mut text: &str) -> Result<Vec<(String, String)>, String> {
    let mut out = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return Ok(out);
        }
        let (name, rest) = text.split_once("=\"").ok_or("attribute without a value")?;
        let (value, rest) = rest.split_once('"').ok_or("unfinished attribute")?;
        out.push((name.trim().to_owned(), unescape(value)?));
        text = rest;
    }
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (name, after) = after.split_once(';').ok_or("& that begins no entity")?;
        out.push_str(before);
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let number = number.strip_prefix('#').ok_or_else(|| format!("entity &{name};"))?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                code.ok().and_then(char::from_u32).ok_or_else(|| format!("entity &{name};"))?
            }
        });
        rest = after;
    }
    Ok(out + rest)
}

const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_oddities_noticed() {
        let xml = Xml::parse(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<root status_code=\"200\"><App><AppTitle>A &amp; B</AppTitle>\
             <ID>7</ID></App><App><AppTitle/><ID>8</ID></App></root>",
        )
        .unwrap();
        assert_eq!(xml.status(), Some(200));
        assert_eq!(xml.leaves.len(), 4);
        assert_eq!(xml.get("App/AppTitle"), Some("A & B"));
        let mut violations = Violations::default();
        xml.check("x", &mut violations);
        assert!(violations.is_empty(), "{violations:?}");

        let odd = Xml::parse("<root a=\"1\">\n <state>x</state><state>y</state></root>").unwrap();
        odd.check("x", &mut violations);
        assert_eq!(violations.count(), 3, "{violations:?}");
        assert_eq!(Xml::parse("<root status_code=\"401\" query=\"/x\"/>").unwrap().status(), Some(401));
        for bad in
            ["", "<html></html>", "<root>", "<root></rot>", "<root/>x", "<root>&nbsp;</root>", "<root a=1/>", "<"]
        {
            assert!(Xml::parse(bad).is_err(), "{bad}");
        }
    }
}
