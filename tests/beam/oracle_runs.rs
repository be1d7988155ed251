//! Random searches beside the judge, step by step: beams, scores, hypotheses.

use super::oracle::{Early, Rules, Search, Settings};
use super::tables::{Host, levels, recipe, word};
use argpick::{BeamConfig, EarlyStopping, Error, Finish, Profile, Row};

/// Decisions nearer than this are left to rounding.
const GAP: f64 = 2e-5;

struct Numbers(u64, u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.1 += 1;
        ((u128::from(word(self.0, self.1)) * bound as u128) >> 64) as usize
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

fn settings(numbers: &mut Numbers, vocab: usize) -> Settings {
    let rules = numbers.pick(&[Rules::Canon, Rules::Canon, Rules::HuggingFace, Rules::Vllm]);
    let canon = rules == Rules::Canon;
    let beams = numbers.pick(&[1usize, 2, 3, 4, 6, 8, 12]);
    let divisors: Vec<usize> = (1..=beams).filter(|&g| beams.is_multiple_of(g)).collect();
    let groups = if canon && numbers.below(3) == 0 { numbers.pick(&divisors) } else { 1 };
    let mut end_tokens: Vec<u32> = vec![];
    for _ in 0..numbers.pick(&[0, 1, 1, 2, 5]) {
        let token = numbers.below(vocab) as u32;
        if !end_tokens.contains(&token) {
            end_tokens.push(token);
        }
    }
    let max_tokens = 1 + numbers.below(9);
    Settings {
        rules,
        beams,
        groups,
        diversity: if groups > 1 { numbers.pick(&[0.0, 0.3, 1.5, 40.0]) } else { 0.0 },
        length_penalty: numbers.pick(&[0.0, 1.0, 0.5, 2.0, -0.75]),
        early: match rules {
            Rules::Vllm => Early::Never,
            _ => numbers.pick(&[Early::Never, Early::Heuristic, Early::Full]),
        },
        temperature: if canon { numbers.pick(&[1.0, 1.0, 0.5, 2.0]) } else { 1.0 },
        min_tokens: if numbers.below(4) == 0 { numbers.below(max_tokens + 1) } else { 0 },
        max_tokens,
        valid: if numbers.below(4) == 0 { 1 + numbers.below(vocab) } else { vocab },
        end_tokens,
    }
}

#[test]
fn a_search_is_what_the_judge_says() {
    let levels = levels();
    let (mut steps, mut whole, mut left_out) = (0, 0, 0);
    for seed in 0..700u64 {
        let mut numbers = Numbers(seed, 0);
        let vocab = numbers.pick(&[2, 5, 17, 64, 65, 300, 1100, 5000]);
        let kind = numbers.pick(&["normal", "normal", "peaked", "flat", "bf16", "ties"]);
        let settings = settings(&mut numbers, vocab);
        let is_masked = numbers.below(3) == 0;
        let holes = numbers.below(3) == 0;
        let key = |tokens: &[u32]| tokens.iter().fold(word(seed, 7), |key, &token| word(key, u64::from(token)));
        let row_of = |tokens: &[u32]| {
            let mut row = recipe(kind, key(tokens), vocab);
            for &end in &settings.end_tokens {
                row[end as usize] += 2.0;
            }
            if holes {
                row[key(tokens) as usize % vocab] = f32::NEG_INFINITY;
            }
            row
        };
        let allowed = |tokens: &[u32], token: u32| {
            !is_masked || !word(key(tokens), u64::from(token) + 99).is_multiple_of(4) || token as usize == vocab / 2
        };
        let mask_of = |tokens: &[u32]| {
            let mut words = vec![0u32; vocab.div_ceil(32)];
            for token in (0..vocab as u32).filter(|&token| allowed(tokens, token)) {
                words[token as usize / 32] |= 1 << (token % 32);
            }
            is_masked.then_some(words)
        };
        let config = BeamConfig {
            profile: match settings.rules {
                Rules::Canon => Profile::Canon,
                Rules::HuggingFace => Profile::HuggingFace,
                Rules::Vllm => Profile::Vllm,
            },
            beams: settings.beams as u32,
            groups: settings.groups as u32,
            diversity_penalty: settings.diversity as f32,
            length_penalty: settings.length_penalty as f32,
            early_stopping: match settings.early {
                Early::Never | Early::Off => EarlyStopping::Never,
                Early::Heuristic => EarlyStopping::Heuristic,
                Early::Full => EarlyStopping::Full,
            },
            temperature: settings.temperature as f32,
            min_tokens: settings.min_tokens as u32,
            max_tokens: settings.max_tokens as u32,
            n_best: 0,
            valid_vocab: if settings.valid == vocab { 0 } else { settings.valid as u32 },
            end_tokens: &settings.end_tokens,
        };
        let settings = Settings { diversity: f64::from(config.diversity_penalty), ..settings.clone() };
        let mut judge = Search::new(settings.clone());
        let mut host = Host::new(&config, vocab, levels[seed as usize % levels.len()]);
        let context = || format!("seed {seed}, vocabulary {vocab}, {kind}, {settings:?}");
        loop {
            judge.step(&row_of, &allowed);
            if judge.nearest < GAP {
                left_out += 1;
                break;
            }
            if judge.live().is_empty() && judge.told().is_empty() {
                // Everything is masked: the judge has nothing, the search refuses.
                let rows: Vec<Vec<f32>> = host.beams.iter().map(|tokens| row_of(tokens)).collect();
                let rows: Vec<Row<'_>> = rows.iter().map(Row::from).collect();
                let masks: Vec<Option<Vec<u32>>> = host.beams.iter().map(|tokens| mask_of(tokens)).collect();
                let masks: Vec<Option<&[u32]>> = masks.iter().map(Option::as_deref).collect();
                let refused = host.search.step(&rows, &masks, &mut host.next);
                assert_eq!(refused, Err(Error::EverythingMasked), "{}", context());
                break;
            }
            host.step(row_of, mask_of);
            steps += 1;
            assert_eq!(host.beams, judge.live(), "{}", context());
            for (beam, score) in judge.scores().iter().enumerate() {
                let found = host.search.beam_score(beam).expect("a beam");
                assert!((found - score).abs() < 1e-5 * score.abs().max(1.0), "{found} {score}: {}", context());
                let mut tokens = vec![0; host.search.length() as usize];
                assert_eq!(host.search.beam_tokens(beam, &mut tokens), Ok(tokens.len()));
                assert_eq!(tokens, host.beams[beam]);
            }
            let (told, expected) = (host.told(), judge.told());
            assert_eq!(told.len(), expected.len(), "{}", context());
            for ((tokens, told), expected) in told.iter().zip(&expected) {
                assert_eq!(*tokens, expected.tokens, "{}", context());
                let near = |a: f64, b: f64| (a - b).abs() < 1e-5 * b.abs().max(1.0);
                assert!(near(told.score, expected.score) && near(told.logprob, expected.logprob), "{}", context());
                assert_eq!(told.finish == Finish::EndToken, expected.by_end_token, "{}", context());
            }
            if host.search.is_finished() {
                whole += 1;
                break;
            }
        }
    }
    println!("{whole} whole searches, {steps} steps; {left_out} left out where rounding decides");
    assert!(whole > 350 && steps > 1_500, "{whole} whole searches, {steps} steps, {left_out} left out");
}
