//! The texts of tokens.

use argpick::sandbox::Model;
use serde_json::{Value, json};
use std::path::Path;
use std::rc::Rc;

/// The largest file of texts, in bytes.
const MOST_BYTES: u64 = 32 << 20;

/// The text of each token by id; a token past the end has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Words(Rc<Vec<String>>);

impl Words {
    /// Those of a model.
    pub fn of(model: &Model) -> Words {
        Words(Rc::new(model.words().to_vec()))
    }

    /// Those of a file: a JSON list, a JSON object of ids by text, or one a line.
    pub fn read(path: &Path) -> Result<Words, String> {
        let refuse = |reason: String| format!("{}: {reason}", path.display());
        let size = std::fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {error}")))?.len();
        if size > MOST_BYTES {
            return Err(refuse(format!("{} MiB are too much for the texts of tokens", size >> 20)));
        }
        let text = std::fs::read_to_string(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let words = match text.trim_start().as_bytes().first() {
            Some(b'[') => serde_json::from_str(&text).map_err(|error| refuse(format!("no list of texts: {error}")))?,
            Some(b'{') => by_id(&text).map_err(refuse)?,
            _ => text.lines().map(str::to_owned).collect(),
        };
        Ok(Words(Rc::new(words)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The text of a token.
    pub fn get(&self, token: u32) -> Option<&str> {
        self.0.get(token as usize).map(String::as_str)
    }

    /// The list for the page.
    pub fn json(&self) -> Value {
        json!(*self.0)
    }
}

/// `{"text": id, ...}`, as tokenizers write their vocabulary.
fn by_id(text: &str) -> Result<Vec<String>, String> {
    let map: serde_json::Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("no object of ids by text: {error}"))?;
    let mut words = Vec::new();
    for (word, id) in map {
        let id = id.as_u64().and_then(|id| usize::try_from(id).ok()).filter(|&id| id < argpick::MAX_VOCAB);
        let id = id.ok_or_else(|| format!("the id of {word:?} is no token"))?;
        if words.len() <= id {
            words.resize(id + 1, String::new());
        }
        words[id] = word;
    }
    Ok(words)
}
