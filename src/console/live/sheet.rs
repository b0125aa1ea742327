//! The parts of a page as they look at a moment, and since when: so that each viewer gets what has
//! changed since they looked last, and nothing else.
//!
//! Owns [`Sheet`] and the form of a part in events: `{"id": …, "html": …}`, its new inside; or
//! `{"id": …, "keys": […], "rows": {key: html}}`, a list: which rows there are, in their order, and
//! those of them that are new or look different. And [`fill`], which writes lengths of time out for
//! whoever has no script.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::time::Timestamp;

/// The parts of a page.
#[derive(Default)]
pub(in crate::console) struct Sheet {
    /// Grows with every change.
    version: u64,
    parts: BTreeMap<&'static str, Part>,
    /// What was told last: since when, and what. Most viewers have seen the same.
    told: Option<(u64, u64, Arc<str>)>,
}

struct Part {
    version: u64,
    body: Body,
}

enum Body {
    Whole(String),
    Rows(Vec<Row>),
}

struct Row {
    key: String,
    html: String,
    version: u64,
}

impl Sheet {
    /// A part looks like this from here on.
    pub(in crate::console) fn whole(&mut self, id: &'static str, html: String) {
        let is_same = self.parts.get(id).is_some_and(|part| match &part.body {
            Body::Whole(old) => *old == html,
            Body::Rows(_) => false,
        });
        if !is_same {
            self.version += 1;
            self.parts.insert(id, Part { version: self.version, body: Body::Whole(html) });
        }
    }

    /// A list has these rows from here on: each with what tells it from the others.
    pub(in crate::console) fn rows(&mut self, id: &'static str, rows: Vec<(String, String)>) {
        let version = self.version + 1;
        let part = self.parts.remove(id);
        let (since, mut old) = match part {
            Some(Part { version, body: Body::Rows(rows) }) => (version, rows),
            Some(Part { body: Body::Whole(_), .. }) | None => (version, Vec::new()),
        };
        let keys = |rows: &[Row]| rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>();
        let before = keys(&old);
        let mut is_same = since != version;
        let mut take = |key: &str| {
            let at = old.iter().position(|row| row.key == key)?;
            Some(old.swap_remove(at))
        };
        let rows: Vec<Row> = rows
            .into_iter()
            .map(|(key, html)| match take(&key) {
                Some(row) if row.html == html => row,
                Some(_) | None => {
                    is_same = false;
                    Row { key, html, version }
                }
            })
            .collect();
        is_same &= keys(&rows) == before;
        if !is_same {
            self.version = version;
        }
        let version = if is_same { since } else { version };
        self.parts.insert(id, Part { version, body: Body::Rows(rows) });
    }

    /// How a part looks.
    pub(in crate::console) fn html(&self, id: &str) -> String {
        match self.parts.get(id).map(|part| &part.body) {
            Some(Body::Whole(html)) => html.clone(),
            Some(Body::Rows(rows)) => rows.iter().map(|row| &*row.html).collect(),
            None => String::new(),
        }
    }

    /// Grows with every change.
    pub(in crate::console) fn version(&self) -> u64 {
        self.version
    }

    /// What has changed since a version, as the data of an event.
    pub(in crate::console) fn since(&mut self, seen: u64) -> Option<(Arc<str>, u64)> {
        if seen >= self.version {
            return None;
        }
        if let Some((since, version, data)) = &self.told
            && (*since, *version) == (seen, self.version)
        {
            return Some((Arc::clone(data), self.version));
        }
        let changed = self.parts.iter().filter(|(_, part)| part.version > seen);
        let parts: Vec<_> = changed.map(|(id, part)| part.told(id, seen)).collect();
        let data: Arc<str> = Value::Array(parts).to_string().into();
        self.told = Some((seen, self.version, Arc::clone(&data)));
        Some((data, self.version))
    }
}

impl Part {
    fn told(&self, id: &str, seen: u64) -> Value {
        match &self.body {
            Body::Whole(html) => json!({ "id": id, "html": html }),
            Body::Rows(rows) => {
                let keys: Vec<_> = rows.iter().map(|row| &row.key).collect();
                let new = rows.iter().filter(|row| row.version > seen);
                let new: Map<_, _> =
                    new.map(|row| (row.key.clone(), row.html.clone().into())).collect();
                json!({ "id": id, "keys": keys, "rows": new })
            }
        }
    }
}

/// Writes the lengths of time out that the script would: in elements that are empty, and carry
/// `data-since` or `data-until` with a moment in seconds of Unix time as their last attribute.
pub(in crate::console) fn fill(html: &str, now: Timestamp) -> String {
    let mut out = String::with_capacity(html.len() + 256);
    let mut rest = html;
    while let Some(at) = ["data-since=\"", "data-until=\""]
        .iter()
        .filter_map(|name| rest.find(name).map(|at| at + name.len()))
        .min()
    {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        rest = tail;
        let counts_down = head.ends_with("until=\"");
        let Some((moment, after)) = tail.split_once("\">") else { continue };
        if let Ok(moment) = moment.parse::<i64>()
            && after.starts_with('<')
        {
            let left = moment - now.timestamp();
            let length = if counts_down { left } else { -left };
            out.push_str(&format!("{moment}\">{}", length_of(length)));
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// `1:05`, `1:01:05`
pub(in crate::console) fn length_of(seconds: i64) -> String {
    let all = seconds.max(0);
    match (all / 3_600, all / 60 % 60, all % 60) {
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(key, html)| ((*key).to_owned(), (*html).to_owned())).collect()
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let mut sheet = Sheet::default();
        assert!(sheet.since(0).is_none());
        sheet.whole("a", "<b>1</b>".to_owned());
        sheet.rows("list", rows(&[("x", "X"), ("y", "Y")]));
        let (all, first) = sheet.since(0).unwrap();
        let a = r#"{"html":"<b>1</b>","id":"a"}"#;
        let list = r#"{"id":"list","keys":["x","y"],"rows":{"x":"X","y":"Y"}}"#;
        assert_eq!(&*all, format!("[{a},{list}]"));
        sheet.whole("a", "<b>1</b>".to_owned());
        sheet.rows("list", rows(&[("x", "X"), ("y", "Y")]));
        assert!(sheet.since(first).is_none(), "nothing has changed");
        sheet.rows("list", rows(&[("z", "Z"), ("x", "X"), ("y", "new")]));
        let (some, second) = sheet.since(first).unwrap();
        assert_eq!(&*some, r#"[{"id":"list","keys":["z","x","y"],"rows":{"y":"new","z":"Z"}}]"#);
        sheet.rows("list", rows(&[("y", "new")]));
        let (some, third) = sheet.since(second).unwrap();
        assert_eq!(&*some, r#"[{"id":"list","keys":["y"],"rows":{}}]"#);
        sheet.whole("a", "2".to_owned());
        let (some, _) = sheet.since(third).unwrap();
        assert_eq!(&*some, r#"[{"html":"2","id":"a"}]"#);
        let (some, _) = sheet.since(first).unwrap();
        assert!(some.contains(r#""rows":{"y":"new"}"#), "whoever was away gets all of it: {some}");
        assert_eq!((sheet.html("list"), sheet.html("none")), ("new".to_owned(), String::new()));
    }

    #[test]
    fn lengths_are_written_out_for_whoever_has_no_script() {
        let now = Timestamp::from_timestamp(10_000, 0).unwrap();
        let html = "<time data-since=\"9935\"></time> \
                    <time class=\"big\" data-until=\"13661\"></time>\
                    <time data-since=\"odd\"></time><time data-since=\"1\">kept</time>";
        let expected = "<time data-since=\"9935\">1:05</time> \
                        <time class=\"big\" data-until=\"13661\">1:01:01</time>\
                        <time data-since=\"odd\"></time><time data-since=\"1\">kept</time>";
        assert_eq!(fill(html, now), expected);
        assert_eq!(length_of(-5), "0:00");
    }
}
