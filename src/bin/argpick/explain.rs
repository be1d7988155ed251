//! `argpick explain`: what each stage leaves of a row, and where two profiles part.

use crate::repetition_args::RepetitionArgs;
use crate::rows::{OwnedRow, Rows};
use crate::sampling_args::{SamplingArgs, in_force, in_force_text, profile, remark_on_greedy};
use crate::sequence_args::{LimitArgs, SequenceArgs};
use crate::{Failure, args, remark};
use argpick::{Candidate, Config, Decoder, Error, Kernels, Level, Metrics, Mirostat, Mode, Pick, Profile, StageReport};
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
    /// Adaptive-p's target, where it reshapes what is kept.
    adaptive: Option<f32>,
    /// The tokens that take part, in the order of their logits after penalties, biases and masks.
    order: Vec<Candidate>,
    /// The best of the row as given, at temperature 1.
    best_raw: Vec<Candidate>,
    /// These logits by token; -inf is masked.
    logits: Vec<f32>,
    /// What is kept, in the same order.
    kept_tokens: Vec<Candidate>,
    /// Whether each token is kept.
    kept: Vec<bool>,
    probabilities: Vec<f32>,
    pick: Pick,
}

impl Side {
    fn kept_count(&self) -> usize {
        self.pick.kept as usize
    }

    /// The temperature of the draw.
    fn temperature(&self) -> f32 {
        self.stages.last().map_or(f32::NAN, |stage| stage.temperature)
    }
}

/// What is between two sides.
struct Between {
    /// How many logits penalties, biases and masks leave different, and the first token of either order that has two.
    adjusted: Option<(usize, u32)>,
    /// Where the kept sets part.
    parting: Option<Parting>,
    /// Half the sum of what the probabilities differ by: 0 for equal distributions, 1 for those that share no token.
    total_variation: f64,
}

/// The first token of either order that one side keeps and the other does not.
struct Parting {
    token: u32,
    /// Which side keeps it.
    kept_by: usize,
    /// The stage of the other side that removes it; `adjustments` if it is masked there.
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
    remark_on_greedy(&config, false, true);
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
    let between = match &sides[..] {
        [one, other] => Some(between(one, other)),
        _ => None,
    };
    if args.json {
        let document = document(&args, &config, rows.length, &sides, between.as_ref());
        writeln!(out, "{document:#}")?;
    } else {
        print(out, &args, &config, rows.length, &sides, between.as_ref())?;
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
    let vocab = row.row().len();
    let pick = decoder.evaluate(row.row(), mask)?;
    let mut stages = vec![StageReport::EMPTY; StageReport::MOST];
    let count = decoder.explain(row.row(), mask, &mut stages)?;
    stages.truncate(count);
    let mut order = vec![Candidate::default(); vocab];
    let count = decoder.top(row.row(), mask, &mut order)?;
    order.truncate(count);
    let mut best_raw = vec![Candidate::default(); args.top as usize];
    let count = decoder.top_raw(row.row(), mask, &mut best_raw)?;
    best_raw.truncate(count);
    let mut logits = vec![f32::NEG_INFINITY; vocab];
    order.iter().for_each(|candidate| logits[candidate.token as usize] = candidate.logit);
    let mut kept_tokens = vec![Candidate::default(); pick.kept as usize];
    let count = decoder.kept(row.row(), mask, &mut kept_tokens)?;
    kept_tokens.truncate(count);
    kept_tokens.sort_unstable_by(|a, b| b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token)));
    let mut kept = vec![false; vocab];
    kept_tokens.iter().for_each(|candidate| kept[candidate.token as usize] = true);
    let mut probabilities = row.to_f32();
    decoder.probabilities(&mut probabilities, mask)?;
    let is_greedy = stages.iter().any(|stage| stage.name == "greedy");
    let config = decoder.config();
    let reshapes = config.adaptive_target >= 0.0 && config.mirostat == Mirostat::Off && !is_greedy;
    let adaptive = reshapes.then_some(config.adaptive_target);
    let (profile, left_out) = (config.profile, Vec::new());
    Ok(Side { profile, left_out, stages, adaptive, order, best_raw, logits, kept_tokens, kept, probabilities, pick })
}

/// The first token, in the order of either side, for which `holds`.
fn first_token(one: &Side, other: &Side, holds: impl Fn(u32) -> bool) -> Option<u32> {
    let place = |side: &Side| side.order.iter().position(|candidate| holds(candidate.token));
    let found = |side: &Side, place: Option<usize>| place.map(|place| (place, side.order[place].token));
    let (one, other) = (found(one, place(one)), found(other, place(other)));
    // The one that stands further in front; of equal places the first side's.
    [one, other].into_iter().flatten().min_by_key(|&(place, _)| place).map(|(_, token)| token)
}

/// What is between two sides. Their orders need not be one: penalties and biases may leave other logits.
fn between(one: &Side, other: &Side) -> Between {
    let sides = [one, other];
    let differs = |token: u32| one.logits[token as usize] != other.logits[token as usize];
    let adjusted = (0..one.logits.len() as u32).filter(|&token| differs(token)).count();
    let parts = |token: u32| one.kept[token as usize] != other.kept[token as usize];
    let parting = first_token(one, other, parts).map(|token| {
        let kept_by = usize::from(!one.kept[token as usize]);
        let remover = sides[1 - kept_by];
        // The logit that its own stages saw.
        let logit = remover.logits[token as usize];
        let removes = |stage: &&StageReport| !stage.keeps(token, logit);
        let stage = remover.stages.iter().find(removes).filter(|_| logit > f32::NEG_INFINITY);
        Parting { token, kept_by, removed_at: stage.map_or("adjustments", |stage| stage.name) }
    });
    let pairs = one.probabilities.iter().zip(&other.probabilities);
    let total_variation = pairs.map(|(&p, &q)| (f64::from(p) - f64::from(q)).abs()).sum::<f64>() / 2.0;
    Between { adjusted: first_token(one, other, differs).map(|token| (adjusted, token)), parting, total_variation }
}

/// The tokens shown, with their logits of the first side that has them: the best of each, those picked, and where sides part.
fn shown(sides: &[Side], between: Option<&Between>, most: usize) -> Vec<(u32, f32)> {
    let best = sides.iter().flat_map(|side| side.order.iter().take(most).map(|candidate| candidate.token));
    let picked = sides.iter().map(|side| side.pick.token);
    let parting = between.and_then(|between| between.parting.as_ref()).map(|parting| parting.token);
    let adjusted = between.and_then(|between| between.adjusted).map(|(_, token)| token);
    let mut tokens: Vec<(u32, f32)> = Vec::new();
    for token in best.chain(picked).chain(parting).chain(adjusted) {
        if !tokens.iter().any(|(known, _)| *known == token) {
            let logits = sides.iter().map(|side| side.logits[token as usize]);
            tokens.push((
                token,
                logits.into_iter().find(|logit| *logit > f32::NEG_INFINITY).unwrap_or(f32::NEG_INFINITY),
            ));
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
    between: Option<&Between>,
) -> Result<(), Failure> {
    let position = args.sequence.position();
    writeln!(out, "row      {}:{}, {vocab} logits", args.rows.display(), args.row)?;
    // Room for the lists is no option.
    let shown_config =
        Config { profile: Profile::Canon, adjustment_capacity: 0, sequence_capacity: 0, ..config.clone() };
    let mut set = in_force_text(&shown_config);
    set.extend(args.sequence.in_words());
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
        if let Some(target) = side.adaptive {
            writeln!(out, "  {:<16} {target:>10}  other probabilities for what is kept", "adaptive-target")?;
        }
    }
    write!(out, "\n{:>9} {:>12}", "token", "logit")?;
    sides.iter().try_for_each(|side| write!(out, " {:>12}", side.profile.name()))?;
    writeln!(out)?;
    for (token, logit) in shown(sides, between, args.top as usize) {
        let mut line = format!("{token:>9} {logit:>12.6}");
        for side in sides {
            let mark = if side.pick.token == token { "*" } else { " " };
            let (is_kept, probability) = (side.kept[token as usize], side.probabilities[token as usize]);
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
    let ([one, other], Some(between)) = (sides, between) else { return Ok(()) };
    if let Some((count, token)) = between.adjusted {
        let [a, b] = [one, other].map(|side| format!("{} {}", side.profile.name(), side.logits[token as usize]));
        let logits = if count == 1 { "logit" } else { "logits" };
        writeln!(out, "adjusted {count} {logits} otherwise, first of token {token}: {a}, {b}")?;
    }
    match &between.parting {
        Some(Parting { token, kept_by, removed_at }) => {
            let (keeps, removes) = (&sides[*kept_by], &sides[1 - *kept_by]);
            writeln!(
                out,
                "parts    token {token} (logit {}): {} keeps it with probability {:.6}, {} removes it at {}",
                keeps.logits[*token as usize],
                keeps.profile.name(),
                keeps.probabilities[*token as usize],
                removes.profile.name(),
                removed_at.replace('_', "-")
            )?;
        }
        None if one.kept_count() == 1 => writeln!(out, "parts    nowhere: both keep the same token alone")?,
        None => {
            let what = format!("both keep the same {} tokens", one.kept_count());
            match reasons(one, other, between) {
                _ if between.total_variation == 0.0 => writeln!(out, "parts    nowhere: {what}")?,
                reasons if reasons.is_empty() => writeln!(out, "parts    nowhere but in rounding: {what}")?,
                reasons => writeln!(out, "parts    at the draw: {what}, with other probabilities by {reasons}")?,
            }
        }
    }
    writeln!(out, "apart    {:.6} total variation", between.total_variation)?;
    Ok(())
}

/// Why two sides that keep the same tokens give them other probabilities.
fn reasons(one: &Side, other: &Side, between: &Between) -> String {
    let mut reasons = Vec::new();
    if between.adjusted.is_some() {
        reasons.push("other logits".to_owned());
    }
    let (a, b) = (one.temperature(), other.temperature());
    if a != b {
        reasons.push(format!("temperature ({a}, {b})"));
    }
    if one.adaptive != other.adaptive {
        reasons.push("adaptive-target".to_owned());
    }
    reasons.join(" and ")
}

fn document(args: &Args, config: &Config, vocab: usize, sides: &[Side], between: Option<&Between>) -> Value {
    let tokens = shown(sides, between, args.top as usize);
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
            let top = tokens.iter().map(|&(token, _)| {
                json!({
                    "token": token,
                    "logit": side.logits[token as usize],
                    "probability": side.probabilities[token as usize],
                    "kept": side.kept[token as usize],
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
                "adaptive_target": side.adaptive,
                "kept": side.kept_count(),
                "top": top.collect::<Vec<_>>(),
                "top_logprobs": list(&side.order[..side.order.len().min(args.top as usize)]),
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
                shown["kept_tokens"] = json!(list(&side.kept_tokens));
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
        "lists": args.sequence.in_words(),
        "profiles": profiles,
        "adjusted_otherwise": between.and_then(|between| between.adjusted).map(|(count, token)| json!({
            "count": count,
            "token": token,
            "logits": sides.iter().map(|side| side.logits[token as usize]).collect::<Vec<_>>(),
        })),
        "parts_at": between.and_then(|between| between.parting.as_ref()).map(|parting| json!({
            "token": parting.token,
            "logit": sides[parting.kept_by].logits[parting.token as usize],
            "kept_by": sides[parting.kept_by].profile.name(),
            "removed_by": sides[1 - parting.kept_by].profile.name(),
            "removed_at": parting.removed_at,
            "probability": sides[parting.kept_by].probabilities[parting.token as usize],
        })),
        "total_variation": between.map(|between| between.total_variation),
    })
}
