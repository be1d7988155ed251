//! The file of results: JSON lines, one for each run, appended as runs end, taken up again where it was left.
//!
//! Every line carries the fingerprint of its sweep, so a file can be told from that of another sweep, and there is no header
//! that a reader of JSON lines would have to skip. A line that was cut off (the process was killed, the disk was full) is
//! taken away before the next is written; its run is done again. Where a run has two lines, the later one counts.

use super::error::{Error, Result};
use super::record::{RunRecord, Termination};
use super::sweep::{Input, Sweep, TokenName};
use crate::numeric::NUMERICS_VERSION;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What decides the results of a sweep, in four parts of 12 hexadecimal digits, so that a difference has a name:
/// `prompts-sets-ends-model`. How many runs are decoded together is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(String);

const PARTS: [&str; 4] = ["its prompts", "its parameter sets or seeds", "its end rules", "the model"];

impl Fingerprint {
    /// The fingerprint of a sweep with a model; `model` is whatever identifies that.
    pub fn new(sweep: &Sweep, model: &str) -> Fingerprint {
        let token = |token: &TokenName| match token {
            TokenName::Id(id) => json!(id),
            TokenName::Text(text) => json!(text),
        };
        let tokens = |list: &Vec<TokenName>| list.iter().map(token).collect::<Vec<_>>();
        let prompts = sweep.prompts.iter().map(|prompt| match &prompt.input {
            Input::Text(text) => json!([prompt.name, text]),
            Input::Tokens(tokens) => json!([prompt.name, tokens]),
        });
        let sets = sweep.sets.iter().map(|set| {
            let parameters = set.config.parameters().filter(|(name, _)| *name != "metrics");
            json!([
                set.name,
                set.config.stream,
                parameters.map(|(name, value)| json!([name, value])).collect::<Vec<_>>()
            ])
        });
        let ends = &sweep.ends;
        let parts = [
            Value::from_iter(prompts),
            json!([sweep.seeds, Value::from_iter(sets)]),
            json!([
                ends.end_tokens.as_ref().map(tokens),
                ends.stop_tokens.iter().map(tokens).collect::<Vec<_>>(),
                ends.stop_strings
            ]),
            json!([model, NUMERICS_VERSION]),
        ];
        let hashes = parts.map(|part| {
            let hash = Sha256::digest(part.to_string().as_bytes());
            hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        Fingerprint(hashes.join("-"))
    }

    /// As it stands in the results.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What differs from the fingerprint of a line, in words.
    fn differences(&self, other: &str) -> String {
        let (ours, theirs): (Vec<&str>, Vec<&str>) = (self.0.split('-').collect(), other.split('-').collect());
        if ours.len() != theirs.len() {
            return "everything".to_owned();
        }
        let both = ours.iter().zip(&theirs).zip(PARTS);
        both.filter(|((ours, theirs), _)| ours != theirs).map(|(_, part)| part).collect::<Vec<_>>().join(", ")
    }
}

/// The results of a sweep so far, and the file that they are kept in, if there is one.
#[derive(Debug)]
pub struct Results {
    fingerprint: Fingerprint,
    records: Vec<Option<RunRecord>>,
    file: Option<(File, PathBuf)>,
    /// Bytes of a line that was cut off and has been taken away.
    torn: usize,
}

impl Results {
    /// Results in memory only.
    pub fn in_memory(sweep: &Sweep, fingerprint: Fingerprint) -> Results {
        Results { fingerprint, records: vec![None; sweep.len()], file: None, torn: 0 }
    }

    /// Opens the file at `path`, or begins one, and reads what is in it. The file is locked until the results are dropped.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Results`] for a file that is in use, that has a line which is no result, or that holds the
    /// results of another sweep. The file has not changed then.
    pub fn open(path: &Path, sweep: &Sweep, fingerprint: Fingerprint) -> Result<Results> {
        let refuse = |reason: String| Error::Results { origin: path.display().to_string(), reason };
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            return Err(refuse("it is no regular file".to_owned()));
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| Error::file("open", path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(refuse("another sweep writes to it".to_owned())),
            // A file system without locks.
            Err(TryLockError::Error(_)) => {}
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| Error::file("read", path, error))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let torn = bytes.len() - whole;
        let mut results = Results { fingerprint, records: vec![None; sweep.len()], file: None, torn };
        if whole == 0 && torn > 0 && !b"{\"sweep\": ".starts_with(&bytes[..torn.min(10)]) {
            // A file of somebody else, not the beginning of a line of ours.
            return Err(refuse("it is no file of results, and is left as it is".to_owned()));
        }
        for (index, line) in bytes[..whole].split_inclusive(|&byte| byte == b'\n').enumerate() {
            let place = |reason: String| refuse(format!("line {}: {reason}", index + 1));
            let line = std::str::from_utf8(line).map_err(|_| place("not UTF-8".to_owned()))?;
            if line.trim().is_empty() {
                continue;
            }
            let (of, record) = RunRecord::from_line(line).map_err(|reason| {
                place(format!("it is no result of a run, and the file is left as it is: {reason}"))
            })?;
            if of != results.fingerprint.as_str() {
                let differences = results.fingerprint.differences(&of);
                let readable = std::str::from_utf8(&bytes[..whole]).unwrap_or_default().lines();
                let records = readable.filter_map(|line| RunRecord::from_line(line).ok());
                let example = records.map(|(_, record)| record).find_map(|record| detail(sweep, &record));
                return Err(refuse(format!(
                    "it holds the results of another sweep: {differences} differ{}; give another file for the results, or \
                     the sweep it was made with",
                    example.map_or(String::new(), |example| format!(" ({example})"))
                )));
            }
            let Some(slot) = results.records.get_mut(record.run) else {
                return Err(place(format!("run {} is not one of the sweep's {}", record.run, sweep.len())));
            };
            *slot = Some(record);
        }
        if torn > 0 {
            file.set_len(whole as u64).map_err(|error| Error::file("write", path, error))?;
        }
        file.seek(SeekFrom::Start(whole as u64)).map_err(|error| Error::file("read", path, error))?;
        results.file = Some((file, path.to_owned()));
        Ok(results)
    }

    /// Bytes of a line that was cut off when the file was last written, and that [`Results::open`] has taken away.
    pub fn torn(&self) -> usize {
        self.torn
    }

    /// The fingerprint of the sweep.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Keeps the result of a run; with a file, it is there when this returns.
    ///
    /// # Errors
    /// [`Error::File`]; the result is kept in memory all the same.
    pub fn add(&mut self, record: RunRecord) -> Result<()> {
        let mut line = record.to_line(self.fingerprint.as_str());
        line.push('\n');
        if let Some(slot) = self.records.get_mut(record.run) {
            *slot = Some(record);
        }
        // One call, so that a line is cut off only where the system cuts it.
        match &mut self.file {
            Some((file, path)) => file.write_all(line.as_bytes()).map_err(|error| Error::file("write", path, error)),
            None => Ok(()),
        }
    }

    /// Waits until the system has stored everything.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn sync(&self) -> Result<()> {
        let Some((file, path)) = &self.file else { return Ok(()) };
        match file.sync_all() {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(Error::file("write", path, error)),
            _ => Ok(()),
        }
    }

    /// The result of each run, `None` where it is not done.
    pub fn records(&self) -> &[Option<RunRecord>] {
        &self.records
    }

    /// The results there are, in the order of the runs.
    pub fn done(&self) -> impl Iterator<Item = &RunRecord> {
        self.records.iter().flatten()
    }

    /// The runs that are left to do; with `again`, also those that ended with an error.
    pub fn left(&self, again: bool) -> Vec<usize> {
        let is_left = |record: &Option<RunRecord>| match record {
            Some(record) => again && record.finish == Termination::Error,
            None => true,
        };
        (0..self.records.len()).filter(|&run| is_left(&self.records[run])).collect()
    }
}

/// What a record of another sweep has that this sweep's run of the same number has not.
fn detail(sweep: &Sweep, record: &RunRecord) -> Option<String> {
    let number = record.run;
    if number >= sweep.len() {
        return Some(format!("it has a run {number}, this sweep has {} runs", sweep.len()));
    }
    let ours = RunRecord::begin(sweep, &sweep.run(number));
    let text = |record: &RunRecord| match &record.prompt_text {
        Some(text) => format!("{:?}", Input::Text(text.clone()).shown()),
        None => record.prompt.1.clone(),
    };
    let pairs = [
        ("the prompt", text(record), text(&ours)),
        ("the parameter set", record.set.1.clone(), ours.set.1.clone()),
        ("seed", record.seed.to_string(), ours.seed.to_string()),
        ("stream", record.stream.to_string(), ours.stream.to_string()),
    ];
    if let Some((name, theirs, ours)) = pairs.into_iter().find(|(_, theirs, ours)| theirs != ours) {
        return Some(format!("run {number} has {name} {theirs} there, {ours} here"));
    }
    let standard: Vec<(&str, f64)> = crate::Config::default().parameters().collect();
    let value = |record: &RunRecord, name: &str| {
        let default = || standard.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        record.parameters.get(name).copied().or_else(default).unwrap_or(f64::NAN) as f32
    };
    let names = record.parameters.keys().chain(ours.parameters.keys());
    let mut differing = names.filter(|name| value(record, name).to_bits() != value(&ours, name).to_bits());
    let name = differing.next()?;
    Some(format!("run {number} has {name} {} there, {} here", value(record, name), value(&ours, name)))
}
