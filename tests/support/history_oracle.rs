//! The naive history: every token ever recorded, and each rule by looking at all of them again, in real arithmetic.
//!
//! It shares no code with the engine and keeps nothing incrementally: no counts, no chains, no runs. Rules are those of
//! the page on the history.

use argpick::{Config, PenaltyScope, Profile};

/// A token and whether it belongs to a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub token: u32,
    pub prompt: bool,
}

/// A sequence as it was recorded, and everything that was set.
#[derive(Clone, Debug)]
pub struct Naive {
    pub config: Config,
    pub vocab: usize,
    pub entries: Vec<Entry>,
    pub biases: Vec<(u32, f32)>,
    pub bans: Vec<u32>,
    pub end_tokens: Vec<u32>,
    pub forced: Vec<(u64, u32)>,
    pub stops: Vec<Vec<u32>>,
    pub breakers: Vec<Vec<u32>>,
    pub bad: Vec<Vec<u32>>,
    pub biased: Vec<(Vec<u32>, f32)>,
    pub strings: Vec<Vec<u8>>,
    /// The pieces of the text since its beginning.
    pub pieces: Vec<Piece>,
}

/// Bytes that were handed over.
#[derive(Clone, Debug)]
pub struct Piece {
    /// How many tokens were recorded then.
    pub entries: usize,
    pub bytes: Vec<u8>,
    /// Whether a stop string that ends in it counts.
    pub counts: bool,
}

/// An adjusted logit: its value in real arithmetic and how large the numbers were that it was made of.
#[derive(Clone, Copy, Debug)]
pub struct Adjusted {
    pub value: f64,
    pub magnitude: f64,
}

/// Why a sequence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    No,
    Length,
    Token,
    Stop,
    Loop,
}

impl Naive {
    pub fn new(config: &Config, vocab: usize) -> Naive {
        Naive {
            config: config.clone(),
            vocab,
            entries: Vec::new(),
            biases: Vec::new(),
            bans: Vec::new(),
            end_tokens: Vec::new(),
            forced: Vec::new(),
            stops: Vec::new(),
            breakers: Vec::new(),
            bad: Vec::new(),
            biased: Vec::new(),
            strings: Vec::new(),
            pieces: Vec::new(),
        }
    }

    pub fn capacity(&self) -> usize {
        if self.config.history_capacity == 0 { 4096 } else { self.config.history_capacity as usize }
    }

    fn window_of(&self, asked: u32) -> usize {
        if asked == 0 { self.capacity() } else { asked as usize }
    }

    /// The newest so many entries, oldest first.
    fn newest(&self, count: usize) -> &[Entry] {
        &self.entries[self.entries.len().saturating_sub(count)..]
    }

    fn tokens(&self, count: usize) -> Vec<u32> {
        self.newest(count).iter().map(|entry| entry.token).collect()
    }

    pub fn generated(&self) -> u64 {
        self.entries.iter().filter(|entry| !entry.prompt).count() as u64
    }

    /// Generated tokens since the last one of a prompt.
    pub fn run(&self) -> usize {
        self.entries.iter().rev().take_while(|entry| !entry.prompt).count()
    }

    /// The row after all adjustments, -inf where masked.
    pub fn adjust(&self, row: &[f32]) -> Vec<Adjusted> {
        (0..self.vocab as u32).map(|token| self.adjust_one(token, row[token as usize])).collect()
    }

    fn adjust_one(&self, token: u32, given: f32) -> Adjusted {
        let masked = Adjusted { value: f64::NEG_INFINITY, magnitude: 1.0 };
        let n = self.generated();
        if let Some(&(_, forced)) = self.forced.iter().find(|(position, _)| *position == n) {
            return if forced == token { Adjusted { value: given.into(), magnitude: 0.0 } } else { masked };
        }
        if self.is_masked(token) {
            return masked;
        }
        let mut logit = Adjusted { value: given.into(), magnitude: f64::from(given).abs() };
        if self.config.profile == Profile::Canon {
            self.penalise(token, &mut logit);
            self.add_bias(token, &mut logit);
        } else {
            self.add_bias(token, &mut logit);
            self.penalise(token, &mut logit);
        }
        let start = u64::from(self.config.length_decay_start);
        if self.end_tokens.contains(&token) && n > start {
            // What was lost before grows by the same factor.
            let share = f64::from(self.config.length_decay_factor).powi((n - start) as i32) - 1.0;
            logit.value += logit.value.abs() * share;
            logit.magnitude *= 1.0 + share.abs();
        }
        logit
    }

    fn is_masked(&self, token: u32) -> bool {
        let config = &self.config;
        let is_end = self.end_tokens.contains(&token);
        if self.bans.contains(&token) || (is_end && self.generated() < config.min_tokens.into()) {
            return true;
        }
        let recent = self.newest(config.no_repeat_window as usize);
        if recent.iter().any(|entry| !entry.prompt && entry.token == token) {
            return true;
        }
        let history = self.tokens(self.capacity());
        let n = config.no_repeat_ngram as usize;
        if n > 0 && history.len() + 1 >= n {
            let mut gram = history[history.len() + 1 - n..].to_vec();
            gram.push(token);
            if history.windows(n).any(|before| before == gram) {
                return true;
            }
        }
        let spared = config.profile == Profile::HuggingFace && is_end;
        let place =
            if config.profile == Profile::Vllm { self.tokens(self.run().min(self.capacity())) } else { history };
        self.bad.iter().any(|bad| {
            let (last, before) = bad.split_last().expect("a sequence has a token");
            *last == token && place.ends_with(before) && !(before.is_empty() && spared)
        })
    }

    fn penalise(&self, token: u32, logit: &mut Adjusted) {
        let config = &self.config;
        let seen = self.newest(self.window_of(config.penalty_window));
        let all = seen.iter().filter(|entry| entry.token == token).count();
        let generated = seen.iter().filter(|entry| entry.token == token && !entry.prompt).count();
        let only_generated = config.penalty_scope == PenaltyScope::Generated;
        let repeated = if only_generated { generated } else { all };
        let counted = if only_generated || config.profile == Profile::Vllm { generated } else { all };
        if repeated > 0 {
            let theta = f64::from(config.repetition_penalty);
            logit.value = if logit.value > 0.0 { logit.value / theta } else { logit.value * theta };
            logit.magnitude = logit.magnitude.max(logit.value.abs()) * theta.max(1.0 / theta);
        }
        if counted > 0 {
            let sum = counted as f64 * f64::from(config.frequency_penalty) + f64::from(config.presence_penalty);
            logit.value -= sum;
            logit.magnitude +=
                counted as f64 * f64::from(config.frequency_penalty.abs()) + f64::from(config.presence_penalty.abs());
        }
        if config.dry_multiplier > 0.0
            && let Some(n) = self.repetition(token)
        {
            let base = f64::from(config.dry_base);
            let most = if config.dry_base > 1.000_001 { (88.722_839_1 / base.ln()) as usize } else { usize::MAX };
            let exponent = (n - config.dry_allowed_length as usize).min(most);
            let penalty = f64::from(config.dry_multiplier) * base.powi(exponent as i32);
            logit.value -= penalty;
            logit.magnitude += penalty;
        }
    }

    /// DRY's n, if it is long enough to matter.
    pub fn repetition(&self, token: u32) -> Option<usize> {
        let allowed = self.config.dry_allowed_length as usize;
        let history = self.tokens(self.window_of(self.config.dry_window));
        let whole = self.tokens(self.capacity());
        if history.len() <= allowed || self.breakers.iter().any(|breaker| breaker[..] == [token]) {
            return None;
        }
        // From the end backwards: the first place where a breaker begins, and the longest one there.
        let mut limit = history.len();
        for begin in (whole.len() - history.len()..whole.len()).rev() {
            let there = self.breakers.iter().filter(|breaker| whole[begin..].starts_with(breaker));
            if let Some(length) = there.map(Vec::len).max() {
                limit = whole.len() - begin - length;
                break;
            }
        }
        if limit < allowed {
            return None;
        }
        let common = |end: usize| {
            let pairs = history[..end].iter().rev().zip(history.iter().rev());
            pairs.take_while(|(a, b)| a == b).count().min(limit)
        };
        let followed = (1..history.len()).filter(|&at| history[at] == token);
        followed.map(common).max().filter(|&n| n >= allowed)
    }

    fn add_bias(&self, token: u32, logit: &mut Adjusted) {
        let vllm = self.config.profile == Profile::Vllm;
        let own = self.biases.iter().filter(|(biased, _)| *biased == token).map(|&(_, bias)| f64::from(bias));
        let own = own.map(|bias| if vllm { bias.clamp(-100.0, 100.0) } else { bias });
        let history = self.tokens(self.capacity());
        let of_sequences = self.biased.iter().filter(|(sequence, _)| {
            let (last, before) = sequence.split_last().expect("a sequence has a token");
            *last == token && history.ends_with(before)
        });
        for bias in own.chain(of_sequences.map(|&(_, bias)| f64::from(bias))) {
            logit.value += bias;
            logit.magnitude += bias.abs();
        }
    }

    /// What recording `token` as a generated one would mean.
    pub fn end_with(&self, token: u32) -> End {
        let mut next = self.clone();
        next.entries.push(Entry { token, prompt: false });
        let config = &self.config;
        let held_off = config.profile != Profile::HuggingFace && next.generated() < config.min_tokens.into();
        if !held_off && self.end_tokens.contains(&token) {
            return End::Token;
        }
        let said = next.tokens(next.run().min(self.capacity() + 1));
        if !held_off && self.stops.iter().any(|stop| said.ends_with(stop)) {
            return End::Stop;
        }
        if config.max_tokens != 0 && next.generated() >= config.max_tokens.into() {
            return End::Length;
        }
        if !held_off && config.loop_repeats != 0 && next.exact_loop().1 >= config.loop_repeats {
            return End::Loop;
        }
        End::No
    }

    /// The stop string that the text contains, and the bytes to hold back.
    pub fn text_match(&self) -> (Option<usize>, usize) {
        let text: Vec<u8> = self.pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
        let counts: Vec<bool> = self.pieces.iter().flat_map(|piece| vec![piece.counts; piece.bytes.len()]).collect();
        for end in (1..=text.len()).filter(|end| counts[end - 1]) {
            let ending = (0..self.strings.len()).filter(|&number| text[..end].ends_with(&self.strings[number]));
            if let Some(number) = ending.max_by_key(|&number| (self.strings[number].len(), usize::MAX - number)) {
                return (Some(number), text.len() - end + self.strings[number].len());
            }
        }
        let begins = |&count: &usize| {
            let tail = &text[text.len() - count..];
            count == 0 || self.strings.iter().any(|string| string.len() > count && string.starts_with(tail))
        };
        (None, (0..=text.len()).rev().find(begins).unwrap_or(0))
    }

    /// Period and repeats of the loop at the end.
    pub fn exact_loop(&self) -> (u32, u32) {
        let longest = if self.config.loop_period == 0 { 64 } else { self.config.loop_period as usize };
        let seen = self.newest(self.capacity());
        let mut best = (0, 0);
        let mut best_key = (0, 0, 0);
        for period in 1..=longest.min(self.capacity()) {
            let pairs = seen.iter().rev().zip(seen.iter().rev().skip(period));
            let run = pairs.take_while(|(new, old)| !new.prompt && !old.prompt && new.token == old.token).count();
            let repeats = 1 + run / period;
            let key = (repeats, run + period, usize::MAX - period);
            if repeats >= 2 && key > best_key {
                (best, best_key) = ((period as u32, repeats as u32), key);
            }
        }
        best
    }

    /// The share of recurrent 4-grams among the newest 64 of the run that the history holds.
    pub fn recurrence(&self) -> f64 {
        let count = self.run().saturating_sub(3).min(64).min((self.capacity() + 1).saturating_sub(4));
        if count == 0 {
            return 0.0;
        }
        let recurs = |end: usize| {
            let gram = &self.entries[end - 4..end];
            let seen = &self.entries[end.saturating_sub(self.capacity())..end - 1];
            gram.iter().all(|entry| !entry.prompt) && seen.windows(4).any(|before| before == gram)
        };
        let all = self.entries.len();
        (all - count + 1..=all).filter(|&end| recurs(end)).count() as f64 / count as f64
    }
}
