//! The XML answers of the HTTP API (gamestream.md §3.1): one root with a status, never pretty-printed, because one client
//! fails on white space before the first application of a list.

/// An answer that is being written.
#[derive(Debug)]
pub struct Xml {
    text: String,
}

impl Xml {
    /// An answer with status 200.
    #[must_use]
    pub fn ok() -> Self {
        Self { text: format!("{DECLARATION}<root status_code=\"200\">") }
    }

    /// An answer with another status and its text.
    #[must_use]
    pub fn refusal(status: u16, message: &str) -> Self {
        let mut xml = Self { text: format!("{DECLARATION}<root status_code=\"{status}\" status_message=\"") };
        xml.escape(message);
        xml.text.push_str("\">");
        xml
    }

    /// What every path answers to a client that is not authorised (§3.9).
    #[must_use]
    pub fn unauthorised(path: &str) -> String {
        let mut xml = Self { text: format!("{DECLARATION}<root status_code=\"401\" query=\"") };
        xml.escape(path);
        xml.text.push_str("\" status_message=\"The client is not authorized. Certificate verification failed.\">");
        xml.finish()
    }

    /// Adds an element with text.
    #[must_use]
    pub fn element(mut self, name: &str, value: &str) -> Self {
        self.open(name);
        self.escape(value);
        self.close(name);
        self
    }

    /// Adds an element with a number.
    #[must_use]
    pub fn number(self, name: &str, value: impl Into<u64>) -> Self {
        self.element(name, &value.into().to_string())
    }

    /// Adds an element with children.
    #[must_use]
    pub fn nested(mut self, name: &str, children: impl FnOnce(Self) -> Self) -> Self {
        self.open(name);
        let mut inner = children(self);
        inner.close(name);
        inner
    }

    /// The whole answer.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.close("root");
        self.text
    }

    fn open(&mut self, name: &str) {
        self.text.extend(["<", name, ">"]);
    }

    fn close(&mut self, name: &str) {
        self.text.extend(["</", name, ">"]);
    }

    fn escape(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&apos;"),
                // No XML 1.0 document may hold these, not even escaped (XML 1.0 §2.2).
                '\u{FFFE}' | '\u{FFFF}' => self.text.push('\u{FFFD}'),
                c if c.is_control() => self.text.push(' '),
                c => self.text.push(c),
            }
        }
    }
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_element() {
        let xml = Xml::ok().element("a", "<b>&\"'\u{0}\u{FFFE}ü</a>").nested("c", |x| x.number("d", 7u32)).finish();
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><root status_code=\"200\"><a>&lt;b&gt;&amp;&quot;&apos; \u{FFFD}ü\
             &lt;/a&gt;</a><c><d>7</d></c></root>"
        );
        assert!(Xml::refusal(503, "a \"b\"").finish().contains("status_message=\"a &quot;b&quot;\">"));
        assert!(Xml::unauthorised("/x\"y").contains("status_code=\"401\" query=\"/x&quot;y\" status_message="));
    }
}
