//! Laws that hold for every input, whatever the numbers are: fused equals composed, order and monotonicity,
//! representation and batch do not matter, what is undone leaves no trace.

mod support;

use argpick::kernels::Kernels;
use argpick::{Candidate, Config, Decoder, Metrics, Mode, Pick, Row, decode_batch};
use half::{bf16, f16};
use proptest::prelude::*;
use support::filters::{Filters, Whose};
use support::generators::{self, LENGTHS, MASKS, SHAPES, Shape, Source};
use support::laws;
use support::oracle::{self, Case, Reality};
use support::report;

/// A step drawn from a seed: any shape, lengths up to a few thousand, any mask.
fn any_case(seed: u64) -> Case {
    let mut source = Source::new(seed);
    let (shape, kind) = (source.pick(&SHAPES), source.pick(&MASKS));
    let vocab = LENGTHS[source.below(LENGTHS.len() - 2)];
    generators::case(&mut source, shape, vocab, kind)
}

/// A step that is not refused, if the seed gives one.
fn valid_case(seed: u64) -> Option<(Case, Reality)> {
    let case = any_case(seed);
    let reality = Reality::of(&case).ok()?;
    Some((case, reality))
}

/// One of the levels to be had, chosen by the seed.
fn kernels(seed: u64) -> Kernels {
    use std::sync::OnceLock;
    static LEVELS: OnceLock<Vec<Kernels>> = OnceLock::new();
    let levels = LEVELS.get_or_init(|| report::levels("properties"));
    levels[seed as usize % levels.len()]
}

fn evaluate(case: &Case, seed: u64) -> Pick {
    report::decoder(case, kernels(seed), Metrics::ALL).evaluate(&case.row, case.mask.as_deref()).expect("a valid step")
}

/// A step with filters of any profile.
fn filtered_case(seed: u64) -> Option<(Case, Reality)> {
    let mut case = any_case(seed);
    generators::filters(&mut Source::new(seed ^ 0xF1), &mut case.settings, 0.35);
    let reality = Reality::of(&case).ok()?;
    Some((case, reality))
}

fn kept_tokens(decoder: &mut Decoder, case: &Case) -> Vec<u32> {
    let mut kept = vec![Candidate::default(); case.row.len()];
    let count = decoder.kept(&case.row, case.mask.as_deref(), &mut kept).expect("a valid step");
    kept[..count].iter().map(|candidate| candidate.token).collect()
}

fn same(a: &Pick, b: &Pick) -> Result<(), TestCaseError> {
    report::first_difference(a, b).map_or(Ok(()), |what| Err(TestCaseError::fail(what)))
}

proptest! {
    #![proptest_config(laws::config(if cfg!(debug_assertions) { 96 } else { 512 }))]

    /// `probabilities` is `process` followed by softmax, and both keep the same tokens.
    #[test]
    fn process_then_softmax_is_probabilities(seed: u64) {
        let Some((case, reality)) = valid_case(seed) else { return Err(TestCaseError::reject("refused")) };
        let mut decoder = report::decoder(&case, kernels(seed), Metrics::ALL);
        let mask = case.mask.as_deref();
        let kept = decoder.evaluate(&case.row, mask).unwrap().kept as usize;
        let (mut processed, mut fused) = (case.row.clone(), case.row.clone());
        // Beyond f32 the quotient by the temperature has no value to compose from.
        let in_range = reality.order.iter().all(|&t| {
            let logit = reality.adjusted.logits[t as usize];
            (f64::from(logit) / f64::from(case.settings.metric_temperature())).abs() < 1e30
        });
        prop_assume!(in_range);
        decoder.process(&mut processed, mask).unwrap();
        decoder.probabilities(&mut fused, mask).unwrap();
        prop_assert_eq!(processed.iter().filter(|&&z| z > f32::NEG_INFINITY).count(), kept, "support of process");
        // The quotient is rounded to f32, so the composed exponent carries that rounding.
        let largest = processed.iter().filter(|z| z.is_finite()).fold(1.0f32, |m, z| m.max(z.abs()));
        let composed = oracle::softmax(&processed, 1.0);
        argpick::softmax(&mut processed, 1.0).unwrap();
        let tolerance = 1e-6 + f64::from(largest) * 1.2e-7;
        for token in 0..fused.len() {
            prop_assert!((f64::from(fused[token]) - composed[token]).abs() <= tolerance, "token {}", token);
            prop_assert!((f64::from(fused[token]) - f64::from(processed[token])).abs() <= tolerance, "token {}", token);
        }
        let sum: f64 = fused.iter().map(|&p| f64::from(p)).sum();
        prop_assert!((sum - 1.0).abs() < 1e-5, "probabilities sum to {}", sum);
    }

    /// Evaluating leaves no trace, however often, and decoding answers what evaluating said.
    #[test]
    fn evaluating_twice_is_evaluating_once(seed: u64) {
        let Some((case, _)) = valid_case(seed) else { return Err(TestCaseError::reject("refused")) };
        let mut decoder = report::decoder(&case, kernels(seed), Metrics::ALL);
        let mask = case.mask.as_deref();
        let first = decoder.evaluate(&case.row, mask).unwrap();
        let mut scratch = case.row.clone();
        // Refused if the quotient by the temperature overflows; that leaves no trace either.
        let _ = decoder.process(&mut scratch, mask);
        let position = decoder.position();
        let second = decoder.evaluate(&case.row, mask).unwrap();
        same(&first, &second)?;
        prop_assert_eq!(decoder.position(), position);
        let decoded = decoder.decode(&case.row, mask).unwrap();
        same(&first, &decoded)?;
        prop_assert_eq!(decoder.position(), position.wrapping_add(1));
    }

    /// Only differences matter: with logits on a grid of 1/64 a shift by an integer changes no bit of the distribution.
    #[test]
    fn a_representable_shift_changes_nothing(seed: u64, shift in -64i32..64) {
        let Some((mut case, _)) = valid_case(seed) else { return Err(TestCaseError::reject("refused")) };
        let mut source = Source::new(seed ^ 0xA11CE);
        for value in case.row.iter_mut() {
            *value = source.below(4096) as f32 / 64.0 - 32.0;
        }
        for (_, amount) in case.bias.iter_mut() {
            *amount = (amount.clamp(-100.0, 100.0) * 64.0).round() / 64.0;
        }
        prop_assume!(Reality::of(&case).is_ok());
        let before = evaluate(&case, seed);
        case.row.iter_mut().for_each(|value| *value += shift as f32);
        let after = evaluate(&case, seed);
        let invariant = |p: &Pick| {
            (p.token, p.argmax, p.rank, p.kept, p.margin.to_bits(), p.top1_probability.to_bits(), p.entropy.to_bits(),
             p.logprob.to_bits(), p.kept_mass.to_bits())
        };
        prop_assert_eq!(invariant(&before), invariant(&after));
        prop_assert!((before.logprob_raw - after.logprob_raw).abs() < 1e-4);
    }

    /// Renaming the tokens renames the probabilities: with distinct logits nothing but the id order of ties and draws
    /// depends on where a token stands.
    #[test]
    fn a_permutation_permutes_the_probabilities(seed: u64, vocab in 2usize..600) {
        let mut source = Source::new(seed);
        let mut case = Case::new((0..vocab).map(|i| (i as f32 - vocab as f32) / 32.0).collect());
        case.settings = generators::settings(&mut source, vocab);
        case.settings.valid_vocab = 0;
        case.settings.no_repeat_window = 0;
        let mut order: Vec<usize> = (0..vocab).collect();
        for i in (1..vocab).rev() {
            order.swap(i, source.below(i + 1));
        }
        let mut renamed = case.clone();
        renamed.row = order.iter().map(|&from| case.row[from]).collect();
        let (first, second) = (evaluate(&case, seed), evaluate(&renamed, seed));
        prop_assert_eq!(order[second.argmax as usize] as u32, first.argmax);
        prop_assert_eq!((first.kept, first.margin.to_bits()), (second.kept, second.margin.to_bits()));
        prop_assert!((first.entropy - second.entropy).abs() <= 1e-5 * first.entropy.max(1.0));
        let probabilities = |case: &Case| {
            let mut row = case.row.clone();
            report::decoder(case, kernels(seed), Metrics::NONE).probabilities(&mut row, None).unwrap();
            row
        };
        let (before, after) = (probabilities(&case), probabilities(&renamed));
        for (to, &from) in order.iter().enumerate() {
            prop_assert!((before[from] - after[to]).abs() <= 1e-6, "token {} now {}", from, to);
        }
    }

    /// top-p alone: the kept mass reaches p, and without the last kept token it would not.
    #[test]
    fn the_nucleus_holds_p_and_no_token_more(seed: u64, p in 0.01f32..0.9999) {
        let Some((mut case, _)) = valid_case(seed) else { return Err(TestCaseError::reject("refused")) };
        case.settings = support::oracle::Settings { top_p: p, temperature: case.settings.metric_temperature(),
            seed: case.settings.seed, valid_vocab: case.settings.valid_vocab, ..Default::default() };
        let Ok(reality) = Reality::of(&case) else { return Err(TestCaseError::reject("refused")) };
        let pick = evaluate(&case, seed);
        let slack = 1e-6 + case.row.len() as f64 * 2f64.powi(-40);
        prop_assert!(f64::from(pick.kept_mass) >= f64::from(p) - slack - 1e-6, "kept mass {} of {}", pick.kept_mass, p);
        let kept = pick.kept as usize;
        if kept > 1 {
            prop_assert!(reality.kept_mass(kept - 1) < f64::from(p) + slack, "{} tokens are too many", kept);
        }
    }

    /// A single token is left to draw from: the answer is the greedy one.
    #[test]
    fn one_kept_token_is_greedy(seed: u64, way in 0usize..3) {
        let Some((mut case, _)) = valid_case(seed) else { return Err(TestCaseError::reject("refused")) };
        let settings = &mut case.settings;
        (settings.greedy, settings.min_keep, settings.top_k, settings.top_p, settings.min_p) = (false, 0, 0, 1.0, 0.0);
        settings.temperature = settings.metric_temperature();
        let mut greedy = case.clone();
        greedy.settings.greedy = true;
        match way {
            0 => case.settings.top_k = 1,
            1 => case.settings.top_p = 1e-9,
            _ => case.settings.min_p = 1.0,
        }
        let (first, second) = (evaluate(&case, seed), evaluate(&greedy, seed));
        prop_assume!(first.kept == 1 || way == 0);
        prop_assert_eq!((first.token, first.argmax, first.rank, first.kept), (second.token, second.argmax, 0, 1));
        prop_assert_eq!(first.token, first.argmax);
        for (a, b) in [(first.margin, second.margin), (first.entropy, second.entropy),
                       (first.top1_probability, second.top1_probability), (first.kept_mass, second.kept_mass)] {
            prop_assert_eq!(a.to_bits(), b.to_bits());
        }
    }

    /// Filters that cannot remove anything are not there.
    #[test]
    fn idle_filters_change_no_bit(seed: u64, extra in 0u32..1000) {
        let Some((mut case, _)) = valid_case(seed) else { return Err(TestCaseError::reject("refused")) };
        (case.settings.top_k, case.settings.top_p, case.settings.min_p) = (0, 1.0, 0.0);
        let before = evaluate(&case, seed);
        case.settings.top_k = case.row.len() as u32 + extra;
        let after = evaluate(&case, seed);
        same(&before, &after)?;
        // A mask of ones (with or without words to spare) and an empty list of bans or biases are not there either.
        let allowed = vec![u32::MAX; case.row.len().div_ceil(32) + extra as usize % 3];
        case.mask = None;
        prop_assume!(Reality::of(&case).is_ok());
        let before = evaluate(&case, seed);
        case.mask = Some(allowed);
        same(&before, &evaluate(&case, seed))?;
        (case.bias, case.bans) = (Vec::new(), Vec::new());
        prop_assume!(Reality::of(&case).is_ok());
        let before = evaluate(&case, seed);
        case.bias = vec![(0, 0.0)];
        same(&before, &evaluate(&case, seed))?;
    }

    /// A half-precision row and its f32 copy are the same row.
    #[test]
    fn half_rows_are_their_copies(seed: u64) {
        let Some((case, _)) = valid_case(seed) else { return Err(TestCaseError::reject("refused")) };
        let mask = case.mask.as_deref();
        let brain: Vec<bf16> = case.row.iter().map(|&z| bf16::from_f32(z)).collect();
        let brain_copy: Vec<f32> = brain.iter().map(|z| z.to_f32()).collect();
        let half: Vec<f16> = case.row.iter().map(|&z| f16::from_f32(z)).collect();
        let half_copy: Vec<f32> = half.iter().map(|z| z.to_f32()).collect();
        let mut decoder = report::decoder(&case, kernels(seed), Metrics::ALL);
        for (row, copy) in [(Row::Bf16(&brain), &brain_copy), (Row::F16(&half), &half_copy)] {
            match (decoder.evaluate(row, mask), decoder.evaluate(copy, mask)) {
                (Ok(a), Ok(b)) => same(&a, &b)?,
                // Rounding may have made an infinity; NaN is not equal to itself, so compare in words.
                (a, b) => prop_assert_eq!(format!("{a:?}"), format!("{b:?}")),
            }
        }
    }

    /// Masking by bitmask, by ban and by a logit of negative infinity are one thing to the distribution.
    #[test]
    fn three_ways_to_mask_are_one(seed: u64) {
        let Some((mut case, _)) = valid_case(seed) else { return Err(TestCaseError::reject("refused")) };
        (case.mask, case.bans) = (None, Vec::new());
        (case.settings.valid_vocab, case.settings.no_repeat_window) = (0, 0);
        case.bias.clear();
        case.row.iter_mut().filter(|z| z.is_nan() || **z == f32::INFINITY).for_each(|z| *z = 1.0);
        let mut source = Source::new(seed ^ 0xBA5);
        let banned: Vec<u32> = (0..30).map(|_| source.below(case.row.len()) as u32).collect();
        let (mut by_bitmask, mut by_ban, mut by_logit) = (case.clone(), case.clone(), case);
        let mut words = vec![u32::MAX; by_ban.row.len().div_ceil(32)];
        for &token in &banned {
            words[token as usize >> 5] &= !(1 << (token & 31));
            by_logit.row[token as usize] = f32::NEG_INFINITY;
        }
        by_bitmask.mask = Some(words);
        by_ban.bans = banned;
        prop_assume!(Reality::of(&by_logit).is_ok());
        let expected = evaluate(&by_logit, seed);
        same(&evaluate(&by_bitmask, seed), &expected)?;
        // A ban is an adjustment: the raw log-probability still counts the token.
        let mut by_ban = evaluate(&by_ban, seed);
        by_ban.logprob_raw = expected.logprob_raw;
        same(&by_ban, &expected)?;
    }

    /// What is asked for does not change what is picked, and what is not asked for is marked as absent.
    #[test]
    fn metrics_do_not_change_the_pick(seed: u64) {
        let Some((case, _)) = valid_case(seed) else { return Err(TestCaseError::reject("refused")) };
        let all = evaluate(&case, seed);
        let groups = [Metrics::CONFIDENCE, Metrics::LOGPROB, Metrics::LOGPROB_RAW, Metrics::RANK, Metrics::KEPT,
                      Metrics::KEPT_MASS];
        let asked = groups.iter().enumerate().filter(|(i, _)| seed >> i & 1 == 1).fold(Metrics::NONE, |m, (_, g)| m | *g);
        let pick = report::decoder(&case, kernels(seed), asked).evaluate(&case.row, case.mask.as_deref()).unwrap();
        prop_assert_eq!((pick.token, pick.argmax, pick.margin.to_bits()), (all.token, all.argmax, all.margin.to_bits()));
        let has = |group| asked.contains(group);
        prop_assert_eq!(pick.rank, if has(Metrics::RANK) { all.rank } else { u32::MAX });
        prop_assert_eq!(pick.kept, if has(Metrics::KEPT) { all.kept } else { u32::MAX });
        for (name, group, value, full) in [
            ("top1_probability", Metrics::CONFIDENCE, pick.top1_probability, all.top1_probability),
            ("entropy", Metrics::CONFIDENCE, pick.entropy, all.entropy),
            ("logprob_raw", Metrics::LOGPROB_RAW, pick.logprob_raw, all.logprob_raw),
            ("logprob", Metrics::LOGPROB, pick.logprob, all.logprob),
            ("kept_mass", Metrics::KEPT_MASS, pick.kept_mass, all.kept_mass),
        ] {
            if has(group) {
                prop_assert_eq!(value.to_bits(), full.to_bits(), "{}", name);
            } else {
                prop_assert!(value.is_nan(), "{} was not asked for and is {}", name, value);
            }
        }
    }

    /// Every filter keeps a run of the total order (typical may cut the equals at its front), at least `min_keep` tokens of it, and the pick is one of them.
    #[test]
    fn what_is_kept_is_a_run_that_holds_the_pick(seed: u64) {
        let Some((case, reality)) = filtered_case(seed) else { return Err(TestCaseError::reject("refused")) };
        let mut decoder = report::decoder(&case, kernels(seed), Metrics::ALL);
        let pick = decoder.evaluate(&case.row, case.mask.as_deref()).unwrap();
        let tokens = kept_tokens(&mut decoder, &case);
        prop_assert!(tokens.contains(&pick.token), "{} of {:?}", pick.token, tokens);
        let mut ranks: Vec<usize> = tokens.iter().map(|&token| reality.rank(token).expect("taking part")).collect();
        ranks.sort_unstable();
        let logit = |rank: usize| reality.adjusted.logits[reality.order[rank] as usize];
        for rank in ranks[0]..ranks[ranks.len() - 1] {
            prop_assert!(ranks.binary_search(&rank).is_ok() || logit(rank) == logit(ranks[0]), "a gap at {}", rank);
        }
        if !case.settings.is_greedy() && case.settings.filters.whose == Whose::Canon {
            prop_assert!(ranks.len() >= case.settings.floor().min(reality.order.len()), "{} kept", ranks.len());
        }
        let sum: f64 = { let mut row = case.row.clone(); decoder.probabilities(&mut row, case.mask.as_deref()).unwrap();
            row.iter().map(|&p| f64::from(p)).sum() };
        prop_assert!((sum - 1.0).abs() < 1e-4, "the kept have the mass {}", sum);
    }

    /// Greedy knows no filter.
    #[test]
    fn greedy_ignores_every_filter(seed: u64) {
        let Some((mut case, _)) = filtered_case(seed) else { return Err(TestCaseError::reject("refused")) };
        case.settings.greedy = true;
        case.settings.temperature = case.settings.metric_temperature();
        let filtered = evaluate(&case, seed);
        let settings = &mut case.settings;
        (settings.top_k, settings.top_p, settings.min_p) = (0, 1.0, 0.0);
        settings.filters = Filters { whose: settings.filters.whose, ..Filters::default() };
        same(&filtered, &evaluate(&case, seed))?;
    }

    /// Parameters of filters that are off change no bit.
    #[test]
    fn parameters_of_what_is_off_change_no_bit(seed: u64) {
        let Some((mut case, _)) = filtered_case(seed) else { return Err(TestCaseError::reject("refused")) };
        let before = evaluate(&case, seed);
        let filters = &mut case.settings.filters;
        if filters.xtc_probability == 0.0 {
            filters.xtc_threshold = 0.2;
        }
        if filters.dynatemp_range == 0.0 {
            filters.dynatemp_exponent = 7.0;
        }
        if filters.mirostat == 0 {
            (filters.mirostat_tau, filters.mirostat_eta) = (1.5, 0.9);
        }
        if filters.adaptive_target < 0.0 {
            (filters.adaptive_target, filters.adaptive_decay) = (-0.5, 0.1);
        }
        if filters.xtc_probability > 0.0 && filters.xtc_threshold > 0.5 {
            filters.xtc_probability = 0.0;
        }
        same(&before, &evaluate(&case, seed))?;
    }

    /// Token ids carry no meaning but to tell equals apart: other ids, the same tokens.
    #[test]
    fn filters_know_no_ids(seed: u64) {
        let Some((mut case, reality)) = filtered_case(seed) else { return Err(TestCaseError::reject("refused")) };
        let distinct = reality.order.windows(2).all(|p| case.row[p[0] as usize] != case.row[p[1] as usize]);
        prop_assume!(distinct && case.bias.is_empty() && case.bans.is_empty() && case.generated.is_empty());
        prop_assume!(case.mask.is_none() && case.settings.valid_vocab == 0);
        let mut decoder = report::decoder(&case, kernels(seed), Metrics::ALL);
        let kept = kept_tokens(&mut decoder, &case).iter().map(|&t| case.row[t as usize].to_bits()).collect::<Vec<_>>();
        case.row.reverse();
        let mut decoder = report::decoder(&case, kernels(seed), Metrics::ALL);
        let mut mirrored = kept_tokens(&mut decoder, &case).iter().map(|&t| case.row[t as usize].to_bits()).collect::<Vec<_>>();
        mirrored.reverse();
        // Float sums depend on places: a token at a boundary of theirs may fall on the other side, and where a filter's own
        // order starts at such a boundary (the nearest to the entropy), one may stand in for another.
        let allowed = 1 + kept.len() / 1000;
        let lost = kept.iter().filter(|bits| !mirrored.contains(bits)).count();
        let gained = mirrored.iter().filter(|bits| !kept.contains(bits)).count();
        prop_assert!(lost <= allowed && gained <= allowed, "{} of {} lost, {} gained", lost, kept.len(), gained);
        mirrored.retain(|bits| kept.contains(bits));
        let common = kept.iter().filter(|bits| mirrored.contains(bits)).copied().collect::<Vec<_>>();
        prop_assert_eq!(common, mirrored);
    }

    /// Whether XTC acts is a matter of seed, stream and position, not of the row.
    #[test]
    fn xtc_acts_by_its_place_alone(seed: u64, stream in 0u64..4, position in 0u64..1000) {
        let settings = oracle::Settings { seed, stream, position, ..Default::default() };
        let filters = Filters { xtc_probability: 0.5, xtc_threshold: 0.05, ..Filters::default() };
        let number = support::exact::numbers(seed, stream, position, 1).next();
        let acts = number >> 63 == 0;
        for row in [vec![1.0f32, 1.0, 0.0], vec![-3.0; 9], (0..700).map(|i| if i < 5 { 9.0 } else { 0.0 }).collect()] {
            let case = Case { settings: oracle::Settings { filters: filters.clone(), ..settings.clone() }, ..Case::new(row) };
            let mut decoder = report::decoder(&case, kernels(seed), Metrics::NONE);
            let kept = kept_tokens(&mut decoder, &case);
            prop_assert_eq!(!kept.contains(&0), acts, "{:?}", kept);
        }
    }

    /// Only differences matter to filters too: an integer shift of logits on a grid changes no bit of the distribution.
    #[test]
    fn a_shift_moves_no_filter(seed: u64, shift in -64i32..64) {
        let Some((mut case, _)) = filtered_case(seed) else { return Err(TestCaseError::reject("refused")) };
        let mut source = Source::new(seed ^ 0xF117);
        case.row.iter_mut().for_each(|value| *value = source.below(4096) as f32 / 64.0 - 32.0);
        case.bias.clear();
        prop_assume!(Reality::of(&case).is_ok());
        let ask = |case: &Case| {
            let mut decoder = report::decoder(case, kernels(seed), Metrics::ALL);
            (evaluate(case, seed), kept_tokens(&mut decoder, case))
        };
        let (before, kept) = ask(&case);
        case.row.iter_mut().for_each(|value| *value += shift as f32);
        let (after, kept_after) = ask(&case);
        // A threshold is rounded to f32 where it stands, so a tie with the grid may fall otherwise.
        prop_assert!(kept.len().abs_diff(kept_after.len()) <= 64 + kept.len() / 16);
        if kept == kept_after {
            prop_assert_eq!(before.token, after.token);
            prop_assert_eq!(before.entropy.to_bits(), after.entropy.to_bits());
            prop_assert_eq!(before.logprob.to_bits(), after.logprob.to_bits());
        }
    }

    /// A batch is its rows one by one, however it is cut.
    #[test]
    fn a_batch_may_be_cut_anywhere(seed: u64, rows in 1usize..9, cut in 0usize..9) {
        let mut source = Source::new(seed);
        let vocab = source.pick(&[1, 63, 64, 130, 1025]);
        let cases: Vec<Case> = (0..rows).map(|_| {
            let (shape, kind) = (source.pick(&SHAPES), source.pick(&MASKS));
            let mut case = generators::case(&mut source, shape, vocab, kind);
            if source.chance(0.2) {
                case.row[source.below(vocab)] = f32::NAN;
            }
            case
        }).collect();
        let decoders = || cases.iter().map(|c| report::decoder(c, kernels(seed), Metrics::ALL)).collect::<Vec<_>>();
        let views: Vec<Row> = cases.iter().map(|c| Row::from(&c.row)).collect();
        let masks: Vec<Option<&[u32]>> = cases.iter().map(|c| c.mask.as_deref()).collect();
        let blank = || vec![Err(argpick::Error::EverythingMasked); rows];
        let (mut whole, mut parts, mut single) = (blank(), blank(), blank());
        decode_batch(&mut decoders(), &views, &masks, &mut whole).unwrap();
        let cut = cut.min(rows);
        let mut split = decoders();
        let (left, right) = split.split_at_mut(cut);
        decode_batch(left, &views[..cut], &masks[..cut], &mut parts[..cut]).unwrap();
        decode_batch(right, &views[cut..], &masks[cut..], &mut parts[cut..]).unwrap();
        for (i, decoder) in decoders().iter_mut().enumerate() {
            single[i] = decoder.decode(views[i], masks[i]);
        }
        for i in 0..rows {
            for other in [&parts[i], &single[i]] {
                match (&whole[i], other) {
                    (Ok(a), Ok(b)) => same(a, b)?,
                    (a, b) => prop_assert_eq!(format!("{a:?}"), format!("{b:?}"), "row {}", i),
                }
            }
        }
    }

    /// Undoing, replaying, accepting what another decoder picked, and seeking all lead to the same tokens.
    #[test]
    fn a_sequence_can_be_replayed(seed: u64, steps in 1usize..12, back in 0usize..12) {
        let mut source = Source::new(seed);
        let vocab = source.pick(&[20, 64, 200, 1025]);
        let mut settings = generators::settings(&mut source, vocab);
        (settings.valid_vocab, settings.position) = (0, 0);
        let shape = source.pick(&[Shape::Normal, Shape::Flat, Shape::Zipf, Shape::Ties]);
        let rows: Vec<Vec<f32>> = (0..steps).map(|_| generators::row(&mut source, shape, vocab)).collect();
        let case = Case { settings: settings.clone(), ..Case::new(rows[0].clone()) };
        let fresh = || report::decoder(&case, kernels(seed), Metrics::ALL);
        let mut decoder = fresh();
        let picks: Vec<Pick> = rows.iter().map(|row| decoder.decode(row, None).unwrap()).collect();
        let tokens: Vec<u32> = picks.iter().map(|pick| pick.token).collect();
        let from = steps - back.min(steps);

        decoder.undo(steps - from).unwrap();
        prop_assert_eq!(decoder.position(), from as u64);
        for step in from..steps {
            same(&decoder.decode(&rows[step], None).unwrap(), &picks[step])?;
        }
        let mut told = fresh();
        told.accept(&tokens[..from]).unwrap();
        for step in from..steps {
            same(&told.decode(&rows[step], None).unwrap(), &picks[step])?;
        }
        decoder.reset(None).unwrap();
        prop_assert_eq!(decoder.position(), 0);
        for step in 0..steps {
            same(&decoder.decode(&rows[step], None).unwrap(), &picks[step])?;
        }
        // Without rules over the history a step is its position and its row alone.
        if settings.no_repeat_window == 0 {
            let mut alone = fresh();
            for step in (0..steps).rev() {
                alone.seek(step as u64);
                same(&alone.evaluate(&rows[step], None).unwrap(), &picks[step])?;
            }
        }
    }

    /// A prompt is not generated text: it moves no position and changes no draw.
    #[test]
    fn a_prompt_does_not_move_the_position(seed: u64) {
        let mut source = Source::new(seed);
        let row = generators::row(&mut source, Shape::Normal, 200);
        let config = Config { seed, mode: Mode::Sample, metrics: Metrics::ALL, ..Config::default() };
        let (mut with, mut without) = (Decoder::new(&config, 200).unwrap(), Decoder::new(&config, 200).unwrap());
        with.prompt(&[1, 2, 3]).unwrap();
        prop_assert_eq!(with.position(), 0);
        same(&with.decode(&row, None).unwrap(), &without.decode(&row, None).unwrap())?;
    }
}

/// The no-repeat window holds the last generated tokens, no more, no less, and none of the prompt, also when the history
/// is no longer than the window.
#[test]
fn the_window_slides_over_generated_tokens_only() {
    let row: Vec<f32> = (0..100).map(|token| -(token as f32)).collect();
    for (window, history_capacity) in [(1, 0), (2, 2), (3, 5), (7, 7), (64, 64), (64, 4096)] {
        let config = Config { mode: Mode::Greedy, no_repeat_window: window, history_capacity, ..Config::default() };
        let mut decoder = Decoder::new(&config, row.len()).unwrap();
        decoder.prompt(&[0, 1, 2, 0, 1]).unwrap();
        for step in 0..200 {
            // The best tokens in turn: as many as the window holds, and one more.
            let expected = step % (window + 1);
            assert_eq!(decoder.decode(&row, None).unwrap().token, expected, "window {window}, step {step}");
        }
    }
}

/// The whole range of half values, one row each: widening is exact for every finite one.
#[test]
fn every_half_value_is_widened_exactly() {
    for kernels in report::levels("half_values") {
        let config = Config { mode: Mode::Greedy, ..Config::default() };
        let level = kernels.level().name();
        for high in 0..=255u16 {
            let bits: Vec<u16> = (0..=255u16).map(|low| high << 8 | low).collect();
            let mut decoder = Decoder::new_with_kernels(&config, bits.len(), kernels).unwrap();
            let half: Vec<f16> = bits.iter().map(|&b| f16::from_bits(b)).collect();
            let brain: Vec<bf16> = bits.iter().map(|&b| bf16::from_bits(b)).collect();
            for (row, values) in [
                (Row::F16(&half), half.iter().map(|v| v.to_f32()).collect::<Vec<f32>>()),
                (Row::Bf16(&brain), brain.iter().map(|v| v.to_f32()).collect()),
            ] {
                let (a, b) = (decoder.evaluate(row, None), decoder.evaluate(&values, None));
                assert_eq!(format!("{a:?}"), format!("{b:?}"), "{level}: values {high:#04x}00 to {high:#04x}ff");
            }
        }
    }
}
