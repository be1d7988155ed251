//! The sweep file: prompts, parameter sets, seeds, and when a run ends. [The page on the lab](crate::docs::lab) has the
//! format; everything here is plain data.

use super::error::{Error, Result};
use super::parameters::{self, Preset, allowed, in_words, nearest};
use super::tree::{self, Malformed, Node, Value};
use crate::types::{MAX_VOCAB, TokenId};
use crate::{Config, Decoder, Memory, Metrics};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest sweep file that is read, in bytes.
pub const MOST_BYTES: u64 = 64 << 20;
/// The most runs that a sweep has.
pub const MOST_RUNS: usize = 10_000_000;
/// The most runs that are decoded together.
pub const MOST_BATCH: usize = 4096;
/// The most tokens that a run generates.
pub const MOST_TOKENS: u32 = 1_000_000;

const BATCH: usize = 8;
const SHOWN_CHARACTERS: usize = 60;
const SHOWN_TOKENS: usize = 8;
const TOKENS: u32 = 64;

/// What a run begins with.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A text, which the model cuts into tokens.
    Text(String),
    /// Tokens of the model.
    Tokens(Vec<TokenId>),
}

/// A prompt of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// Its name in reports; the text itself, or its first tokens, where the file gives none.
    pub name: String,
    /// What it says.
    pub input: Input,
}

impl Input {
    /// The text, or the tokens as `tokens 3 1 4`, cut where that is long.
    pub fn shown(&self) -> String {
        match self {
            Input::Text(text) => match text.char_indices().nth(SHOWN_CHARACTERS) {
                Some((end, _)) => format!("{}...", &text[..end]),
                None => text.clone(),
            },
            Input::Tokens(tokens) => {
                let first: Vec<String> = tokens.iter().take(SHOWN_TOKENS).map(TokenId::to_string).collect();
                let rest = if tokens.len() > SHOWN_TOKENS { " ..." } else { "" };
                format!("tokens {}{rest}", first.join(" "))
            }
        }
    }
}

/// A parameter set of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSet {
    /// Its name: the file's, else that of an unchanged preset, else its parameters. No two sets have the same.
    pub name: String,
    /// The preset it begins with.
    pub preset: Option<Preset>,
    /// The configuration. Its seed is 0 and its stream that of the first prompt.
    pub config: Config,
}

/// A token of the model, by id or by its text.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenName {
    /// By its id.
    Id(TokenId),
    /// By its text, which must be that of one token.
    Text(String),
}

/// What ends a run, beside `max_tokens` and `loop_repeats`, which are parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ends {
    /// The end tokens; `None` for the model's own.
    pub end_tokens: Option<Vec<TokenName>>,
    /// Sequences of tokens.
    pub stop_tokens: Vec<Vec<TokenName>>,
    /// Texts.
    pub stop_strings: Vec<String>,
}

/// A sweep as its file describes it: every prompt under every parameter set with every seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The prompts, at least one.
    pub prompts: Vec<Prompt>,
    /// The parameter sets, at least one.
    pub sets: Vec<ParameterSet>,
    /// The seeds, at least one, none twice.
    pub seeds: Vec<u64>,
    /// What ends a run.
    pub ends: Ends,
    /// How many runs are decoded together; decides no result.
    pub max_batch_size: usize,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number: `(prompt * sets + set) * seeds + seed`, each by its place in the file.
    pub number: usize,
    /// The prompt's place.
    pub prompt: usize,
    /// The parameter set's place.
    pub set: usize,
    /// The seed.
    pub seed: u64,
    /// The whole configuration: that of the set with this seed; its stream is the set's plus the prompt's place, so that
    /// prompts draw different numbers, and parameter sets the same ones.
    pub config: Config,
}

impl Sweep {
    /// Reads a sweep file: JSON if its name ends with `.json`, else YAML.
    ///
    /// # Errors
    /// A file that cannot be read or is too large; what [`Sweep::parse`] refuses.
    pub fn read(path: &Path) -> Result<Sweep> {
        let refuse = |error| Error::file("read", path, error);
        let origin = path.display().to_string();
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(refuse)?;
        let whole = |reason: String| Error::Sweep { origin: origin.clone(), line: 0, path: String::new(), reason };
        if bytes.len() as u64 > MOST_BYTES {
            return Err(whole(format!("a sweep file has at most {MOST_BYTES} bytes, this one has more")));
        }
        let text =
            std::str::from_utf8(&bytes).map_err(|error| whole(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        Sweep::parse(&origin, text, is_json)
    }

    /// Reads a sweep from the text of a file, JSON or YAML; `origin` names it in messages.
    ///
    /// # Errors
    /// [`Error::Sweep`] with the path of the key, the value found, and what is allowed.
    pub fn parse(origin: &str, text: &str, is_json: bool) -> Result<Sweep> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let read = if is_json { tree::read_json(text) } else { tree::read_yaml(text) };
        let refuse =
            |line: usize, path: String, reason: String| Error::Sweep { origin: origin.to_owned(), line, path, reason };
        let root = read.map_err(|Malformed { line, reason }| refuse(line, String::new(), reason))?;
        // Keys come from the file: whoever prints them must not be made to print a terminal command.
        let clean = |text: String| text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        sweep(&root).map_err(|wrong| refuse(wrong.line, clean(wrong.path), clean(wrong.reason)))
    }

    /// The number of runs.
    pub fn len(&self) -> usize {
        self.prompts.len() * self.sets.len() * self.seeds.len()
    }

    /// Whether there is no run, which no sweep from a file has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The run of a number below [`Sweep::len`].
    pub fn run(&self, number: usize) -> Run {
        let (rest, seed) = (number / self.seeds.len(), self.seeds[number % self.seeds.len()]);
        let (prompt, set) = (rest / self.sets.len(), rest % self.sets.len());
        let config = &self.sets[set].config;
        let stream = config.stream.wrapping_add(prompt as u64);
        Run { number, prompt, set, seed, config: Config { seed, stream, ..config.clone() } }
    }
}

/// What is wrong with a place of the file.
struct Wrong {
    line: usize,
    path: String,
    reason: String,
}

type Parsed<T> = std::result::Result<T, Wrong>;

/// A place of the file: the node and the path to it.
struct Place<'n> {
    node: &'n Node,
    path: String,
}

impl<'n> Place<'n> {
    fn wrong(&self, reason: impl Into<String>) -> Wrong {
        Wrong { line: self.node.line, path: self.path.clone(), reason: reason.into() }
    }

    fn unfit(&self, allowed: &str) -> Wrong {
        self.wrong(format!("is {}; allowed: {allowed}", self.node.shown()))
    }

    fn key(&self, name: &str, node: &'n Node) -> Place<'n> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Place { node, path }
    }

    fn map(&self, allowed: &str) -> Parsed<&'n [(String, Node)]> {
        match &self.node.value {
            Value::Map(map) => Ok(map),
            _ => Err(self.unfit(allowed)),
        }
    }

    /// The items of a list with their places.
    fn list(&self, allowed: &str) -> Parsed<Vec<Place<'n>>> {
        let Value::List(list) = &self.node.value else { return Err(self.unfit(allowed)) };
        let item = |(index, node)| Place { node, path: format!("{}[{index}]", self.path) };
        Ok(list.iter().enumerate().map(item).collect())
    }

    fn text(&self, allowed: &str) -> Parsed<String> {
        match &self.node.value {
            Value::Text(text) if !text.is_empty() => Ok(text.clone()),
            _ => Err(self.unfit(allowed)),
        }
    }

    fn whole(&self, from: u64, to: u64) -> Parsed<u64> {
        match self.node.value {
            Value::Whole(number) if (from..=to).contains(&number) => Ok(number),
            _ => Err(self.unfit(&format!("a whole number from {from} to {to}"))),
        }
    }

    fn unknown(&self, name: &str, known: &[&str]) -> Wrong {
        let meant = nearest(name, known).map_or(String::new(), |meant| format!("did you mean {meant}? "));
        self.wrong(format!("is not known here; {meant}allowed: {}", known.join(", ")))
    }
}

const KEYS: [&str; 11] = [
    "prompts",
    "parameter_sets",
    "seeds",
    "max_batch_size",
    "max_tokens",
    "min_tokens",
    "loop_period",
    "loop_repeats",
    "end_tokens",
    "stop_tokens",
    "stop_strings",
];

fn sweep(root: &Node) -> Parsed<Sweep> {
    let root = Place { node: root, path: String::new() };
    let map = root.map("a mapping with prompts and parameter_sets")?;
    let mut base = Config {
        max_tokens: TOKENS,
        metrics: Metrics::CONFIDENCE | Metrics::LOGPROB | Metrics::RANK | Metrics::KEPT | Metrics::LOOP,
        ..Config::default()
    };
    let (mut prompts, mut sets, mut seeds, mut max_batch_size) = (None, None, vec![0], BATCH);
    let mut ends = Ends::default();
    for (name, node) in map {
        let place = root.key(name, node);
        match name.as_str() {
            "prompts" => prompts = Some(read_prompts(&place)?),
            "parameter_sets" => sets = Some(place),
            "seeds" => seeds = read_seeds(&place)?,
            "max_batch_size" => max_batch_size = place.whole(1, MOST_BATCH as u64)? as usize,
            "max_tokens" | "min_tokens" | "loop_period" | "loop_repeats" => set_parameter(&mut base, name, &place)?,
            "end_tokens" => {
                let allowed = "a list of ids and texts of tokens; [] for none";
                ends.end_tokens = Some(read_tokens(&place, allowed)?);
            }
            "stop_tokens" => ends.stop_tokens = read_stop_tokens(&place)?,
            "stop_strings" => {
                let allowed = "a list of texts, none empty";
                ends.stop_strings = place
                    .list(allowed)?
                    .iter()
                    .map(|text| text.text("a text that is not empty"))
                    .collect::<Parsed<_>>()?;
            }
            _ => return Err(place.unknown(name, &KEYS)),
        }
    }
    let missing = |name: &str| root.wrong(format!("has no {name}, which every sweep needs"));
    let prompts = prompts.ok_or_else(|| missing("prompts"))?;
    let sets = sets.ok_or_else(|| missing("parameter_sets"))?;
    // Room for what is set, unless a parameter set says otherwise.
    let bytes = ends.stop_strings.iter().map(String::len).sum::<usize>();
    let tokens = ends.stop_tokens.iter().map(Vec::len).sum::<usize>();
    let needed = bytes.max(tokens).max(ends.end_tokens.as_ref().map_or(0, Vec::len));
    if needed > 256 {
        base.sequence_capacity = needed.min(1 << 16) as u32;
    }
    check(&root, map, &base)?;
    let sets = read_sets(&sets, &base)?;
    let runs = prompts.len().checked_mul(sets.len()).and_then(|runs| runs.checked_mul(seeds.len()));
    if runs.is_none_or(|runs| runs > MOST_RUNS) {
        let (prompts, sets, seeds) = (prompts.len(), sets.len(), seeds.len());
        return Err(root.wrong(format!(
            "has {prompts} prompts x {sets} parameter sets x {seeds} seeds; allowed: at most {MOST_RUNS} runs"
        )));
    }
    Ok(Sweep { prompts, sets, seeds, ends, max_batch_size })
}

fn read_prompts(place: &Place<'_>) -> Parsed<Vec<Prompt>> {
    const ALLOWED: &str = "a text, or a mapping of text or tokens and perhaps a name";
    let items = place.list("a list of prompts")?;
    if items.is_empty() {
        return Err(place.unfit("a list of at least one prompt"));
    }
    let read = |item: &Place<'_>| {
        if let Value::Text(text) = &item.node.value {
            let input = Input::Text(text.clone());
            return Ok(Prompt { name: input.shown(), input });
        }
        let (mut name, mut input) = (None, None);
        for (key, node) in item.map(ALLOWED)? {
            let place = item.key(key, node);
            let given = match key.as_str() {
                "name" => {
                    name = Some(place.text("a text that is not empty")?);
                    continue;
                }
                "text" => match &node.value {
                    Value::Text(text) => Input::Text(text.clone()),
                    _ => return Err(place.unfit("a text (in quotes where it looks like a number)")),
                },
                "tokens" => {
                    let ids = place.list("a list of token ids")?;
                    let id = |id: &Place<'_>| Ok(id.whole(0, MAX_VOCAB as u64 - 1)? as TokenId);
                    Input::Tokens(ids.iter().map(id).collect::<Parsed<_>>()?)
                }
                _ => return Err(place.unknown(key, &["name", "text", "tokens"])),
            };
            if input.replace(given).is_some() {
                return Err(item.wrong("has both text and tokens; allowed: one of them"));
            }
        }
        let input = input.ok_or_else(|| item.wrong("has neither text nor tokens; allowed: one of them"))?;
        Ok(Prompt { name: name.unwrap_or_else(|| input.shown()), input })
    };
    items.iter().map(read).collect()
}

fn read_seeds(place: &Place<'_>) -> Parsed<Vec<u64>> {
    let items = place.list("a list of whole numbers")?;
    if items.is_empty() {
        return Err(place.unfit("a list of at least one seed"));
    }
    let mut seeds = Vec::with_capacity(items.len());
    for item in &items {
        let seed = item.whole(0, u64::MAX)?;
        if seeds.contains(&seed) {
            return Err(item.wrong(format!("is {seed}, which stands there already; allowed: each seed once")));
        }
        seeds.push(seed);
    }
    Ok(seeds)
}

fn read_tokens(place: &Place<'_>, allowed: &str) -> Parsed<Vec<TokenName>> {
    let read = |item: &Place<'_>| match &item.node.value {
        Value::Whole(id) if *id < MAX_VOCAB as u64 => Ok(TokenName::Id(*id as TokenId)),
        Value::Text(text) if !text.is_empty() => Ok(TokenName::Text(text.clone())),
        _ => Err(item.unfit("a token's id or its text")),
    };
    place.list(allowed)?.iter().map(read).collect()
}

fn read_stop_tokens(place: &Place<'_>) -> Parsed<Vec<Vec<TokenName>>> {
    let read = |item: &Place<'_>| {
        let allowed = "a list of at least one token";
        let tokens = read_tokens(item, allowed)?;
        if tokens.is_empty() { Err(item.unfit(allowed)) } else { Ok(tokens) }
    };
    place.list("a list of lists of tokens")?.iter().map(read).collect()
}

fn set_parameter(config: &mut Config, name: &str, place: &Place<'_>) -> Parsed<()> {
    parameters::set(config, name, place.node).map_err(|reason| place.wrong(reason))
}

fn read_sets(place: &Place<'_>, base: &Config) -> Parsed<Vec<ParameterSet>> {
    let items = place.list("a list of parameter sets")?;
    if items.is_empty() {
        return Err(place.unfit("a list of at least one parameter set"));
    }
    let mut sets: Vec<ParameterSet> = Vec::with_capacity(items.len());
    for item in &items {
        let set = read_set(item, base)?;
        if let Some(first) = sets.iter().position(|known| known.name == set.name) {
            let reason = format!("has the name {:?} of parameter_sets[{first}]; allowed: each name once", set.name);
            return Err(item.wrong(reason));
        }
        sets.push(set);
    }
    Ok(sets)
}

fn read_set(item: &Place<'_>, base: &Config) -> Parsed<ParameterSet> {
    const PRESETS: &str = "greedy, careful or creative";
    let preset_of = |place: &Place<'_>, text: &str| Preset::from_name(text).ok_or_else(|| place.unfit(PRESETS));
    if let Value::Text(text) = &item.node.value {
        let preset = preset_of(item, text)?;
        let mut config = base.clone();
        preset.apply(&mut config);
        return Ok(ParameterSet { name: preset.name().to_owned(), preset: Some(preset), config });
    }
    let map = item.map("the name of a preset (greedy, careful, creative), or a mapping of parameters")?;
    let mut config = base.clone();
    let mut preset = None;
    if let Some((key, node)) = map.iter().find(|(key, _)| key == "preset") {
        let place = item.key(key, node);
        let found = preset_of(&place, &place.text(PRESETS)?)?;
        found.apply(&mut config);
        preset = Some(found);
    }
    let mut name = None;
    for (key, node) in map {
        let place = item.key(key, node);
        match key.as_str() {
            "preset" => {}
            "name" => name = Some(place.text("a text that is not empty")?),
            "seed" => {
                return Err(place.wrong("does not stand in a parameter set; allowed: the list seeds of the sweep"));
            }
            "metrics" => return Err(place.wrong("cannot be set: a sweep says what it measures")),
            _ if allowed(key).is_none() => {
                let known: Vec<&str> = ["name", "preset"].into_iter().chain(parameters::names()).collect();
                return Err(place.unknown(key, &known));
            }
            _ => set_parameter(&mut config, key, &place)?,
        }
    }
    check(item, map, &config)?;
    let is_plain = map.iter().all(|(key, _)| key == "preset");
    let own = || match preset {
        Some(preset) if is_plain => preset.name().to_owned(),
        _ => described(&config, base),
    };
    Ok(ParameterSet { name: name.unwrap_or_else(own), preset, config })
}

/// Refuses what the decoder will refuse, whatever the model, at the key that says it.
fn check(item: &Place<'_>, map: &[(String, Node)], config: &Config) -> Parsed<()> {
    let place_of = |name: &str| match map.iter().find(|(key, _)| key == name) {
        Some((key, node)) => item.key(key, node),
        None => item.key(name, item.node),
    };
    let at = |name: &str, value: f64| {
        let text = allowed(name).unwrap_or("what the page on parameters says");
        place_of(name).wrong(format!("is {}; allowed: {text}", value as f32))
    };
    if config.max_tokens == 0 || config.max_tokens > MOST_TOKENS {
        return Err(at("max_tokens", config.max_tokens.into()));
    }
    match Decoder::<Memory>::storage_words(config, MAX_VOCAB) {
        Ok(_) => Ok(()),
        Err(crate::Error::InvalidParameter { name, value }) => Err(at(name, value)),
        Err(crate::Error::NotInProfile { name, profile }) => Err(place_of(name).wrong(format!(
            "is used, but the profile {profile} has no such stage; allowed: its default, or another profile"
        ))),
        Err(error) => Err(item.wrong(error.to_string())),
    }
}

/// A set's name where the file gives none: what it has besides the sweep's own defaults.
fn described(config: &Config, base: &Config) -> String {
    let rest = in_words(base);
    let own: Vec<String> = in_words(config).into_iter().filter(|own| !rest.contains(own)).collect();
    if own.is_empty() { "defaults".to_owned() } else { own.join(", ") }
}
