//! Each stage of a chain against its law, on what the stages before it have left.
//!
//! `Decoder::explain` says what is kept after each stage. Here the law of every stage is evaluated once more, in f64 and by
//! sorting, on exactly what reached it, and what it keeps is judged by the quantity that decides: a cumulative mass, a
//! probability, a distance. So a chain is judged stage by stage, without asking on which side of an earlier boundary rounding fell.
//! Rows are made to be awkward: equal logits, two values, zeros of both signs, subnormals, 1e38, sorted, spikes in each block;
//! vocabularies from 1 to 2,000 and those of real models.

#[path = "stage_laws/inputs.rs"]
mod inputs;
#[path = "stage_laws/laws.rs"]
mod laws;

use argpick::{Candidate, Config, Decoder, Kernels, Level, Mirostat, Pick, StageReport};
use inputs::{SHAPES, Source, config, mask, row};
use laws::{Before, Ranked};
use std::collections::BTreeMap;

/// How many judgements of a stage there were, how many used some of the allowed error, and the most that one used.
#[derive(Debug, Default)]
struct Tally {
    judged: usize,
    removing: usize,
    near: usize,
    most: f64,
}

/// What a level says about a row.
struct Said {
    pick: Pick,
    reports: Vec<StageReport>,
    kept: Vec<Candidate>,
}

fn ask(decoder: &mut Decoder, row: &[f32], mask: Option<&[u32]>) -> argpick::Result<Said> {
    let mut reports = [StageReport::EMPTY; StageReport::MOST];
    let count = decoder.explain(row, mask, &mut reports)?;
    let mut kept = vec![Candidate::default(); row.len()];
    let listed = decoder.kept(row, mask, &mut kept)?;
    kept.truncate(listed);
    Ok(Said { pick: decoder.evaluate(row, mask)?, reports: reports[..count].to_vec(), kept })
}

/// A configuration with a row: judged on the last level, and the same on all others.
struct Trial {
    config: Config,
    row: Vec<f32>,
    mask: Option<Vec<u32>>,
    /// Steps on the row, for what learns from them.
    steps: usize,
}

impl Trial {
    fn run(&self, levels: &[Kernels], tallies: &mut BTreeMap<&'static str, Tally>) -> Result<(), String> {
        let make = |&kernels: &Kernels| Decoder::new_with_kernels(&self.config, self.row.len(), kernels);
        let mut decoders: Vec<Decoder> =
            levels.iter().map(make).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        let mut mu = 2.0 * f64::from(self.config.mirostat_tau);
        for step in 0..self.steps {
            let mut first: Option<Said> = None;
            for decoder in &mut decoders {
                let level = decoder.kernels().level();
                let said = match ask(decoder, &self.row, self.mask.as_deref()) {
                    Ok(said) => said,
                    Err(argpick::Error::EverythingMasked) => return Ok(()),
                    Err(error) => return Err(error.to_string()),
                };
                let pick = decoder.decode(&self.row, self.mask.as_deref()).map_err(|error| error.to_string())?;
                if format!("{pick:?}") != format!("{:?}", said.pick) {
                    return Err(format!("{level}: decodes {pick:?}, but evaluates {:?}", said.pick));
                }
                match &first {
                    None => first = Some(said),
                    Some(first) => {
                        let words = |said: &Said| format!("{:?} {:?} {:?}", said.pick, said.reports, said.kept);
                        if words(&said) != words(first) {
                            return Err(format!("{level} differs from {}", levels[0].level()));
                        }
                    }
                }
            }
            let said = first.expect("a level");
            self.judge(&said, step as u64, mu, tallies).map_err(|what| format!("step {step}: {what}"))?;
            let surprise = -f64::from(said.pick.logprob) / std::f64::consts::LN_2;
            let moved = f64::from(self.config.mirostat_eta) * (surprise - f64::from(self.config.mirostat_tau));
            mu = f64::from((mu - moved) as f32);
        }
        Ok(())
    }

    fn judge(
        &self,
        said: &Said,
        position: u64,
        mu: f64,
        tallies: &mut BTreeMap<&'static str, Tally>,
    ) -> Result<(), String> {
        let valid = if self.config.valid_vocab == 0 { self.row.len() } else { self.config.valid_vocab as usize };
        let allowed = |token: usize| {
            self.mask.as_ref().is_none_or(|mask| mask.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 == 1))
        };
        let mut left: Vec<Ranked> = (0..valid)
            .filter(|&token| allowed(token) && self.row[token] > f32::NEG_INFINITY)
            .map(|token| Ranked { token: token as u32, logit: self.row[token] })
            .collect();
        left.sort_by(|a, b| b.logit.partial_cmp(&a.logit).expect("no NaN").then(a.token.cmp(&b.token)));
        let mut temperature = said.reports[0].temperature;
        if said.reports[0].kept as usize != left.len() {
            return Err(format!("says that {} of {} take part", said.reports[0].kept, left.len()));
        }
        for report in &said.reports[1..] {
            let kept: Vec<Ranked> = left.iter().copied().filter(|r| report.keeps(r.token, r.logit)).collect();
            let stage = format!("{} {}", report.name, report.parameter);
            if kept.is_empty() || kept.len() != report.kept as usize {
                return Err(format!("{stage}: keeps {}, and says {}", kept.len(), report.kept));
            }
            let removes = kept.len() < left.len();
            let before = Before::new((&self.config, valid, position, mu), temperature, left);
            let used = before.judge(report.name, &kept, report.temperature).map_err(|what| {
                format!("{stage}, of {} tokens at temperature {temperature}: {what}", before.z.len())
            })?;
            let tally = tallies.entry(report.name).or_default();
            tally.judged += 1;
            tally.removing += usize::from(removes);
            tally.near += usize::from(used > 0.0);
            tally.most = tally.most.max(used);
            (left, temperature) = (kept, report.temperature);
        }
        let mut ids: Vec<u32> = left.iter().map(|r| r.token).collect();
        ids.sort_unstable();
        let listed: Vec<u32> = said.kept.iter().map(|candidate| candidate.token).collect();
        if ids != listed || said.pick.kept as usize != ids.len() {
            return Err(format!(
                "keeps {} at the end, lists {}, picks from {}",
                ids.len(),
                listed.len(),
                said.pick.kept
            ));
        }
        if ids.binary_search(&said.pick.token).is_err() {
            return Err(format!("picks {}, which is not kept", said.pick.token));
        }
        Ok(())
    }
}

fn levels() -> Vec<Kernels> {
    let found: Vec<Kernels> = Level::ALL.into_iter().filter_map(|level| Kernels::new(level).ok()).collect();
    println!("levels: {}", found.iter().map(|kernels| kernels.level().name()).collect::<Vec<_>>().join(", "));
    found
}

/// Runs trials; all disagreements are printed, the first few of them in full.
fn trials(
    rounds: u64,
    first: u64,
    mut make: impl FnMut(u64, &mut Source) -> (String, Trial),
) -> BTreeMap<&'static str, Tally> {
    let levels = levels();
    let scale: f64 = std::env::var("ARGPICK_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let rounds = (rounds as f64 * scale) as u64 / if cfg!(debug_assertions) { 20 } else { 1 };
    let (mut tallies, mut wrong) = (BTreeMap::new(), Vec::new());
    for round in first..first + rounds.max(1) {
        let (name, trial) = make(round, &mut Source(round));
        if let Err(what) = trial.run(&levels, &mut tallies) {
            wrong.push(format!("round {round}, {name}, vocab {}: {what}\n    {:?}", trial.row.len(), trial.config));
        }
    }
    for (stage, tally) in &tallies {
        println!("{stage}: {tally:?}");
    }
    assert!(wrong.is_empty(), "{} of {rounds} trials:\n{}", wrong.len(), wrong[..wrong.len().min(12)].join("\n"));
    tallies
}

fn trial(source: &mut Source, vocab: usize, chance: usize) -> (String, Trial) {
    let shape = source.pick(&SHAPES);
    let (row, mask) = (row(source, shape, vocab), mask(source, vocab));
    let config = config(source, vocab, chance);
    let steps = if config.mirostat == Mirostat::Off { 1 } else { 4 };
    (shape.to_owned(), Trial { config, row, mask, steps })
}

#[test]
fn each_filter_alone_keeps_its_law() {
    let tallies = trials(4_000, 0, |_, source| {
        let most = source.pick(&[8, 130, 2000]);
        let vocab = 1 + source.below(most);
        trial(source, vocab, 0)
    });
    assert!(tallies.values().all(|tally| tally.judged > 0) && tallies.len() >= 14);
}

#[test]
fn chains_keep_their_laws_stage_by_stage() {
    trials(4_000, 1_000_000, |_, source| {
        let most = source.pick(&[8, 130, 2000, 6000]);
        let vocab = 1 + source.below(most);
        let chance = source.pick(&[2, 4]);
        trial(source, vocab, chance)
    });
}

#[test]
fn vocabularies_of_real_models() {
    trials(60, 2_000_000, |_, source| {
        let vocab = source.pick(&[32_000, 151_936, 262_144]);
        let chance = source.pick(&[0, 3]);
        trial(source, vocab, chance)
    });
}
