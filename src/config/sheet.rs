//! The sheet: TOML with its lines, read key by key.
//!
//! Owns where everything stands, the complaints, and the effective value of every key (written or
//! by default). A [`Section`] is one table of it: whoever reads a section asks for its keys one by
//! one, and [`Section::done`] complains about those that nobody asked for. A bad value is
//! complained about and replaced by the default, so that reading goes on and finds the rest; the
//! whole is refused in the end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::Setting;
use super::nearest::hint;
use super::value::{self, Read};
use crate::complaint::{Complaint, File, Fit, Kind, Severity, Value, Wrong};
use crate::pii::Pii;

/// Tables of one name at most: a national service has thousands of counselors.
const MAX_TABLES: usize = 10_000;
/// Texts of a list at most.
const MAX_ELEMENTS: usize = 1_000;
/// Complaints of one severity at most: nobody reads more, and each costs memory.
pub(super) const MAX_COMPLAINTS: usize = 200;

/// One text of TOML, and what was found in it.
pub(super) struct Sheet {
    file: String,
    /// Where each line begins, in bytes.
    starts: Vec<usize>,
    complaints: RefCell<Vec<Complaint>>,
    /// How many there were of each severity.
    counts: RefCell<[usize; 3]>,
    settings: RefCell<BTreeMap<String, Setting>>,
    places: RefCell<BTreeMap<String, usize>>,
}

/// What a sheet gave: every key's effective value, and the line of those that are written.
pub(super) struct Found {
    pub(super) complaints: Vec<Complaint>,
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) places: BTreeMap<String, usize>,
}

impl Sheet {
    pub(super) fn new(file: &str, text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            file: file.to_owned(),
            starts: std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect(),
            complaints: RefCell::default(),
            counts: RefCell::default(),
            settings: RefCell::default(),
            places: RefCell::default(),
        }
    }

    /// The line, from 1, in which this byte stands.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    pub(super) fn complain(
        &self,
        severity: Severity,
        key: &str,
        line: Option<usize>,
        what: impl Into<Wrong>,
    ) {
        let mut complaints = self.complaints.borrow_mut();
        let same = &mut self.counts.borrow_mut()[severity as usize];
        *same += 1;
        let (line, key, what) = match *same {
            ..=MAX_COMPLAINTS => (line, key, what.into()),
            n if n == MAX_COMPLAINTS + 1 => (None, "", File::More(MAX_COMPLAINTS).into()),
            _ => return,
        };
        let (file, key) = (self.file.clone(), key.to_owned());
        complaints.push(Complaint { severity, file, line, key, what });
    }

    /// An error about a key, where it stands or (when it is not written) where its table stands.
    pub(super) fn error(&self, key: &str, what: impl Into<Wrong>) {
        self.complain(Severity::Error, key, self.place(key), what);
    }

    /// A warning about a key, where it stands or where its table stands.
    pub(super) fn warn(&self, key: &str, what: impl Into<Wrong>) {
        self.complain(Severity::Warning, key, self.place(key), what);
    }

    /// Something that a key names is no good.
    pub(super) fn outside(&self, key: &str, what: impl Into<Wrong>) {
        self.complain(Severity::Outside, key, self.place(key), what);
    }

    /// Whether there is an error about a key or something in it; about anything, when it is empty.
    fn is_refused(&self, key: &str) -> bool {
        let is_error = |c: &Complaint| c.severity == Severity::Error && c.key.starts_with(key);
        self.complaints.borrow().iter().any(is_error)
    }

    /// The line of a key, or of the innermost table around it that is written.
    pub(super) fn place(&self, key: &str) -> Option<usize> {
        super::place(&self.places.borrow(), key)
    }

    /// Notes the effective value of a key.
    pub(super) fn record(&self, key: &str, setting: Setting) {
        self.settings.borrow_mut().insert(key.to_owned(), setting);
    }

    pub(super) fn into_found(self) -> Found {
        let mut complaints = self.complaints.into_inner();
        complaints.sort_by_key(|complaint| complaint.line);
        let (settings, places) = (self.settings.into_inner(), self.places.into_inner());
        Found { complaints, settings, places }
    }
}

/// One table of a sheet, or the place where it would be.
pub(super) struct Section<'s> {
    sheet: &'s Sheet,
    table: Option<&'s DeTable<'s>>,
    path: String,
    asked: RefCell<BTreeSet<String>>,
}

/// A value where it stands: its key in full (`line.nijiiro.hours.1`) is its name in complaints.
pub(super) type Placed<'s> = (&'s DeValue<'s>, usize);

impl<'s> Section<'s> {
    pub(super) fn root(sheet: &'s Sheet, table: &'s DeTable<'s>) -> Self {
        Self::new(sheet, Some(table), String::new())
    }

    fn new(sheet: &'s Sheet, table: Option<&'s DeTable<'s>>, path: String) -> Self {
        Self { sheet, table, path, asked: RefCell::default() }
    }

    /// Whether the table is written.
    pub(super) fn is_written(&self) -> bool {
        self.table.is_some()
    }

    /// The key in full.
    pub(super) fn key(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (_, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    /// An error about one of its keys; about itself when `key` is empty.
    pub(super) fn error(&self, key: &str, what: impl Into<Wrong>) {
        self.sheet.error(&self.key(key), what);
    }

    /// A warning about one of its keys; about itself when `key` is empty.
    pub(super) fn warn(&self, key: &str, what: impl Into<Wrong>) {
        self.sheet.warn(&self.key(key), what);
    }

    /// Something that one of its keys names is no good.
    pub(super) fn outside(&self, key: &str, what: impl Into<Wrong>) {
        self.sheet.outside(&self.key(key), what);
    }

    /// Whether there is an error about one of its keys, or about anything in it when `key` is
    /// empty: then what seems to follow from it need not be said.
    pub(super) fn is_refused(&self, key: &str) -> bool {
        self.sheet.is_refused(&self.key(key))
    }

    /// Whether the key is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// The value of a key and its line.
    pub(super) fn value(&self, key: &str) -> Option<Placed<'s>> {
        self.asked.borrow_mut().insert(key.to_owned());
        let value = self.table?.get(key)?;
        let line = self.sheet.line(value.span().start);
        self.sheet.places.borrow_mut().insert(self.key(key), line);
        Some((value.get_ref(), line))
    }

    /// Every key that is written, as a table whose keys are names of the operator's own.
    pub(super) fn names(&self) -> Vec<&'s str> {
        let names: Vec<&str> = self
            .table
            .iter()
            .flat_map(|table| table.keys())
            .map(|key| key.get_ref().as_ref())
            .collect();
        self.asked.borrow_mut().extend(names.iter().map(|name| (*name).to_owned()));
        names
    }

    /// Complains about every key that nobody asked for.
    pub(super) fn done(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !asked.contains(name) {
                let line = Some(self.sheet.line(key.span().start));
                let what = Value::NoSuchKey(hint(name, asked.iter().map(String::as_str)));
                self.sheet.complain(Severity::Error, &self.key(name), line, what);
            }
        }
    }

    /// A table inside this one; also when it is not written.
    pub(super) fn section(&self, key: &str) -> Self {
        let table = self.value(key).and_then(|(value, _)| {
            let table = value.as_table();
            if table.is_none() {
                self.error(key, Value::NotTable(kind(value)));
            }
            table
        });
        Self::new(self.sheet, table, self.key(key))
    }

    /// A list of tables (`[[key]]`), each named by the value of its `id` key where that is given
    /// and there, else by its number from 1.
    pub(super) fn sections(&self, key: &str, id: Option<&str>) -> Vec<Self> {
        let Some((value, _)) = self.value(key) else { return Vec::new() };
        let Some(list) =
            value.as_array().filter(|list| list.iter().all(|e| e.get_ref().is_table()))
        else {
            self.error(key, Value::NotTables(key.to_owned()));
            return Vec::new();
        };
        if list.len() > MAX_TABLES {
            self.error(key, Value::TooMany(list.len(), MAX_TABLES));
        }
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        let mut sections = Vec::new();
        for (n, element) in list.iter().take(MAX_TABLES).enumerate() {
            let line = self.sheet.line(element.span().start);
            let Some(table) = element.get_ref().as_table() else { continue };
            let own = id.and_then(|id| table.get(id)).and_then(|id| id.get_ref().as_str());
            let mut path = self.key(&format!("{key}.{}", n + 1));
            if let Some(own) = own.filter(|own| !own.is_empty() && !own.contains('.')) {
                path = self.key(&format!("{key}.{own}"));
                if let Some(first) = taken.insert(own.to_owned(), line) {
                    let what = Fit::AlreadyOne(first);
                    self.sheet.complain(Severity::Error, &path, Some(line), what);
                    path = self.key(&format!("{key}.{}", n + 1));
                }
            }
            self.sheet.places.borrow_mut().insert(path.clone(), line);
            sections.push(Self::new(self.sheet, Some(table), path));
        }
        sections
    }

    /// The text of a key; a complaint when it is something else. `like`: an example.
    pub(super) fn text(&self, key: &str, like: &str) -> Option<&'s str> {
        let (value, line) = self.value(key)?;
        plain_text(value, like)
            .map_err(|what| {
                self.sheet.complain(Severity::Error, &self.key(key), Some(line), what);
            })
            .ok()
    }

    /// A value that is read from text, the default's text when it is not written or bad. `None`
    /// only when the default itself is bad.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        default: &str,
        parse: impl Fn(&str) -> Read<T>,
    ) -> Option<T> {
        let written = self.text(key, default).and_then(|text| match parse(text) {
            Ok(value) => Some((text, value)),
            Err(what) => {
                self.error(key, what);
                None
            }
        });
        let (text, value) = match written {
            Some(written) => written,
            None => (default, parse(default).ok()?),
        };
        self.sheet.record(&self.key(key), Setting::Shown(text.to_owned()));
        Some(value)
    }

    /// A value that has no default and may be missing.
    pub(super) fn optional<T>(&self, key: &str, parse: impl Fn(&str) -> Read<T>) -> Option<T> {
        let text = self.text(key, "…");
        self.sheet.record(&self.key(key), Setting::Shown(text.unwrap_or_default().to_owned()));
        match parse(text?) {
            Ok(value) => Some(value),
            Err(what) => {
                self.error(key, what);
                None
            }
        }
    }

    /// A value that must be written.
    pub(super) fn required<T>(&self, key: &str, parse: impl Fn(&str) -> Read<T>) -> Option<T> {
        if !self.has(key) {
            self.error(key, Value::Missing);
        }
        self.optional(key, parse)
    }

    /// One of several names.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &str,
        default: &str,
        known: &[(&str, T)],
    ) -> Option<T> {
        self.parsed(key, default, |text| value::one_of(text, known))
    }

    /// A duration within bounds.
    pub(super) fn duration(
        &self,
        key: &str,
        default: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let value = self.parsed(key, default, |text| value::duration_in(text, &range))?;
        self.sheet.record(&self.key(key), Setting::Shown(value::show(value)));
        Some(value)
    }

    /// A duration within bounds, or `off`.
    pub(super) fn duration_or_off(
        &self,
        key: &str,
        default: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Option<Duration>> {
        self.parsed(key, default, |text| match text {
            "off" => Ok(None),
            text => value::duration_in(text, &range).map(Some),
        })
    }

    /// A whole number within bounds.
    pub(super) fn number<T>(&self, key: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let read = |value: &DeValue<'_>| {
            let Some(integer) = value.as_integer() else {
                return Err(Value::NotWhole(default.to_string(), kind(value)).into());
            };
            let digits = integer.as_str().replace('_', "");
            let number = i64::from_str_radix(&digits, integer.radix()).ok();
            let number = number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
                Value::OutOfBounds(digits, range.start().to_string(), range.end().to_string())
            })?;
            value::within(number, &range)
        };
        let value = match self.value(key).map(|(value, _)| read(value)) {
            Some(Ok(number)) => number,
            Some(Err(what)) => {
                self.error(key, what);
                default
            }
            None => default,
        };
        self.sheet.record(&self.key(key), Setting::Shown(value.to_string()));
        value
    }

    /// True or false.
    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        let value = match self.value(key).map(|(value, _)| (value.as_bool(), kind(value))) {
            Some((Some(flag), _)) => flag,
            Some((None, kind)) => {
                self.error(key, Value::NotFlag(kind));
                default
            }
            None => default,
        };
        self.sheet.record(&self.key(key), Setting::Shown(value.to_string()));
        value
    }

    /// A list of texts, each read by `parse`; the defaults when it is not written. Says nothing of
    /// how many there must be; the same thing twice is an error.
    pub(super) fn list<T: PartialEq>(
        &self,
        key: &str,
        default: &[&str],
        parse: impl Fn(&str) -> Read<T>,
    ) -> Option<Vec<T>> {
        let name = self.key(key);
        let Some((value, _)) = self.value(key) else {
            self.sheet.record(&name, Setting::Shown(default.join(", ")));
            return default.iter().map(|text| parse(text).ok()).collect();
        };
        let mut values = Vec::new();
        let mut texts = Vec::new();
        let Some(list) = value.as_array() else {
            self.error(key, Value::NotList(kind(value)));
            return Some(values);
        };
        if list.len() > MAX_ELEMENTS {
            self.error(key, Value::Elements(list.len(), MAX_ELEMENTS));
        }
        for element in list.iter().take(MAX_ELEMENTS) {
            let text = plain_text(element.get_ref(), "…");
            match text.and_then(|text| Ok((text, parse(text)?))) {
                Ok((text, value)) if values.contains(&value) => {
                    let line = Some(self.sheet.line(element.span().start));
                    let what = Value::Twice(text.to_owned());
                    self.sheet.complain(Severity::Error, &name, line, what);
                }
                Ok((text, value)) => {
                    texts.push(text);
                    values.push(value);
                }
                Err(what) => {
                    let line = Some(self.sheet.line(element.span().start));
                    self.sheet.complain(Severity::Error, &name, line, what);
                }
            }
        }
        self.sheet.record(&name, Setting::Shown(texts.join(", ")));
        Some(values)
    }

    /// Notes pairs of durations and prompts.
    pub(super) fn record_tones(&self, key: &str, tones: &[(Duration, crate::media::Prompt)]) {
        let tones: Vec<String> = tones
            .iter()
            .map(|(left, prompt)| format!("{} {}", value::show(*left), prompt.0))
            .collect();
        self.sheet.record(&self.key(key), Setting::Shown(tones.join(", ")));
    }

    /// A text that must not be shown.
    pub(super) fn secret(&self, key: &str) -> Option<Pii> {
        let secret = self.text(key, "…").map(Pii::new);
        let kept = secret.clone().unwrap_or_else(|| Pii::new(""));
        self.sheet.record(&self.key(key), Setting::Secret(kept));
        secret
    }
}

/// The text of a value. Control characters are refused everywhere: values end up in SIP headers,
/// logs and pages.
pub(super) fn plain_text<'s>(value: &'s DeValue<'s>, like: &str) -> Read<&'s str> {
    let Some(text) = value.as_str() else {
        return Err(Value::NotText(like.to_owned(), kind(value)).into());
    };
    if text.chars().any(char::is_control) {
        return Err(Value::ControlCharacter.into());
    }
    Ok(text)
}

/// What a value is.
pub(super) fn kind(value: &DeValue<'_>) -> Kind {
    match value {
        DeValue::String(_) => Kind::Text,
        DeValue::Integer(_) | DeValue::Float(_) => Kind::Number,
        DeValue::Boolean(_) => Kind::Flag,
        DeValue::Datetime(_) => Kind::Moment,
        DeValue::Array(_) => Kind::List,
        DeValue::Table(_) => Kind::Table,
    }
}
