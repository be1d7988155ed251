//! YAML and JSON as one tree with line numbers, read strictly: no key twice, no aliases, no tags, no second document, no
//! deep nesting. Plain scalars of YAML are what its core schema (1.2) makes of them.

use serde_core::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::TScalarStyle;

/// The deepest nesting that is read; a sweep file needs five.
const MOST_DEPTH: usize = 16;

/// A value and the line it begins on, 0 if that is not known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub line: usize,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Flag(bool),
    /// A whole number from 0 up.
    Whole(u64),
    /// Any other number.
    Real(f64),
    Text(String),
    List(Vec<Node>),
    /// Keys in the order of the file, each once.
    Map(Vec<(String, Node)>),
}

/// Why a text cannot be read, and the line, 0 if it is not known.
#[derive(Debug)]
pub(super) struct Malformed {
    pub line: usize,
    pub reason: String,
}

impl Node {
    /// The value for a message, in one short line.
    pub fn shown(&self) -> String {
        match &self.value {
            Value::Null => "empty".to_owned(),
            Value::Flag(flag) => flag.to_string(),
            Value::Whole(number) => number.to_string(),
            Value::Real(number) => number.to_string(),
            Value::Text(text) => shortened(text),
            Value::List(list) => format!("a list of {}", list.len()),
            Value::Map(map) => format!("a mapping of {}", map.len()),
        }
    }
}

/// A text in quotes, cut where it is long.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Reads YAML: one document.
pub(super) fn read_yaml(text: &str) -> Result<Node, Malformed> {
    /// A list or a mapping that is not finished.
    enum Open {
        List(Node),
        Map { node: Node, key: Option<(String, usize)> },
    }
    let mut parser = Parser::new_from_str(text);
    let mut stack: Vec<Open> = Vec::new();
    let mut root: Option<Node> = None;
    loop {
        let (event, mark) = parser.next_token().map_err(|error| Malformed {
            line: error.marker().line(),
            reason: format!("malformed YAML at column {}: {}", error.marker().col() + 1, error.info()),
        })?;
        let line = mark.line();
        let refuse = |reason: &str| Malformed { line, reason: reason.to_owned() };
        let is_tagged = matches!(
            &event,
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_))
        );
        if is_tagged {
            return Err(refuse("tags (!...) are not read here"));
        }
        let done = match event {
            Event::StreamEnd => return root.ok_or_else(|| refuse("the file is empty")),
            Event::Nothing | Event::StreamStart | Event::DocumentEnd => continue,
            Event::DocumentStart if root.is_some() => return Err(refuse("the file has a second document (---)")),
            Event::DocumentStart => continue,
            Event::Alias(_) => return Err(refuse("aliases (*...) are not read here: write the value out")),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if stack.len() == MOST_DEPTH {
                    return Err(refuse(&format!("nested deeper than {MOST_DEPTH}")));
                }
                stack.push(match event {
                    Event::SequenceStart(..) => Open::List(Node { line, value: Value::List(Vec::new()) }),
                    _ => Open::Map { node: Node { line, value: Value::Map(Vec::new()) }, key: None },
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                Some(Open::List(node) | Open::Map { node, .. }) => node,
                None => return Err(refuse("malformed YAML: an end without a beginning")),
            },
            Event::Scalar(text, style, ..) => {
                if let Some(Open::Map { key: key @ None, .. }) = stack.last_mut() {
                    *key = Some((text, line));
                    continue;
                }
                let value = if style == TScalarStyle::Plain { plain(&text) } else { Value::Text(text) };
                Node { line, value }
            }
        };
        match stack.last_mut() {
            None => root = Some(done),
            Some(Open::List(Node { value: Value::List(list), .. })) => list.push(done),
            Some(Open::Map { node: Node { value: Value::Map(map), .. }, key }) => {
                let Some((key, line)) = key.take() else { return Err(refuse("a key must be plain text")) };
                if map.iter().any(|(known, _)| *known == key) {
                    return Err(Malformed { line, reason: format!("{key} stands there twice") });
                }
                map.push((key, done));
            }
            Some(_) => return Err(refuse("malformed YAML")),
        }
    }
}

/// What the core schema makes of a plain scalar.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Flag(true),
        "false" | "False" | "FALSE" => return Value::Flag(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Real(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Real(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Real(f64::NAN),
        _ => {}
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix).filter(|digits| !digits.starts_with(['+', '-'])) {
            return u64::from_str_radix(digits, radix).map_or_else(|_| Value::Text(text.to_owned()), Value::Whole);
        }
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
    {
        return Value::Text(text.to_owned());
    }
    match (text.strip_prefix('+').unwrap_or(text).parse::<u64>(), text.parse::<f64>()) {
        (Ok(number), _) => Value::Whole(number),
        (_, Ok(number)) => Value::Real(number),
        _ => Value::Text(text.to_owned()),
    }
}

/// Reads JSON.
pub(super) fn read_json(text: &str) -> Result<Node, Malformed> {
    let node: Node = serde_json::from_str(text).map_err(|error| Malformed {
        line: error.line(),
        // Its own text repeats the line.
        reason: {
            let place = format!(" at line {} column {}", error.line(), error.column());
            format!("malformed JSON at column {}: {}", error.column(), error.to_string().replace(&place, ""))
        },
    })?;
    if depth(&node) > MOST_DEPTH {
        return Err(Malformed { line: 0, reason: format!("nested deeper than {MOST_DEPTH}") });
    }
    Ok(node)
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::List(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Map(map) => 1 + map.iter().map(|(_, node)| depth(node)).max().unwrap_or(0),
        _ => 0,
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(AnyValue)?;
        Ok(Node { line: 0, value })
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(u64::try_from(number).map_or(Value::Real(number as f64), Value::Whole))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Real(number))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = items.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut map: Vec<(String, Node)> = Vec::new();
        while let Some((key, node)) = items.next_entry::<String, Node>()? {
            if map.iter().any(|(known, _)| *known == key) {
                return Err(serde_core::de::Error::custom(format!("{key} stands there twice")));
            }
            map.push((key, node));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_make_the_same_tree() {
        fn without_lines(node: &mut Node) {
            node.line = 0;
            match &mut node.value {
                Value::List(list) => list.iter_mut().for_each(without_lines),
                Value::Map(map) => map.iter_mut().for_each(|(_, node)| without_lines(node)),
                _ => {}
            }
        }
        let yaml = "a: [1, -2, 0.5, true, ~, x y, \"7\"]\nb:\n  - c: 1e-3\n    d: {}\n  - 'no'\n";
        let mut tree = read_yaml(yaml).unwrap();
        let Value::Map(map) = &tree.value else { panic!() };
        assert_eq!((map[0].1.line, map[1].1.line), (1, 3));
        without_lines(&mut tree);
        let json = r#"{"a": [1, -2, 0.5, true, null, "x y", "7"], "b": [{"c": 1e-3, "d": {}}, "no"]}"#;
        assert_eq!(tree, read_json(json).unwrap());
        // Surrogate pairs, which Python's json module writes.
        assert_eq!(read_json(r#""\ud83d\ude00""#).unwrap().value, Value::Text("😀".to_owned()));
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, value) in [
            ("12", Value::Whole(12)),
            ("+12", Value::Whole(12)),
            ("0x1F", Value::Whole(31)),
            ("0o17", Value::Whole(15)),
            ("-3", Value::Real(-3.0)),
            (".5", Value::Real(0.5)),
            ("2e3", Value::Real(2000.0)),
            ("18446744073709551615", Value::Whole(u64::MAX)),
            ("-.inf", Value::Real(f64::NEG_INFINITY)),
            ("Null", Value::Null),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
        for text in ["yes", "1.2.3", "1_000", "e5", "inf", "nan", "0x", "0x+1", "-", "1-2", "The sea", ".", "..."] {
            assert_eq!(plain(text), Value::Text(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_hostile_or_double_is_refused_with_its_line() {
        for (text, line, what) in [
            ("a: 1\nb: 2\na: 3\n", 3, "a stands there twice"),
            ("a: &x [1]\nb: *x\n", 2, "aliases"),
            ("a: 1\n---\nb: 2\n", 2, "second document"),
            ("a: !!str 1\n", 1, "tags"),
            ("a: [1\nb: 2\n", 2, "malformed YAML"),
            ("? [1]\n: 2\n", 1, "key"),
            ("", 1, "empty"),
        ] {
            let refused = read_yaml(text).unwrap_err();
            assert!(refused.reason.contains(what), "{text:?}: {refused:?}");
            assert!(refused.line.abs_diff(line) <= 1, "{text:?}: {refused:?}");
        }
        assert!(read_yaml(&"[".repeat(100_000)).is_err());
        for (text, what) in [("{\"a\": 1,\n\"a\": 2}", "twice"), ("{\n\"a\": }", "column 6"), ("[1] x", "trailing")] {
            let refused = read_json(text).unwrap_err();
            assert!(refused.reason.contains(what), "{text:?}: {refused:?}");
        }
        assert!(read_json(&"[".repeat(100_000)).is_err());
        let deep = format!("{}{}", "[".repeat(17), "]".repeat(17));
        assert!(read_json(&deep).unwrap_err().reason.contains("deeper"));
        assert!(read_yaml(&deep).unwrap_err().reason.contains("deeper"));
    }
}
