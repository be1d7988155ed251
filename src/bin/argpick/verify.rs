//! `argpick verify`: which drafted tokens stand, by the rows of the target model, and what comes after them.

use crate::repetition_args::RepetitionArgs;
use crate::rows::{OwnedRow, Rows};
use crate::sampling_args::{SamplingArgs, remark_on_greedy};
use crate::{Failure, args};
use argpick::{
    Acceptance, Config, Decoder, DraftModel, Drafts, Finish, Level, Metrics, Mode, Pick, ROOT, Row, Verified, verify,
};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

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
#[command(after_help = "The drafts of a draft model were drawn with the same options as hold for the target.")]
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
    /// Masks of the target's rows (32 tokens a word, or one byte or bool a token)
    #[arg(long, value_name = "FILE.npy", help_heading = "Input")]
    masks: Option<PathBuf>,
    /// Tokens of the prompt, with commas between
    #[arg(long, value_name = "IDS", value_delimiter = ',', help_heading = "Input")]
    prompt: Vec<u32>,
    /// Tokens generated before, with commas between
    #[arg(long, value_name = "IDS", value_delimiter = ',', help_heading = "Input")]
    generated: Vec<u32>,
    /// Tokens that end the sequence, with commas between
    #[arg(long, value_name = "IDS", value_delimiter = ',', help_heading = "Input")]
    end_tokens: Vec<u32>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Only ids below this take part; 0 = all
    #[arg(long, alias = "valid_vocab", value_name = "N", default_value_t = 0, help_heading = "Filters")]
    valid_vocab: u32,
    #[command(flatten)]
    repetition: RepetitionArgs,
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

/// All rows of a file.
fn all(rows: &Rows) -> Result<Vec<OwnedRow>, String> {
    (0..rows.count).map(|index| rows.row(index)).collect()
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
    let target = Rows::logits(&args.rows)?;
    let vocab = target.length;
    let owned = all(&target)?;
    let rows: Vec<Row<'_>> = owned.iter().map(OwnedRow::row).collect();
    let masks = match &args.masks {
        Some(path) => {
            let masks = Rows::masks(path, vocab)?;
            (0..rows.len()).map(|index| masks.mask(index)).collect::<Result<Vec<_>, _>>()?
        }
        None => Vec::new(),
    };
    let masks: Vec<Option<&[u32]>> = masks.iter().map(|mask| Some(&mask[..])).collect();
    let owned = match &args.draft_rows {
        Some(path) => all(&Rows::logits(path)?)?,
        None => Vec::new(),
    };
    let draft_rows: Vec<Row<'_>> = owned.iter().map(OwnedRow::row).collect();

    let config = args.sampling.config(args.repetition.config(Config {
        seed: args.seed,
        stream: args.stream,
        temperature: args.temp as f32,
        valid_vocab: args.valid_vocab,
        mode: match args.mode {
            ModeName::Greedy => Mode::Greedy,
            ModeName::Sample => Mode::Sample,
        },
        metrics: Metrics::LOGPROB | Metrics::RANK,
        ..Config::default()
    }));
    remark_on_greedy(&config, false, true);
    let decoder = || -> argpick::Result<Decoder> {
        let mut decoder = Decoder::new_with_kernels(&config, vocab, kernels)?;
        decoder.set_end_tokens(&args.end_tokens)?;
        decoder.prompt(&args.prompt)?;
        decoder.accept(&args.generated)?;
        Ok(decoder)
    };
    let (mut decoder, mut drafter) = (decoder()?, decoder()?);
    let drafts = Drafts { tokens: &args.draft, parents: &args.parents, rows: &rows, masks: &masks, acceptance };
    let model = args.draft_rows.is_some().then(|| DraftModel { decoder: &mut drafter, rows: &draft_rows, masks: &[] });
    let mut picks = vec![Pick::default(); args.draft.len() + 1];
    let verified = verify(&mut decoder, &drafts, model, &mut picks)?;
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
