//! `argpick verify`: which drafted tokens stand, by the rows of the target model, and what comes after them.

use crate::repetition_args::RepetitionArgs;
use crate::rows::{OwnedRow, Rows};
use crate::sampling_args::{SamplingArgs, remark_on_greedy};
use crate::sequence_args::{LimitArgs, SequenceArgs};
use crate::sweep::set;
use crate::{Failure, args};
use argpick::{
    Acceptance, Config, Decoder, DraftModel, Drafts, Error, Finish, Level, Metrics, Mode, Pick, ROOT, Row, Verified,
    verify,
};
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeName {
    /// Always the best token
    Greedy,
    /// A draw from the distribution
    Sample,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AcceptanceName {
    /// A draft stands if plain decoding picks it
    Match,
    /// Drafts were chosen without chance
    Certain,
    /// Drafts were drawn from --draft-rows
    Drawn,
    /// The same, siblings without replacement
    WithoutReplacement,
}

/// The options of `argpick verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The drafts of a draft model were drawn with the options of the target, but for --draft-config."
)]
pub struct Args {
    /// The target's rows, one more than drafts: a .npy with a row of logits in each row
    #[arg(long, value_name = "FILE.npy", help_heading = "Input")]
    rows: PathBuf,
    /// The drafts, with commas between
    #[arg(long, value_name = "IDS", value_delimiter = ',', required = true, help_heading = "Input")]
    draft: Vec<u32>,
    /// For a tree, the draft that each draft follows: its number from 0, or root [default: each the one before]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parent, help_heading = "Input")]
    parents: Vec<u32>,
    /// The draft model's rows, numbered as the target's
    #[arg(long, value_name = "FILE.npy", help_heading = "Input")]
    draft_rows: Option<PathBuf>,
    /// The parameters in which the draft model's decoder differs from the target's: a JSON object, {\"temperature\": 0.5}
    #[arg(long, value_name = "FILE.json", requires = "draft_rows", help_heading = "Input")]
    draft_config: Option<PathBuf>,
    /// Masks of the target's rows (32 tokens a word, or one byte or bool a token)
    #[arg(long, value_name = "FILE.npy", help_heading = "Input")]
    masks: Option<PathBuf>,
    /// Masks of the draft model's rows, as --masks
    #[arg(long, value_name = "FILE.npy", requires = "draft_rows", help_heading = "Input")]
    draft_masks: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    repetition: RepetitionArgs,
    #[command(flatten)]
    sequence: SequenceArgs,
    #[command(flatten)]
    limits: LimitArgs,
    /// How drafts are judged; drawn and without-replacement need --draft-rows
    #[arg(long, value_enum, default_value = "match", help_heading = "Decoding")]
    acceptance: AcceptanceName,
    /// How to pick
    #[arg(long, value_enum, default_value = "sample", help_heading = "Decoding")]
    mode: ModeName,
    /// Temperature; 0 is greedy
    #[arg(long, visible_alias = "temperature", value_name = "T", default_value = "1", value_parser = args::temperature,
          help_heading = "Decoding")]
    temp: f64,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Decoding")]
    seed: u64,
    /// Stream of the draws
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Decoding")]
    stream: u64,
    /// Force a kernel level: scalar, portable, avx2 or avx512 (else ARGPICK_KERNEL, else the best)
    #[arg(long, value_name = "LEVEL", value_parser = args::level, help_heading = "Decoding")]
    kernel: Option<Level>,
    /// One JSON document instead of the text
    #[arg(long, help_heading = "Output")]
    json: bool,
}

fn parent(text: &str) -> Result<u32, String> {
    match text {
        "root" => Ok(ROOT),
        _ => text.parse().map_err(|_| "it must be the number of a draft, or root".to_owned()),
    }
}

fn finish_name(finish: Finish) -> Option<&'static str> {
    match finish {
        Finish::None => None,
        Finish::Length => Some("length"),
        Finish::EndToken => Some("end token"),
        Finish::Stop => Some("stop"),
        Finish::Loop => Some("loop"),
    }
}

/// The rows of a file, and their masks.
struct Given {
    file: Rows,
    rows: Vec<OwnedRow>,
    masks: Vec<Vec<u32>>,
}

impl Given {
    fn read(path: &Path, masks: Option<&Path>) -> Result<Given, String> {
        let file = Rows::logits(path)?;
        let rows = (0..file.count).map(|index| file.row(index)).collect::<Result<Vec<_>, _>>()?;
        let masks = match masks {
            Some(path) => {
                let masks = Rows::masks(path, file.length)?;
                if masks.count != 1 && masks.count != file.count {
                    let (ours, theirs) = (masks.count, file.count);
                    return Err(format!("{}: {ours} masks for {theirs} rows", path.display()));
                }
                (0..file.count).map(|index| masks.mask(index)).collect::<Result<Vec<_>, _>>()?
            }
            None => Vec::new(),
        };
        Ok(Given { file, rows, masks })
    }

    fn slices(&self) -> (Vec<Row<'_>>, Vec<Option<&[u32]>>) {
        (self.rows.iter().map(OwnedRow::row).collect(), self.masks.iter().map(|mask| Some(&mask[..])).collect())
    }

    /// The place of the first row that is refused with this error.
    fn first_with(&self, error: Error) -> Option<String> {
        let allows = |index: usize, token: usize| match self.masks.get(index) {
            Some(mask) => mask.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 != 0),
            None => true,
        };
        let index = (0..self.rows.len()).find(|&index| {
            let row = self.rows[index].row();
            let mut taking_part = (0..row.len()).filter(|&token| allows(index, token)).map(|token| row.get(token));
            match error {
                Error::InvalidLogit { index: token, .. } => {
                    let logit = row.get(token as usize);
                    allows(index, token as usize) && (logit.is_nan() || logit == f32::INFINITY)
                }
                Error::EverythingMasked => taking_part.all(|logit| logit == f32::NEG_INFINITY),
                _ => false,
            }
        })?;
        Some(self.file.place(index))
    }
}

/// The configuration with the parameters that a file sets.
fn with_file(mut config: Config, path: &Path) -> Result<Config, String> {
    let refuse = |reason: String| format!("{}: {reason}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let object: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| refuse(format!("it must be a JSON object with parameters: {error}")))?;
    object.iter().try_for_each(|(name, value)| set(&mut config, name, value)).map_err(refuse)?;
    Ok(config)
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let kernels = args::choose(args.kernel)?;
    let acceptance = match args.acceptance {
        AcceptanceName::Match => Acceptance::Match,
        AcceptanceName::Certain => Acceptance::Certain,
        AcceptanceName::Drawn => Acceptance::Drawn,
        AcceptanceName::WithoutReplacement => Acceptance::WithoutReplacement,
    };
    let needs_rows = matches!(acceptance, Acceptance::Drawn | Acceptance::WithoutReplacement);
    if needs_rows != args.draft_rows.is_some() {
        let error = if needs_rows {
            "--acceptance drawn and without-replacement need --draft-rows"
        } else {
            "--draft-rows is of use to --acceptance drawn and without-replacement only"
        };
        return Err(Failure::Usage(error.to_owned()));
    }
    let target = Given::read(&args.rows, args.masks.as_deref())?;
    let (needed, vocab) = (args.draft.len() + 1, target.file.length);
    if target.rows.len() != needed {
        let (rows, drafts) = (target.rows.len(), args.draft.len());
        return Err(format!("{}: {rows} rows for {drafts} drafts; {needed} are needed", args.rows.display()).into());
    }
    if let Some(node) = args.draft.iter().position(|&draft| draft as usize >= vocab) {
        let draft = args.draft[node];
        return Err(format!("--draft: draft {node} is token {draft}; the rows have {vocab} logits").into());
    }
    let drafted = args.draft_rows.as_deref().map(|path| Given::read(path, args.draft_masks.as_deref())).transpose()?;
    let draft_vocab = drafted.as_ref().map_or(vocab, |drafted| drafted.file.length);
    let config = args.sampling.config(args.repetition.config(Config {
        seed: args.seed,
        stream: args.stream,
        temperature: args.temp as f32,
        mode: match args.mode {
            ModeName::Greedy => Mode::Greedy,
            ModeName::Sample => Mode::Sample,
        },
        metrics: Metrics::LOGPROB | Metrics::RANK,
        ..args.sequence.with_room(args.limits.config(Config::default()))
    }));
    remark_on_greedy(&config, false, true);
    let draft_config = match &args.draft_config {
        Some(path) => with_file(config.clone(), path)?,
        None => config.clone(),
    };
    let made = |config: &Config, vocab: usize| -> Result<Decoder, Failure> {
        let mut decoder = Decoder::new_with_kernels(config, vocab, kernels)?;
        args.sequence.begin(&mut decoder)?;
        Ok(decoder)
    };
    let mut decoder = made(&config, vocab)?;
    let mut drafter = drafted.as_ref().map(|_| made(&draft_config, draft_vocab)).transpose()?;
    let (rows, masks) = target.slices();
    let (draft_rows, draft_masks) = drafted.as_ref().map(Given::slices).unwrap_or_default();
    let drafts = Drafts { tokens: &args.draft, parents: &args.parents, rows: &rows, masks: &masks, acceptance };
    let model = drafter.as_mut().map(|decoder| DraftModel { decoder, rows: &draft_rows, masks: &draft_masks });
    let mut picks = vec![Pick::default(); args.draft.len() + 1];
    let verified = verify(&mut decoder, &drafts, model, &mut picks).map_err(|error| {
        // The error does not say at which row it was, or of which file.
        let files = [drafted.as_ref(), Some(&target)];
        let bad = files.into_iter().flatten().find_map(|file| file.first_with(error));
        match (bad, error, &args.draft_rows) {
            (Some(place), ..) => format!("{place}: {error}"),
            (None, Error::WrongLength { what: "draft rows", .. }, Some(path)) => format!("{}: {error}", path.display()),
            (None, Error::WrongLength { what: "parents", .. }, _) => format!("--parents: {error}"),
            (None, Error::InvalidParameter { name: "draft token", value }, _) => {
                format!("draft token {value}: the draft model cannot have drawn it")
            }
            (None, Error::InvalidParameter { name: "parent", .. }, _) => {
                let late = |&(draft, &parent): &(usize, &u32)| parent != ROOT && parent as usize >= draft;
                let (draft, parent) = args.parents.iter().enumerate().find(late).unwrap_or((0, &0));
                format!("--parents: draft {draft} cannot follow draft {parent}, which is not before it")
            }
            _ => error.to_string(),
        }
    })?;
    picks.truncate(verified.emitted);
    if args.json {
        writeln!(out, "{:#}", document(&args, vocab, &verified, &picks))?;
    } else {
        print(out, &args, vocab, &verified, &picks)?;
    }
    Ok(())
}

fn list(tokens: impl Iterator<Item = u32>) -> String {
    tokens.map(|token| token.to_string()).collect::<Vec<_>>().join(", ")
}

fn print(out: &mut dyn Write, args: &Args, vocab: usize, found: &Verified, picks: &[Pick]) -> Result<(), Failure> {
    writeln!(out, "rows     {}, {vocab} logits each", args.rows.display())?;
    writeln!(out, "drafts   {}", list(args.draft.iter().copied()))?;
    writeln!(out, "accepted {} of {}", found.accepted, args.draft.len())?;
    writeln!(out, "emitted  {}", found.emitted)?;
    writeln!(out, "tokens   {}", list(picks.iter().map(|pick| pick.token)))?;
    if let Some(why) = finish_name(found.finish) {
        writeln!(out, "ends     {why}")?;
    }
    writeln!(out, "\n{:>9} {:>6} {:>12}  from", "token", "rank", "logprob")?;
    for (index, pick) in picks.iter().enumerate() {
        let from = if index < found.accepted { "draft" } else { "target" };
        writeln!(out, "{:>9} {:>6} {:>12.6}  {from}", pick.token, pick.rank, pick.logprob)?;
    }
    Ok(())
}

fn document(args: &Args, vocab: usize, found: &Verified, picks: &[Pick]) -> Value {
    let told = picks.iter().map(|pick| json!({ "token": pick.token, "rank": pick.rank, "logprob": pick.logprob }));
    json!({
        "rows": args.rows.to_string_lossy(),
        "vocab": vocab,
        "drafts": args.draft,
        "accepted": found.accepted,
        "emitted": found.emitted,
        "node": found.node,
        "finish": finish_name(found.finish),
        "tokens": picks.iter().map(|pick| pick.token).collect::<Vec<_>>(),
        "picks": told.collect::<Vec<_>>(),
    })
}
