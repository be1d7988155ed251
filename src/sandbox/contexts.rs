//! Files of prompts: JSON with a list under `contexts`, a bare JSON list, or plain text with one prompt per line.
//!
//! A file is JSON if its first character that is no blank is `{` or `[`. In plain text, empty lines do not count.
//! Only what is needed of JSON is read, and strictly: a file that is neither is refused with the place.

use super::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest file of prompts read.
const MOST_BYTES: u64 = 64 << 20;

/// The deepest nesting in a JSON file of prompts.
const MOST_DEPTH: usize = 64;

/// Reads the prompts in `path`.
///
/// # Errors
/// A file that cannot be read, is too large, is not UTF-8 or not JSON of either form, and one without prompts.
pub fn read(path: &Path) -> Result<Vec<String>> {
    let refuse = |error| Error::file("read", path, error);
    let mut bytes = Vec::new();
    // Bounded by reading, not by asking for the size: a pipe has none.
    File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(refuse)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::content(
            path.display().to_string(),
            format!("a file of prompts has at most {MOST_BYTES} bytes, this one has more"),
        ));
    }
    parse(&bytes).map_err(|reason| Error::content(path.display().to_string(), reason))
}

/// Reads prompts from the bytes of a file.
///
/// # Errors
/// One line saying what is wrong and where.
pub fn parse(bytes: &[u8]) -> std::result::Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let prompts = match text.trim_start().chars().next() {
        Some('{') => Json { text, at: 0 }.document()?,
        Some('[') => Json { text, at: 0 }.document()?,
        _ => text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect(),
    };
    if prompts.is_empty() {
        return Err("no prompts in it".to_owned());
    }
    Ok(prompts)
}

/// A reader of JSON that keeps one thing, the prompts, and checks the rest.
struct Json<'a> {
    text: &'a str,
    at: usize,
}

type Parsed<T> = std::result::Result<T, String>;

impl Json<'_> {
    fn document(mut self) -> Parsed<Vec<String>> {
        let prompts = if self.peek() == Some(b'[') { Some(self.strings()?) } else { self.object()? };
        if self.peek().is_some() {
            return Err(self.unexpected("the end of the file"));
        }
        prompts.ok_or_else(|| "the JSON object has no \"contexts\"".to_owned())
    }

    fn object(&mut self) -> Parsed<Option<Vec<String>>> {
        self.expect(b'{')?;
        let mut prompts = None;
        if self.accept(b'}') {
            return Ok(prompts);
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            if key != "contexts" {
                self.skip(1)?;
            } else if prompts.replace(self.strings()?).is_some() {
                return Err("the JSON object has \"contexts\" twice".to_owned());
            }
            if !self.accept(b',') {
                self.expect(b'}')?;
                return Ok(prompts);
            }
        }
    }

    fn strings(&mut self) -> Parsed<Vec<String>> {
        self.expect(b'[')?;
        let mut list = Vec::new();
        if self.accept(b']') {
            return Ok(list);
        }
        loop {
            list.push(self.string()?);
            if !self.accept(b',') {
                self.expect(b']')?;
                return Ok(list);
            }
        }
    }

    /// Any value, thrown away.
    fn skip(&mut self, depth: usize) -> Parsed<()> {
        if depth > MOST_DEPTH {
            return Err(format!("JSON nested deeper than {MOST_DEPTH} at byte {}", self.at));
        }
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(open @ (b'{' | b'[')) => {
                let close = if open == b'{' { b'}' } else { b']' };
                self.at += 1;
                if self.accept(close) {
                    return Ok(());
                }
                loop {
                    if open == b'{' {
                        self.string()?;
                        self.expect(b':')?;
                    }
                    self.skip(depth + 1)?;
                    if !self.accept(b',') {
                        return self.expect(close);
                    }
                }
            }
            Some(b'-' | b'0'..=b'9') => {
                let rest = &self.text[self.at..];
                let end = rest.find(|c: char| !"+-.eE0123456789".contains(c)).unwrap_or(rest.len());
                rest[..end].parse::<f64>().map_err(|_| format!("not a number at byte {}", self.at))?;
                self.at += end;
                Ok(())
            }
            _ => {
                let rest = &self.text[self.at..];
                match ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word)) {
                    Some(word) => {
                        self.at += word.len();
                        Ok(())
                    }
                    None => Err(self.unexpected("a value")),
                }
            }
        }
    }

    fn string(&mut self) -> Parsed<String> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a string"));
        }
        let start = self.at;
        self.at += 1;
        let mut value = String::new();
        loop {
            let mut rest = self.text[self.at..].chars();
            let c = rest.next().ok_or_else(|| format!("the string at byte {start} has no end"))?;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(value),
                '\\' => value.push(self.escape()?),
                '\0'..='\u{1f}' => return Err(format!("a control character in the string at byte {start}")),
                _ => value.push(c),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        let at = self.at - 1;
        let code = self.text.as_bytes().get(self.at).copied();
        self.at += 1;
        Ok(match code {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let mut units = [self.unit(at)?, 0];
                let mut count = 1;
                if (0xd800..0xdc00).contains(&units[0]) && self.text[self.at..].starts_with("\\u") {
                    self.at += 2;
                    units[1] = self.unit(at)?;
                    count = 2;
                }
                match (char::decode_utf16(units[..count].iter().copied()).next(), count) {
                    (Some(Ok(c)), 1) => c,
                    (Some(Ok(c)), _) if c.len_utf16() == 2 => c,
                    _ => return Err(format!("half a surrogate pair at byte {at}")),
                }
            }
            _ => return Err(format!("not an escape at byte {at}")),
        })
    }

    fn unit(&mut self, at: usize) -> Parsed<u16> {
        let digits = self.text.get(self.at..self.at + 4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        self.at += 4;
        unit.ok_or_else(|| format!("not an escape at byte {at}"))
    }

    /// The next byte that is no blank, not taken.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Parsed<()> {
        if self.accept(byte) { Ok(()) } else { Err(self.unexpected(&format!("'{}'", byte as char))) }
    }

    fn unexpected(&mut self, wanted: &str) -> String {
        match self.peek() {
            Some(_) => {
                let found = self.text[self.at..].chars().next().unwrap_or_default();
                format!("malformed JSON: {found:?} at byte {}, {wanted} is needed", self.at)
            }
            None => format!("malformed JSON: the file ends at byte {}, {wanted} is needed", self.at),
        }
    }
}
