//! Every filter of every profile against the naive chain of `support/filters.rs`: what is kept, what is drawn from it, and every
//! number about it, on every kernel level.

mod support;

use argpick::{Candidate, Decoder, Kernels, Metrics, Pick, numeric};
use std::collections::BTreeMap;
use support::exact;
use support::filters::{Filters, Memory, Outcome, Whose, outcome};
use support::generators::{self, LENGTHS, MASKS, SHAPES, Shape, Source};
use support::oracle::{Case, scale};
use support::report::{self, close};

/// Whether draw (a) is taken: a filter that bounds what is kept by rank or threshold is at work.
fn draws_by_inversion(case: &Case) -> bool {
    let (settings, filters) = (&case.settings, &case.settings.filters);
    match filters.mirostat {
        0 => {
            // Temperature 0 after filters keeps one.
            settings.temperature == 0.0 && !filters.are_dynamic()
                || settings.top_k_active(case.row.len())
                || settings.min_p > 0.0
                || filters.top_n_sigma > 0.0
                || filters.tfs_z < 1.0
                || filters.top_h > 0.0
                || filters.adaptive_target >= 0.0
        }
        version => version == 1,
    }
}

fn is_adaptive(case: &Case) -> bool {
    let settings = &case.settings;
    settings.filters.adaptive_target >= 0.0 && settings.filters.mirostat == 0 && !settings.is_greedy()
}

/// Everything one level says about a case.
#[derive(Clone, Debug)]
struct Said {
    pick: Pick,
    kept: Vec<Candidate>,
    processed: Vec<f32>,
    probabilities: Vec<f32>,
}

fn ask(decoder: &mut Decoder, case: &Case) -> argpick::Result<Said> {
    let mask = case.mask.as_deref();
    let pick = decoder.evaluate(&case.row, mask)?;
    let mut kept = vec![Candidate::default(); case.row.len()];
    let count = decoder.kept(&case.row, mask, &mut kept)?;
    kept.truncate(count);
    let (mut processed, mut probabilities) = (case.row.clone(), case.row.clone());
    decoder.probabilities(&mut probabilities, mask)?;
    if decoder.process(&mut processed, mask).is_err() {
        processed.clear();
    }
    Ok(Said { pick, kept, processed, probabilities })
}

/// How a kept set stands to real arithmetic.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    Equal,
    /// On the other side of a boundary that is near enough.
    Excused,
    /// Too many boundaries were near to tell.
    Untold,
}

/// Compares what a level says with the judges; the error is the first disagreement in words.
fn disagreement(case: &Case, memory: &Memory, said: &Said) -> Result<Standing, String> {
    let outcome = outcome(case, memory, said.pick.temperature, numeric::weight).expect("a valid step");
    let tokens: Vec<u32> = said.kept.iter().map(|candidate| candidate.token).collect();
    let Outcome { order, sets, temperature, .. } = &outcome;
    let mut rank_of = vec![usize::MAX; case.row.len()];
    for (rank, &token) in order.iter().enumerate() {
        rank_of[token as usize] = rank;
    }
    let mut ranks: Vec<usize> = tokens.iter().map(|&token| rank_of[token as usize]).collect();
    ranks.sort_unstable();
    if ranks.is_empty() || ranks.contains(&usize::MAX) || !tokens.is_sorted() {
        return Err(format!("keeps {tokens:?}"));
    }
    if said.pick.temperature != *temperature {
        return Err(format!("the temperature is {}, not {temperature}", said.pick.temperature));
    }
    let standing = match sets {
        None => Standing::Untold,
        Some(sets) if sets.is_empty() => {
            return Err(format!("the temperature {} is not that of the law", said.pick.temperature));
        }
        Some(sets) if sets[0] == ranks => Standing::Equal,
        Some(sets) if sets.contains(&ranks) => Standing::Excused,
        Some(sets) => {
            let (few, other) = (&ranks[..ranks.len().min(12)], &sets[0][..sets[0].len().min(12)]);
            let (count, expected) = (ranks.len(), sets[0].len());
            return Err(format!("keeps {count}: {few:?}; real arithmetic {expected}: {other:?} ({} sets)", sets.len()));
        }
    };
    numbers(case, memory, said, &outcome, &ranks)?;
    Ok(standing)
}

/// The token, and the numbers about it, given what is kept.
fn numbers(case: &Case, memory: &Memory, said: &Said, outcome: &Outcome, kept: &[usize]) -> Result<(), String> {
    let Outcome { order, logits: z, adjusted, temperature, .. } = outcome;
    let (pick, filters) = (&said.pick, &case.settings.filters);
    let mut is_kept = vec![false; case.row.len()];
    kept.iter().for_each(|&rank| is_kept[order[rank] as usize] = true);
    let token = if case.settings.is_greedy() {
        order[0]
    } else if is_adaptive(case) {
        let target = memory.target(filters);
        exact::draw_adaptive(case, &adjusted.logits, &is_kept, *temperature, target, numeric::weight)
    } else {
        let inverse = draws_by_inversion(case);
        exact::draw_from(case, &adjusted.logits, &is_kept, *temperature, inverse, numeric::weight)
    };
    let rank = order.iter().position(|&t| t == pick.token);
    if pick.token != token || rank != Some(pick.rank as usize) || pick.argmax != order[0] {
        return Err(format!("picks {} of rank {}, the draw is {token} of rank {rank:?}", pick.token, pick.rank));
    }
    if pick.kept as usize != kept.len() || said.kept.len() != kept.len() {
        return Err(format!("says that {} are kept, {} are", pick.kept, kept.len()));
    }
    let s = scale(*temperature);
    let relative = |to: usize| -> Vec<f64> { z.iter().map(|x| ((x - z[to]) * s).exp2()).collect() };
    let whole = relative(0);
    let of_kept: Vec<f64> = kept.iter().map(|&rank| ((z[rank] - z[kept[0]]) * s).exp2()).collect();
    let total: f64 = whole.iter().rev().sum();
    let kept_total: f64 = of_kept.iter().rev().sum();
    let mut shares: Vec<f64> = of_kept.iter().map(|w| w / kept_total).collect();
    let mut lns: Vec<f64> =
        kept.iter().map(|&rank| (z[rank] - z[kept[0]]) * s * std::f64::consts::LN_2 - kept_total.ln()).collect();
    let mut shaped_logits = Vec::new();
    if is_adaptive(case) {
        let target = memory.target(filters);
        shaped_logits = shares
            .iter()
            .map(|p| {
                let d = (p - target).abs() / 0.3;
                -10.0 * d * d / (1.0 + d)
            })
            .collect();
        let best = shaped_logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // They are relative to the nearest one.
        shaped_logits.iter_mut().for_each(|x| *x -= best);
        let sum: f64 = shaped_logits.iter().map(|x| x.exp()).sum();
        lns = shaped_logits.iter().map(|x| x - sum.ln()).collect();
        shares = lns.iter().map(|x| x.exp()).collect();
    }
    let lost = case.row.len() as f64 * 2f64.powi(-40);
    let Some(at) = kept.iter().position(|&k| Some(k) == rank) else { return Err("the pick is not kept".into()) };
    let kept_mass = kept.iter().rev().map(|&rank| whole[rank]).sum::<f64>() / total;
    let own_unit = 2f64.powi(-39) / shares[at].max(1e-30);
    for (name, actual, expected, absolute) in [
        ("logprob", pick.logprob, lns[at], 1.2e-5 + own_unit.min(1.0)),
        ("kept_mass", pick.kept_mass, kept_mass, lost),
        ("top1_probability", pick.top1_probability, 1.0 / total, 0.0),
    ] {
        let expected = f64::from(expected as f32);
        if !close(f64::from(actual), expected, absolute, 1.2e-5) {
            return Err(format!("{name} is {actual:e}, in real arithmetic {expected:e}"));
        }
    }
    let far = |x: f64| z[kept[0]] - x > f64::from(f32::MAX);
    let mut expected = vec![(0.0, f64::NEG_INFINITY); case.row.len()];
    for (i, &token) in kept.iter().map(|&rank| &order[rank]).enumerate() {
        let logit = if shaped_logits.is_empty() { z[kept[i]] / f64::from(*temperature) } else { shaped_logits[i] };
        expected[token as usize] = (shares[i], logit);
    }
    for (token, &(p, logit)) in expected.iter().enumerate() {
        let probability = f64::from(said.probabilities[token]);
        if !close(probability, p, lost + 1e-12, 4e-5) || (p == 0.0 && logit == f64::NEG_INFINITY && probability != 0.0)
        {
            return Err(format!("probabilities: token {token} is {probability:e}, {p:e} is expected"));
        }
        let Some(&processed) = said.processed.get(token) else { continue };
        let in_range = logit.abs() <= f64::from(f32::MAX) && (logit == 0.0 || logit.abs() >= 2f64.powi(-126));
        let equal = if in_range {
            close(f64::from(processed), logit, 3e-5 * f64::from(!shaped_logits.is_empty()), 2.4e-7)
        } else {
            (logit == f64::NEG_INFINITY) == (processed == f32::NEG_INFINITY) || logit < -1e38
        };
        if !equal {
            return Err(format!("process: token {token} is {processed:e}, {logit:e} is expected"));
        }
    }
    for candidate in &said.kept {
        let rank = order.iter().position(|&t| t == candidate.token).expect("judged");
        let at = kept.binary_search(&rank).expect("judged");
        let unit = 2f64.powi(-39) / shares[at].max(1e-30);
        // A difference that f32 cannot hold is infinite.
        if far(z[rank]) && candidate.logprob == f32::NEG_INFINITY {
            continue;
        }
        if !close(f64::from(candidate.logprob), f64::from(lns[at] as f32), 1.2e-5 + unit.min(1.0), 1.2e-5) {
            return Err(format!("kept: token {} has {}, not {}", candidate.token, candidate.logprob, lns[at]));
        }
        if kept.len() > 300 {
            break;
        }
    }
    Ok(())
}

/// One case on all levels. `None` if it is refused.
fn judge(case: &Case, levels: &[Kernels], label: &str) -> Option<Standing> {
    let memory = Memory::first(&case.settings.filters);
    let mut first: Option<(Said, Standing)> = None;
    for &kernels in levels {
        let fail =
            |what: String| -> ! { panic!("{label} on {}: {what}\n  {}", kernels.level(), report::describe(case)) };
        let mut decoder = report::decoder(case, kernels, Metrics::ALL);
        let said = match ask(&mut decoder, case) {
            Ok(said) => said,
            Err(error) if case.adjust().is_err() => {
                let _ = error;
                return None;
            }
            Err(error) => fail(error.to_string()),
        };
        match &first {
            None => match disagreement(case, &memory, &said) {
                Ok(standing) => first = Some((said.clone(), standing)),
                Err(what) => fail(what),
            },
            Some((before, _)) => {
                let kept = |said: &Said| said.kept.iter().map(|c| (c.token, c.logprob.to_bits())).collect::<Vec<_>>();
                let difference = report::first_difference(&said.pick, &before.pick)
                    .or_else(|| report::first_row_difference(&said.processed, &before.processed))
                    .or_else(|| report::first_row_difference(&said.probabilities, &before.probabilities))
                    .or_else(|| (kept(&said) != kept(before)).then(|| "what is kept".to_string()));
                if let Some(what) = difference {
                    fail(format!("bits differ from {}: {what}", levels[0].level()));
                }
            }
        }
        let mut bare = report::decoder(case, kernels, Metrics::NONE);
        let bare = bare.evaluate(&case.row, case.mask.as_deref()).unwrap_or_else(|error| fail(error.to_string()));
        if (bare.token, bare.temperature.to_bits()) != (said.pick.token, said.pick.temperature.to_bits()) {
            fail(format!("without metrics the pick is {bare:?}, with them {:?}", said.pick));
        }
    }
    first.map(|(_, standing)| standing)
}

#[derive(Default, Debug)]
struct Tally {
    equal: usize,
    excused: usize,
    untold: usize,
    refused: usize,
}

impl Tally {
    fn count(&mut self, standing: Option<Standing>) {
        match standing {
            Some(Standing::Equal) => self.equal += 1,
            Some(Standing::Excused) => self.excused += 1,
            Some(Standing::Untold) => self.untold += 1,
            None => self.refused += 1,
        }
    }

    /// Prints it, and bounds what was let off.
    fn check(&self, label: &str, most_excused: f64) {
        let all = self.equal + self.excused + self.untold;
        println!("{label}: {self:?}");
        assert!(self.excused as f64 <= most_excused * all as f64, "{label}: too much was excused: {self:?}");
        assert!(self.untold as f64 <= 0.03 * all as f64, "{label}: too much could not be told: {self:?}");
        assert!(self.equal > all / 2, "{label}: {self:?}");
    }
}

fn rounds(release: u64) -> u64 {
    let scale = std::env::var("ARGPICK_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    (release as f64 * scale) as u64 / if cfg!(debug_assertions) { 30 } else { 1 }
}

/// A parameter for one filter, by name: each alone, on every shape of row.
type Only = (&'static str, fn(&mut Source, &mut Filters));

const ONLY: [Only; 13] = [
    ("typical", |s, f| f.typical_p = s.pick(&[0.0, 0.05, 0.2, 0.5, 0.9, 0.95, 0.999])),
    ("epsilon", |s, f| f.epsilon_cutoff = s.pick(&[1e-6, 3e-4, 0.01, 0.2, 1.0])),
    ("eta", |s, f| f.eta_cutoff = s.pick(&[1e-6, 3e-4, 0.01, 0.2, 1.0])),
    ("top_n_sigma", |s, f| f.top_n_sigma = s.pick(&[0.01, 0.5, 1.0, 2.0, 5.0, 1e30])),
    ("top_a", |s, f| f.top_a = s.pick(&[1e-5, 0.01, 0.2, 1.0])),
    ("tail_free", |s, f| f.tfs_z = s.pick(&[0.0, 0.3, 0.9, 0.95, 0.999])),
    ("top_h", |s, f| f.top_h = s.pick(&[0.01, 0.2, 0.4, 0.8, 1.0])),
    ("xtc", |s, f| (f.xtc_probability, f.xtc_threshold) = (1.0, s.pick(&[0.0, 1e-6, 0.001, 0.02, 0.1, 0.3, 0.5]))),
    ("dynamic", |s, f| {
        (f.dynatemp_range, f.dynatemp_exponent) = (s.pick(&[0.1, 0.5, 2.0]), s.pick(&[0.0, 0.5, 1.0, 3.0]));
    }),
    ("mirostat_1", |s, f| (f.mirostat, f.mirostat_tau) = (1, s.pick(&[0.0, 0.5, 2.0, 5.0, 9.0]))),
    ("mirostat_2", |s, f| (f.mirostat, f.mirostat_tau) = (2, s.pick(&[0.0, 0.5, 2.0, 5.0, 9.0]))),
    ("adaptive", |s, f| (f.adaptive_target, f.adaptive_decay) = (s.pick(&[0.0, 0.05, 0.3, 0.7, 1.0]), 0.9)),
    ("nothing", |_, _| {}),
];

#[test]
fn each_filter_alone() {
    let levels = report::levels("each_filter_alone");
    let mut failed = Vec::new();
    for (name, set) in ONLY {
        let mut tally = Tally::default();
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..rounds(1_200) {
                let mut source = Source::new(round + 7_000_000);
                let shape = SHAPES[round as usize % SHAPES.len()];
                let vocab = LENGTHS[source.below(LENGTHS.len() - 2)];
                let kind = source.pick(&MASKS);
                let mut case = generators::case(&mut source, shape, vocab, kind);
                let settings = &mut case.settings;
                (settings.top_k, settings.top_p, settings.min_p) = (0, 1.0, 0.0);
                settings.greedy &= round % 8 == 0;
                set(&mut source, &mut settings.filters);
                tally.count(judge(&case, &levels, &format!("{name}, seed {round}, {shape:?}, {kind:?}")));
            }
        }));
        match run {
            // Of top-h those rows are let off whose second token weighs about 2^-40: its share of the entropy is not known.
            Ok(()) => tally.check(name, if name == "top_h" { 0.02 } else { 0.01 }),
            Err(_) => failed.push(name),
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn chains_of_every_profile() {
    let levels = report::levels("chains_of_every_profile");
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for round in 0..rounds(6_000) {
        let mut source = Source::new(round + 8_000_000);
        let shape = SHAPES[round as usize % SHAPES.len()];
        let vocab = LENGTHS[source.below(LENGTHS.len() - 2)];
        let kind = source.pick(&MASKS);
        let mut case = generators::case(&mut source, shape, vocab, kind);
        // A list for the later filters in some, none in others, and one that is too long for the list path.
        case.settings.top_k = source.pick(&[0, 0, case.settings.top_k, 300, 4096, 4097]);
        generators::filters(&mut source, &mut case.settings, 0.4);
        let name = match case.settings.filters.whose {
            Whose::Canon => "canon",
            Whose::HuggingFace => "huggingface",
            Whose::LlamaCpp => "llama_cpp",
            Whose::Vllm => "vllm",
        };
        let standing = judge(&case, &levels, &format!("chain, seed {round}, {shape:?}, {kind:?}"));
        tallies.entry(name).or_default().count(standing);
    }
    for (name, tally) in &tallies {
        tally.check(name, 0.02);
    }
    assert_eq!(tallies.len(), 4);
}

/// Long rows: lists and bounds decide there.
#[test]
fn chains_on_long_rows() {
    let levels = report::levels("chains_on_long_rows");
    let levels = &levels[levels.len() - 1..];
    let shapes = [Shape::Normal, Shape::Zipf, Shape::Ties, Shape::Flat, Shape::Peaked, Shape::Wide, Shape::Holes];
    let mut tally = Tally::default();
    for round in 0..rounds(120) {
        let mut source = Source::new(round + 9_000_000);
        let shape = shapes[round as usize % shapes.len()];
        let vocab = source.pick(&[32_001, 40_000, 50_257]);
        let kind = source.pick(&MASKS);
        let mut case = generators::case(&mut source, shape, vocab, kind);
        case.settings.top_k = source.pick(&[0, 0, 50, 4096, 4097, 20_000]);
        generators::filters(&mut source, &mut case.settings, 0.3);
        tally.count(judge(&case, levels, &format!("long, seed {round}, {shape:?}, {kind:?}")));
    }
    tally.check("long rows", 0.03);
}

/// Mirostat's mu and adaptive-p's target over a sequence: what is kept, and the reshaped probabilities, show them.
#[test]
fn states_follow_their_laws_step_by_step() {
    let levels = report::levels("states_follow_their_laws");
    let mut tally = Tally::default();
    let mut moved = 0;
    for round in 0..rounds(240) {
        let mut source = Source::new(round + 11_000_000);
        let shape = source.pick(&[Shape::Normal, Shape::Zipf, Shape::Peaked, Shape::Ties, Shape::Flat]);
        let vocab = source.pick(&[40, 300, 1025, 4097]);
        let mut case = Case::new(Vec::new());
        let settings = &mut case.settings;
        (settings.seed, settings.temperature) = (source.bits(), source.pick(&[0.7, 1.0, 1.5]));
        let filters = &mut settings.filters;
        match round % 3 {
            0 => (filters.mirostat, filters.mirostat_tau) = (1, source.pick(&[1.0, 3.0, 6.0])),
            1 => (filters.mirostat, filters.mirostat_tau) = (2, source.pick(&[1.0, 3.0, 6.0])),
            _ => {
                (filters.adaptive_target, filters.adaptive_decay) =
                    (source.pick(&[0.1, 0.3, 0.6]), source.pick(&[0.0, 0.8]))
            }
        }
        filters.mirostat_eta = source.pick(&[0.1, 0.7]);
        let mut memory = Memory::first(filters);
        let before = memory;
        let level = levels[round as usize % levels.len()];
        case.row = generators::row(&mut source, shape, vocab);
        let mut decoder = report::decoder(&case, level, Metrics::ALL);
        for step in 0..12 {
            case.row = generators::row(&mut source, shape, vocab);
            case.settings.position = step;
            let said = ask(&mut decoder, &case).expect("a valid step");
            match disagreement(&case, &memory, &said) {
                Ok(standing) => tally.count(Some(standing)),
                Err(what) => {
                    panic!("state, seed {round}, step {step}, {memory:?}: {what}\n  {}", report::describe(&case))
                }
            }
            let pick = decoder.decode(&case.row, None).expect("a valid step");
            assert!(report::first_difference(&pick, &said.pick).is_none(), "evaluating has left a trace");
            let logit = f64::from(case.row[pick.token as usize]);
            let t = f64::from(case.settings.temperature);
            let weights = said.kept.iter().map(|c| ((f64::from(c.logit) - logit) / t).exp());
            let logprob = -weights.sum::<f64>().ln();
            memory.learn(&case.settings.filters, logprob, logprob.exp());
        }
        moved += u64::from((memory.mu.0 - before.mu.0).abs() > 0.1 || memory.adaptive.1 != before.adaptive.1);
    }
    tally.check("states", 0.02);
    assert!(moved * 2 > rounds(240), "the states must have moved");
}

/// A list of candidates and the row itself are two ways to the same bits: the mask leaves fewer tokens than either top-k.
#[test]
fn the_list_and_the_row_give_the_same_bits() {
    let levels = report::levels("the_list_and_the_row");
    for round in 0..rounds(500) {
        let mut source = Source::new(round + 12_000_000);
        let shape = SHAPES[round as usize % SHAPES.len()];
        let mut case = generators::case(&mut source, shape, 5_003, generators::MaskKind::Random);
        case.settings.valid_vocab = 0;
        generators::filters(&mut source, &mut case.settings, 0.4);
        // Draw (b) proposes from the row; with a list it is always draw (a), as with any top-k.
        if case.adjust().is_err() {
            continue;
        }
        let level = levels[round as usize % levels.len()];
        let mut answer = |top_k: u32| {
            case.settings.top_k = top_k;
            ask(&mut report::decoder(&case, level, Metrics::ALL), &case).expect("a valid step")
        };
        let (list, row) = (answer(4_096), answer(4_097));
        let kept = |said: &Said| said.kept.iter().map(|c| (c.token, c.logprob.to_bits())).collect::<Vec<_>>();
        let difference = report::first_difference(&list.pick, &row.pick)
            .or_else(|| (list.pick.temperature.to_bits() != row.pick.temperature.to_bits()).then(|| "T".to_string()))
            .or_else(|| report::first_row_difference(&list.processed, &row.processed))
            .or_else(|| report::first_row_difference(&list.probabilities, &row.probabilities))
            .or_else(|| (kept(&list) != kept(&row)).then(|| "what is kept".to_string()));
        if let Some(what) = difference {
            panic!("seed {round}, {shape:?}: the list and the row differ: {what}\n  {}", report::describe(&case));
        }
    }
}
