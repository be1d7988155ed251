//! `argpick explain`: what each stage leaves of a row, and where two profiles part.

use crate::repetition_args::RepetitionArgs;
use crate::rows::{OwnedRow, Rows};
use crate::sampling_args::{SamplingArgs, in_force, in_force_text, profile};
use crate::sequence_args::{LimitArgs, SequenceArgs};
use crate::{Failure, args, remark};
use argpick::{Candidate, Config, Decoder, Error, Kernels, Level, Metrics, Mode, Pick, Profile, StageReport};
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

/// The options of `argpick explain`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A filter that one of the profiles does not have is left out there, and named. Each profile decodes \
    the same row with the same seed, stream and position, so what differs is its order and its rules. Flip: as long as \
    each logit changes by less than this, the argmax, the kept set, the token stay the same; in JSON null if nothing can \
    change them."
)]
pub struct Args {
    /// The row: a .npy with one row, or one in each row of a matrix
    #[arg(long, value_name = "FILE.npy", help_heading = "Input")]
    rows: PathBuf,
    /// Which row of the matrix, from 0
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Input")]
    row: usize,
    /// Masks, one in each row (32 tokens a word, or one byte or bool a token)
    #[arg(long, value_name = "FILE.npy", help_heading = "Input")]
    masks: Option<PathBuf>,
    /// The other profile
    #[arg(long, value_name = "NAME", value_parser = profile, help_heading = "Filters")]
    versus: Option<Profile>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    repetition: RepetitionArgs,
    #[command(flatten)]
    sequence: SequenceArgs,
    #[command(flatten)]
    limits: LimitArgs,
    /// How to pick
    #[arg(long, value_enum, default_value = "sample", help_heading = "Decoding")]
    mode: ModeName,
    /// Temperature; 0 is greedy
    #[arg(long, visible_alias = "temperature", value_name = "T", default_value = "1", value_parser = args::temperature,
          help_heading = "Decoding")]
    temp: f64,
    /// Seed of the draw
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Decoding")]
    seed: u64,
    /// Stream of the draw
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Decoding")]
    stream: u64,
    /// Force a kernel level: scalar, portable, avx2 or avx512 (else ARGPICK_KERNEL, else the best)
    #[arg(long, value_name = "LEVEL", value_parser = args::level, help_heading = "Decoding")]
    kernel: Option<Level>,
    /// Best tokens to show
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=1000),
          help_heading = "Output")]
    top: u32,
    /// In JSON, the tokens that each profile keeps, with their log-probabilities
    #[arg(long, requires = "json", help_heading = "Output")]
    kept: bool,
    /// One JSON document instead of the text
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// What one profile makes of the row.
struct Side {
    profile: Profile,
    /// Parameters that are set and that the profile does not have.
    left_out: Vec<&'static str>,
    stages: Vec<StageReport>,
    /// In the total order.
    kept: Vec<Candidate>,
    probabilities: Vec<f32>,
    best: Vec<Candidate>,
    /// The best of the row as given, at temperature 1.
    best_raw: Vec<Candidate>,
    pick: Pick,
}

/// The first token of the order that one side keeps and the other does not.
struct Parting {
    token: Candidate,
    /// Which side keeps it.
    kept_by: usize,
    /// The stage of the other side that removes it.
    removed_at: &'static str,
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let kernels = args::choose(args.kernel)?;
    let rows = Rows::logits(&args.rows)?;
    let row = rows.row(args.row)?;
    let mask = match &args.masks {
        Some(path) => Some(Rows::masks(path, rows.length)?.mask(args.row)?),
        None => None,
    };
    let standard = args.sequence.with_room(args.limits.config(Config::default()));
    let config = args.sampling.config(args.repetition.config(Config {
        seed: args.seed,
        stream: args.stream,
        temperature: args.temp as f32,
        mode: match args.mode {
            ModeName::Greedy => Mode::Greedy,
            ModeName::Sample => Mode::Sample,
        },
        metrics: Metrics::LOGPROB
            | Metrics::LOGPROB_RAW
            | Metrics::RANK
            | Metrics::KEPT
            | Metrics::KEPT_MASS
            | Metrics::FLIP,
        ..standard
    }));
    let profiles = [Some(config.profile), args.versus];
    let sides: Vec<Side> = profiles
        .into_iter()
        .flatten()
        .map(|profile| {
            let (mut decoder, left_out) = decoder(&args, &config, profile, kernels, rows.length)?;
            let found = side(&args, &mut decoder, &row, mask.as_deref());
            let found = found.map_err(|error| format!("{}: {error}", rows.place(args.row)))?;
            Ok(Side { left_out, ..found })
        })
        .collect::<Result<_, Failure>>()?;
    for side in &sides {
        for name in &side.left_out {
            let option = name.replace('_', "-");
            remark(format_args!("{} has no {option}: left out there", side.profile.name()));
        }
    }
    let parting = match &sides[..] {
        [one, other] => parting(one, other),
        _ => None,
    };
    if args.json {
        let document = document(&args, &config, rows.length, &sides, parting.as_ref());
        writeln!(out, "{document:#}")?;
    } else {
        print(out, &args, &config, rows.length, &sides, parting.as_ref())?;
    }
    Ok(())
}

/// The decoder of a profile where the sequence stands, and the parameters that the profile does not have.
fn decoder(
    args: &Args,
    config: &Config,
    profile: Profile,
    kernels: Kernels,
    vocab: usize,
) -> Result<(Decoder, Vec<&'static str>), Failure> {
    let mut config = Config { profile, ..config.clone() };
    let mut left_out = Vec::new();
    let mut decoder = loop {
        match Decoder::new_with_kernels(&config, vocab, kernels) {
            Err(Error::NotInProfile { name, .. }) if !left_out.contains(&name) && config.set_default(name) => {
                left_out.push(name);
            }
            made => break made?,
        }
    };
    args.sequence.begin(&mut decoder)?;
    Ok((decoder, left_out))
}

fn side(args: &Args, decoder: &mut Decoder, row: &OwnedRow, mask: Option<&[u32]>) -> argpick::Result<Side> {
    let pick = decoder.evaluate(row.row(), mask)?;
    let mut stages = vec![StageReport::EMPTY; StageReport::MOST];
    let count = decoder.explain(row.row(), mask, &mut stages)?;
    stages.truncate(count);
    let mut kept = vec![Candidate::default(); pick.kept as usize];
    let count = decoder.kept(row.row(), mask, &mut kept)?;
    kept.truncate(count);
    kept.sort_unstable_by(|a, b| b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token)));
    let mut best = vec![Candidate::default(); args.top as usize];
    let count = decoder.top(row.row(), mask, &mut best)?;
    best.truncate(count);
    let mut best_raw = vec![Candidate::default(); args.top as usize];
    let count = decoder.top_raw(row.row(), mask, &mut best_raw)?;
    best_raw.truncate(count);
    let mut probabilities = row.to_f32();
    decoder.probabilities(&mut probabilities, mask)?;
    let profile = decoder.config().profile;
    Ok(Side { profile, left_out: Vec::new(), stages, kept, probabilities, best, best_raw, pick })
}

/// Where two kept sets part: both are in the total order, which is the same for both.
fn parting(one: &Side, other: &Side) -> Option<Parting> {
    let sides = [one, other];
    let holds = |side: &Side, token: u32| side.kept.iter().any(|candidate| candidate.token == token);
    let (mut at, mut found) = ([0, 0], None);
    while found.is_none() {
        let next = [one.kept.get(at[0]), other.kept.get(at[1])];
        // The next token of either, the first in the order of the two.
        let (side, token) = match next {
            [None, None] => return None,
            [Some(token), None] => (0, *token),
            [None, Some(token)] => (1, *token),
            [Some(a), Some(b)] if a.token == b.token => {
                at = [at[0] + 1, at[1] + 1];
                continue;
            }
            [Some(a), Some(b)] if b.logit > a.logit || b.logit == a.logit && b.token < a.token => (1, *b),
            [Some(a), Some(_)] => (0, *a),
        };
        at[side] += 1;
        if !holds(sides[1 - side], token.token) {
            found = Some((side, token));
        }
    }
    let (kept_by, token) = found?;
    let removes = |stage: &&StageReport| !stage.keeps(token.token, token.logit);
    let removed_at = sides[1 - kept_by].stages.iter().find(removes).map_or("adjustments", |stage| stage.name);
    Some(Parting { token, kept_by, removed_at })
}

/// Half the sum of what the probabilities differ by: 0 for equal distributions, 1 for those that share no token.
fn total_variation(one: &Side, other: &Side) -> f64 {
    let pairs = one.probabilities.iter().zip(&other.probabilities);
    pairs.map(|(&p, &q)| (f64::from(p) - f64::from(q)).abs()).sum::<f64>() / 2.0
}

/// The tokens shown: the best of the row, and those picked.
fn shown(sides: &[Side]) -> Vec<(u32, f32)> {
    let mut tokens: Vec<(u32, f32)> = Vec::new();
    let best = sides.iter().flat_map(|side| &side.best);
    let picked = sides.iter().flat_map(|side| side.kept.iter().filter(|kept| kept.token == side.pick.token));
    for candidate in best.chain(picked) {
        if !tokens.iter().any(|(token, _)| *token == candidate.token) {
            tokens.push((candidate.token, candidate.logit));
        }
    }
    tokens
}

fn print(
    out: &mut dyn Write,
    args: &Args,
    config: &Config,
    vocab: usize,
    sides: &[Side],
    parting: Option<&Parting>,
) -> Result<(), Failure> {
    let position = args.sequence.position();
    writeln!(out, "row      {}:{}, {vocab} logits", args.rows.display(), args.row)?;
    let set = in_force_text(&Config { profile: Profile::Canon, ..config.clone() });
    let set = if set.is_empty() { "defaults".to_owned() } else { set.join(", ") };
    writeln!(out, "options  {set}; seed {}, stream {}, position {position}", config.seed, config.stream)?;
    for side in sides {
        writeln!(out, "\n{}", side.profile.name())?;
        writeln!(out, "  {:<16} {:>10} {:>9} {:>9} {:>12}", "stage", "value", "kept", "mass", "temperature")?;
        for stage in &side.stages {
            let value = if stage.parameter.is_nan() { "-".to_owned() } else { (stage.parameter as f32).to_string() };
            writeln!(
                out,
                "  {:<16} {value:>10} {:>9} {:>9.6} {:>12}",
                stage.name.replace('_', "-"),
                stage.kept,
                stage.kept_mass,
                stage.temperature
            )?;
        }
    }
    write!(out, "\n{:>9} {:>12}", "token", "logit")?;
    sides.iter().try_for_each(|side| write!(out, " {:>12}", side.profile.name()))?;
    writeln!(out)?;
    for (token, logit) in shown(sides) {
        let mut line = format!("{token:>9} {logit:>12.6}");
        for side in sides {
            let mark = if side.pick.token == token { "*" } else { " " };
            let is_kept = side.kept.iter().any(|kept| kept.token == token);
            let probability = side.probabilities[token as usize];
            line += &if is_kept { format!(" {probability:>11.8}{mark}") } else { format!(" {:>11}{mark}", "-") };
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out)?;
    for side in sides {
        let pick = &side.pick;
        let name = side.profile.name();
        writeln!(out, "pick     {name}: token {}, rank {}, one of {} kept", pick.token, pick.rank, pick.kept)?;
    }
    for side in sides {
        // No smaller change of the logits gives another argmax, another kept set, another token.
        let (name, Pick { flip_argmax, flip_kept, flip_token, .. }) = (side.profile.name(), side.pick);
        writeln!(out, "flip     {name}: argmax {flip_argmax}, kept {flip_kept}, token {flip_token}")?;
    }
    let [one, other] = sides else { return Ok(()) };
    match parting {
        None if one.kept.len() == 1 => writeln!(out, "parts    nowhere: both keep the same token alone")?,
        None => writeln!(out, "parts    nowhere: both keep the same {} tokens", one.kept.len())?,
        Some(Parting { token, kept_by, removed_at }) => {
            let (keeps, removes) = (&sides[*kept_by], &sides[1 - *kept_by]);
            writeln!(
                out,
                "parts    token {} (logit {}): {} keeps it with probability {:.6}, {} removes it at {}",
                token.token,
                token.logit,
                keeps.profile.name(),
                keeps.probabilities[token.token as usize],
                removes.profile.name(),
                removed_at.replace('_', "-")
            )?;
        }
    }
    writeln!(out, "apart    {:.6} total variation", total_variation(one, other))?;
    Ok(())
}

fn document(args: &Args, config: &Config, vocab: usize, sides: &[Side], parting: Option<&Parting>) -> Value {
    let tokens = shown(sides);
    let parameters: serde_json::Map<String, Value> = in_force(config)
        .into_iter()
        .filter(|(name, _)| !matches!(*name, "profile" | "metrics"))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let profiles: Vec<Value> = sides
        .iter()
        .map(|side| {
            let stages = side.stages.iter().map(|stage| {
                json!({
                    "stage": stage.name,
                    "value": stage.parameter,
                    "kept": stage.kept,
                    "kept_mass": stage.kept_mass,
                    "temperature": stage.temperature,
                })
            });
            let top = tokens.iter().map(|&(token, logit)| {
                let is_kept = side.kept.iter().any(|kept| kept.token == token);
                json!({
                    "token": token,
                    "logit": logit,
                    "probability": side.probabilities[token as usize],
                    "kept": is_kept,
                })
            });
            let list = |candidates: &[Candidate]| {
                let one = |&Candidate { token, logit, logprob }: &Candidate| {
                    json!({ "token": token, "logit": logit, "logprob": logprob })
                };
                candidates.iter().map(one).collect::<Vec<_>>()
            };
            let mut shown = json!({
                "profile": side.profile.name(),
                "left_out": side.left_out,
                "stages": stages.collect::<Vec<_>>(),
                "kept": side.kept.len(),
                "top": top.collect::<Vec<_>>(),
                "top_logprobs": list(&side.best),
                "top_logprobs_raw": list(&side.best_raw),
                "pick": {
                    "token": side.pick.token,
                    "rank": side.pick.rank,
                    "logprob": side.pick.logprob,
                    "logprob_raw": side.pick.logprob_raw,
                    "flip_argmax": side.pick.flip_argmax,
                    "flip_kept": side.pick.flip_kept,
                    "flip_token": side.pick.flip_token,
                },
            });
            if args.kept {
                shown["kept_tokens"] = json!(list(&side.kept));
            }
            shown
        })
        .collect();
    json!({
        "rows": args.rows.to_string_lossy(),
        "row": args.row,
        "vocab": vocab,
        "seed": config.seed,
        "stream": config.stream,
        "position": args.sequence.position(),
        "parameters": parameters,
        "profiles": profiles,
        "parts_at": parting.map(|parting| json!({
            "token": parting.token.token,
            "logit": parting.token.logit,
            "kept_by": sides[parting.kept_by].profile.name(),
            "removed_by": sides[1 - parting.kept_by].profile.name(),
            "removed_at": parting.removed_at,
            "probability": sides[parting.kept_by].probabilities[parting.token.token as usize],
        })),
        "total_variation": match sides {
            [one, other] => Some(total_variation(one, other)),
            _ => None,
        },
    })
}
