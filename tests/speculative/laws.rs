//! What holds by law: greedy and matched verification are plain decoding, the bonus token is that of a step, the decoders
//! end where plain ones would.

use super::support::generators::{self, Shape, Source};
use super::support::report;
use argpick::{
    Acceptance, Config, Decoder, DraftModel, Drafts, Finish, Metrics, Mirostat, Mode, Pick, ROOT, Row, Verified, verify,
};

const VOCAB: usize = 90;

/// The row after a token at a depth: a model made of arithmetic.
fn row_after(salt: u64, depth: u64, token: u32) -> Vec<f32> {
    let mut source = Source::new(salt ^ depth << 32 ^ u64::from(token) << 8);
    generators::row(&mut source, Shape::Peaked, VOCAB).iter().map(|z| z * 0.5).collect()
}

/// A decoder after a prompt, with the lists that its name asks for.
fn decoder(name: &str, config: &Config) -> Decoder {
    let mut decoder = Decoder::new(config, VOCAB).unwrap();
    if name == "lists" {
        decoder.set_bad_sequences(&[&[3], &[5, 6]]).unwrap();
        decoder.set_sequence_bias(&[(&[8], -1.0), (&[9, 10], 2.0)]).unwrap();
        decoder.set_forced(&[(4, 30), (11, 31)]).unwrap();
    }
    if name == "end tokens" {
        // So that it ends now and then among the drafts: a tenth of the vocabulary, and a stop sequence.
        decoder.set_end_tokens(&[1, 11, 21, 31, 41, 51, 61, 71, 81]).unwrap();
        decoder.set_stops(&[&[2, 3], &[40]]).unwrap();
    }
    decoder.prompt(&[7]).unwrap();
    decoder
}

/// Decodes token by token.
fn plain(name: &str, config: &Config, salt: u64, count: usize) -> Vec<Pick> {
    let mut decoder = decoder(name, config);
    let mut picks: Vec<Pick> = Vec::new();
    while picks.len() < count && picks.last().is_none_or(|pick| pick.finish == Finish::None) {
        let before = picks.last().map_or(7, |pick| pick.token);
        picks.push(decoder.decode(&row_after(salt, picks.len() as u64, before), None).unwrap());
    }
    picks
}

/// Decodes with drafts that are right with some probability, as chains or as trees.
fn ahead(
    name: &str,
    config: &Config,
    salt: u64,
    count: usize,
    acceptance: Acceptance,
    is_tree: bool,
    truth: &[Pick],
) -> (Vec<Pick>, usize) {
    let mut decoder = decoder(name, config);
    let mut source = Source::new(salt + 1);
    let (mut picks, mut accepted): (Vec<Pick>, usize) = (Vec::new(), 0);
    while picks.len() < count && picks.last().is_none_or(|pick| pick.finish == Finish::None) {
        let (mut tokens, mut parents, mut depths) = (Vec::new(), Vec::new(), Vec::new());
        for node in 0..source.below(7) as u32 {
            let parent = match (is_tree, node) {
                (_, 0) => ROOT,
                (false, _) => node - 1,
                (true, _) => (source.below(node as usize + 1) as u32).wrapping_sub(1),
            };
            let depth = if parent == ROOT { 0 } else { depths[parent as usize] + 1 };
            let right = truth.get(picks.len() + depth).map_or(0, |pick| pick.token);
            tokens.push(if source.chance(0.7) { right } else { source.below(VOCAB) as u32 });
            parents.push(parent);
            depths.push(depth);
        }
        let before = picks.last().map_or(7, |pick| pick.token);
        let mut rows = vec![row_after(salt, picks.len() as u64, before)];
        for (token, depth) in tokens.iter().zip(&depths) {
            rows.push(row_after(salt, (picks.len() + depth + 1) as u64, *token));
        }
        let rows: Vec<Row<'_>> = rows.iter().map(Row::from).collect();
        let parents = if is_tree { &parents[..] } else { &[] };
        let drafts = Drafts { tokens: &tokens, parents, rows: &rows, masks: &[], acceptance };
        let mut written = [Pick::default(); 8];
        let verified = verify(&mut decoder, &drafts, None, &mut written).unwrap();
        assert_eq!(verified.finish, written[verified.emitted - 1].finish);
        picks.extend(&written[..verified.emitted]);
        accepted += verified.accepted;
    }
    (picks, accepted)
}

/// Every field, the ones that the shared report does not name included.
fn same(a: &Pick, b: &Pick) -> bool {
    format!("{a:?}") == format!("{b:?}") && report::first_difference(a, b).is_none()
}

fn configs() -> Vec<(&'static str, Config)> {
    let base = Config { seed: 5, stream: 2, metrics: Metrics::ALL, ..Config::default() };
    vec![
        ("plain", base.clone()),
        ("lone nucleus", Config { top_p: 0.9, metrics: Metrics::NONE, ..base.clone() }),
        ("top-k", Config { top_k: 9, temperature: 1.3, ..base.clone() }),
        ("xtc", Config { top_k: 30, xtc_probability: 0.5, xtc_threshold: 0.05, ..base.clone() }),
        ("typical", Config { typical_p: 0.7, ..base.clone() }),
        ("dynamic temperature", Config { dynatemp_range: 0.5, ..base.clone() }),
        ("mirostat 1", Config { mirostat: Mirostat::One, ..base.clone() }),
        ("mirostat 2", Config { mirostat: Mirostat::Two, mirostat_tau: 3.0, ..base.clone() }),
        ("adaptive-p", Config { adaptive_target: 0.3, min_p: 0.01, ..base.clone() }),
        (
            "penalties",
            Config { repetition_penalty: 1.3, frequency_penalty: 0.3, presence_penalty: 0.2, ..base.clone() },
        ),
        ("dry", Config { dry_multiplier: 0.9, no_repeat_ngram: 3, top_k: 6, ..base.clone() }),
        ("lists", base.clone()),
        ("end tokens", Config { min_tokens: 12, ..base.clone() }),
        ("loops", Config { loop_repeats: 3, loop_period: 6, top_k: 3, ..base.clone() }),
        ("no repeats", Config { no_repeat_window: 5, top_k: 20, ..base.clone() }),
        ("an end", Config { max_tokens: 23, ..base.clone() }),
        ("a short history", Config { no_repeat_window: 3, history_capacity: 11, ..base }),
    ]
}

#[test]
fn matched_tokens_are_those_of_plain_decoding_bit_for_bit() {
    for (name, config) in configs() {
        for is_tree in [false, true] {
            for salt in [100, 200] {
                let truth = plain(name, &config, salt, 60);
                let (picks, accepted) = ahead(name, &config, salt, 40, Acceptance::Match, is_tree, &truth);
                assert!(accepted > 4, "{name}: {accepted} drafts stood");
                for (i, (a, b)) in truth.iter().zip(&picks).enumerate() {
                    assert!(same(a, b), "{name}, tree {is_tree}, step {i}:\n{a:?}\n{b:?}");
                }
                assert!(picks.len() >= 40.min(truth.len()), "{name}: {} of {}", picks.len(), truth.len());
            }
        }
    }
}

#[test]
fn greedy_tokens_are_those_of_plain_greedy_decoding() {
    for (name, config) in configs() {
        let config = Config { mode: Mode::Greedy, ..config };
        for acceptance in [Acceptance::Match, Acceptance::Certain, Acceptance::Drawn, Acceptance::WithoutReplacement] {
            for is_tree in [false, true] {
                let truth = plain(name, &config, 300, 60);
                let (picks, accepted) = ahead(name, &config, 300, 40, acceptance, is_tree, &truth);
                assert!(accepted > 4, "{name}: {accepted} drafts stood");
                for (i, (a, b)) in truth.iter().zip(&picks).enumerate() {
                    assert!(same(a, b), "{name}, {acceptance:?}, step {i}:\n{a:?}\n{b:?}");
                }
            }
        }
    }
}

/// A target and a draft model that are the same: every draft stands, and the bonus token is that of a step.
#[test]
fn drafts_of_the_target_itself_all_stand_and_the_bonus_is_a_step() {
    for (name, config) in configs().into_iter().filter(|(name, _)| !["an end", "loops"].contains(name)) {
        let draft_config = Config { seed: 77, ..config.clone() };
        let (mut target, mut drafter) =
            (Decoder::new(&config, VOCAB).unwrap(), Decoder::new(&draft_config, VOCAB).unwrap());
        for decoder in [&mut target, &mut drafter] {
            decoder.prompt(&[7]).unwrap();
        }
        // The random part of XTC is the draft's own: then p and q are not alike.
        if name == "xtc" {
            continue;
        }
        let mut before = 7;
        // Of a bonus token only the target learns; after it the two are not alike any more.
        let learns = config.mirostat != Mirostat::Off || config.adaptive_target >= 0.0;
        for round in 0..if learns { 1 } else { 6 } {
            let mut probe = drafter.clone();
            let (mut tokens, mut rows) = (Vec::new(), vec![row_after(1, round, before)]);
            for i in 0..4 {
                let token = probe.decode(&rows[i], None).unwrap().token;
                tokens.push(token);
                rows.push(row_after(1, round * 10 + i as u64, token));
            }
            let mut bonus = target.clone();
            for (token, row) in tokens.iter().zip(&rows) {
                // As if they had been picked: what the decoder learns from its picks, it learns.
                let mut twin = Decoder::new(&config, VOCAB).unwrap();
                std::mem::swap(&mut twin, &mut bonus);
                bonus = chosen(twin, row, *token);
            }
            let expected = bonus.decode(&rows[4], None).unwrap();
            let rows: Vec<Row<'_>> = rows.iter().map(Row::from).collect();
            let drafts =
                Drafts { tokens: &tokens, parents: &[], rows: &rows, masks: &[], acceptance: Acceptance::Drawn };
            let mut picks = [Pick::default(); 5];
            let model = DraftModel { decoder: &mut drafter, rows: &rows, masks: &[] };
            let verified = verify(&mut target, &drafts, Some(model), &mut picks).unwrap();
            let all = Verified { accepted: 4, emitted: 5, node: Some(3), finish: Finish::None };
            assert_eq!(verified, all, "{name}, round {round}");
            assert_eq!(picks[4].token, expected.token, "{name}");
            assert!(same(&picks[4], &expected), "{name}:\n{:?}\n{expected:?}", picks[4]);
            before = picks[4].token;
        }
    }
}

/// The decoder after a step that happened to draw this token: another seed is found under which a step does.
fn chosen(decoder: Decoder, row: &[f32], token: u32) -> Decoder {
    let position = decoder.position();
    for offset in 0..2_000_000 {
        let mut twin = decoder.clone();
        twin.seek(position.wrapping_add(offset << 32));
        if twin.evaluate(row, None).unwrap().token == token {
            twin.decode(row, None).unwrap();
            twin.seek(position + 1);
            return twin;
        }
    }
    panic!("token {token} is never drawn");
}

/// A limit that is reached among the drafts: no token comes after it.
#[test]
fn a_sequence_may_end_with_a_draft() {
    let config = Config { temperature: 0.0, max_tokens: 3, ..Config::default() };
    let mut decoder = Decoder::new(&config, 4).unwrap();
    let rows: Vec<Vec<f32>> =
        (0..5).map(|i| (0..4).map(|token| f32::from(u8::from(token == i % 4))).collect()).collect();
    let rows: Vec<Row<'_>> = rows.iter().map(Row::from).collect();
    let drafts = Drafts { tokens: &[0, 1, 2, 3], parents: &[], rows: &rows, masks: &[], acceptance: Acceptance::Match };
    let mut picks = [Pick::default(); 5];
    let verified = verify(&mut decoder, &drafts, None, &mut picks).unwrap();
    assert_eq!(verified, Verified { accepted: 3, emitted: 3, node: Some(2), finish: Finish::Length });
    assert_eq!(picks[2].finish, Finish::Length);
    let mut again = [Pick::default(); 5];
    assert_eq!(verify(&mut decoder, &drafts, None, &mut again), Err(argpick::Error::Finished));
}

/// No drafts: a plain step.
#[test]
fn no_drafts_are_a_plain_step() {
    let config = Config { seed: 3, ..Config::default() };
    let (mut decoder, mut twin) = (Decoder::new(&config, VOCAB).unwrap(), Decoder::new(&config, VOCAB).unwrap());
    for step in 0..20 {
        let row = row_after(8, step, 0);
        let drafts = Drafts {
            tokens: &[],
            parents: &[],
            rows: &[Row::from(&row)],
            masks: &[],
            acceptance: Acceptance::WithoutReplacement,
        };
        let mut picks = [Pick::default()];
        let verified = verify(&mut decoder, &drafts, None, &mut picks).unwrap();
        assert_eq!((verified.accepted, verified.emitted, verified.node), (0, 1, None));
        assert!(same(&picks[0], &twin.decode(&row, None).unwrap()));
    }
}

/// The draft model's decoder goes along whatever the drafts were.
#[test]
fn the_draft_decoder_records_what_the_target_does() {
    let config = Config { seed: 3, top_k: 8, ..Config::default() };
    let mut source = Source::new(4);
    for acceptance in [Acceptance::Match, Acceptance::Certain, Acceptance::Drawn] {
        let (mut target, mut drafter) =
            (Decoder::new(&config, VOCAB).unwrap(), Decoder::new(&config, VOCAB + 9).unwrap());
        for round in 0..30 {
            let token = source.below(4) as u32;
            let rows = [row_after(1, round, 0), row_after(2, round, token)];
            let mut wide = rows[0].clone();
            wide.extend([-1.0; 9]);
            wide[..4].fill(9.0);
            let rows = [Row::from(&rows[0]), Row::from(&rows[1])];
            let drafts = Drafts { tokens: &[token], parents: &[], rows: &rows, masks: &[], acceptance };
            let mut picks = [Pick::default(); 2];
            let model = DraftModel { decoder: &mut drafter, rows: &[Row::from(&wide)], masks: &[] };
            verify(&mut target, &drafts, Some(model), &mut picks).unwrap();
            assert_eq!(target.position(), drafter.position());
        }
        let bytes = |decoder: &mut Decoder| {
            let mut bytes = vec![0; decoder.saved_size()];
            decoder.save(&mut bytes).unwrap();
            bytes
        };
        // The tokens held are the same; they stand at the end of both.
        let (a, b) = (bytes(&mut target), bytes(&mut drafter));
        let count = 4 * target.position() as usize;
        assert_eq!(a[a.len() - count..], b[b.len() - count..]);
    }
}
