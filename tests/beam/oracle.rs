//! The judge of beam search: written from the page on beams alone, in f64 with the system's mathematics, by sorting
//! everything. It also says how near the nearest decision was, so that tests can leave out what rounding decides.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    Canon,
    HuggingFace,
    Vllm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    Never,
    Heuristic,
    Full,
    /// Not at all: what no profile does, for comparison.
    Off,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub rules: Rules,
    pub beams: usize,
    pub groups: usize,
    pub diversity: f64,
    pub length_penalty: f64,
    pub early: Early,
    pub temperature: f64,
    pub min_tokens: usize,
    pub max_tokens: usize,
    pub valid: usize,
    pub end_tokens: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub tokens: Vec<u32>,
    pub score: f64,
    pub logprob: f64,
    pub by_end_token: bool,
}

#[derive(Clone, Debug)]
struct Beam {
    tokens: Vec<u32>,
    score: f64,
}

#[derive(Clone, Debug)]
struct Candidate {
    parent: usize,
    token: u32,
    logit: f32,
    score: f64,
    merit: f64,
}

#[derive(Clone, Debug, Default)]
struct Group {
    beams: Vec<Beam>,
    told: Vec<Told>,
    over: bool,
}

/// A search under way, and how near its nearest decision was.
pub struct Search {
    settings: Settings,
    groups: Vec<Group>,
    length: usize,
    pub nearest: f64,
}

impl Search {
    pub fn new(settings: Settings) -> Search {
        let start = Group { beams: vec![Beam { tokens: vec![], score: 0.0 }], ..Group::default() };
        Search { groups: vec![start; settings.groups], settings, length: 0, nearest: f64::INFINITY }
    }

    /// The tokens of the live beams, group after group.
    pub fn live(&self) -> Vec<Vec<u32>> {
        if self.length == 0 {
            return vec![vec![]];
        }
        self.groups.iter().flat_map(|group| group.beams.iter().map(|beam| beam.tokens.clone())).collect()
    }

    pub fn scores(&self) -> Vec<f64> {
        self.groups.iter().flat_map(|group| group.beams.iter().map(|beam| beam.score)).collect()
    }

    fn note(&mut self, a: f64, b: f64) {
        self.nearest = self.nearest.min((a - b).abs());
    }

    /// One step. `row_of` gives the logits of a sequence, `allowed` whether a token may follow it.
    pub fn step(&mut self, row_of: &dyn Fn(&[u32]) -> Vec<f32>, allowed: &dyn Fn(&[u32], u32) -> bool) {
        let settings = self.settings.clone();
        let width = settings.beams / settings.groups;
        let is_last = self.length + 1 == settings.max_tokens;
        let mut chosen_before: Vec<u32> = vec![];
        for g in 0..settings.groups {
            if self.groups[g].over {
                continue;
            }
            let beams = self.groups[g].beams.clone();
            let mut lists: Vec<Vec<Candidate>> = vec![];
            for (parent, beam) in beams.iter().enumerate() {
                let row = row_of(&beam.tokens);
                let may = |t: usize| {
                    let early_end = self.length < settings.min_tokens && settings.end_tokens.contains(&(t as u32));
                    t < settings.valid && allowed(&beam.tokens, t as u32) && !early_end && row[t] > f32::NEG_INFINITY
                };
                let counts = |t: usize| if settings.rules == Rules::Canon { may(t) } else { t < settings.valid };
                let taking_part: Vec<usize> = (0..row.len()).filter(|&t| counts(t)).collect();
                let most = taking_part.iter().map(|&t| f64::from(row[t])).fold(f64::NEG_INFINITY, f64::max);
                let logprob_of = |z: f32, sum: f64| (f64::from(z) - most) / settings.temperature - sum.ln();
                let sum = taking_part.iter().map(|&t| ((f64::from(row[t]) - most) / settings.temperature).exp()).sum();
                let list = (0..row.len()).filter(|&t| may(t)).map(|t| {
                    let score = beam.score + logprob_of(row[t], sum);
                    let repeated = chosen_before.iter().filter(|&&other| other == t as u32).count();
                    let merit = score - settings.diversity * repeated as f64;
                    Candidate { parent, token: t as u32, logit: row[t], score, merit }
                });
                lists.push(list.collect());
            }
            let outcome = self.choose(&settings, width, is_last, lists);
            chosen_before.extend(outcome.0.iter().map(|candidate| candidate.token));
            self.take(&settings, g, width, &beams, outcome);
        }
        self.length += 1;
    }

    fn sort(list: &mut [Candidate]) {
        list.sort_by(|a, b| {
            let key = |c: &Candidate| (-c.merit, c.parent, -c.logit, c.token);
            key(a).partial_cmp(&key(b)).unwrap()
        });
    }

    /// Who goes on, and who ends and whether by an end token.
    fn choose(
        &mut self,
        settings: &Settings,
        width: usize,
        is_last: bool,
        lists: Vec<Vec<Candidate>>,
    ) -> (Vec<Candidate>, Vec<(Candidate, bool)>) {
        let is_end = |c: &Candidate| settings.end_tokens.contains(&c.token);
        let (mut go_on, mut end): (Vec<Candidate>, Vec<(Candidate, bool)>) = (vec![], vec![]);
        if settings.rules == Rules::Vllm {
            let mut others: Vec<Candidate> = vec![];
            for mut list in lists {
                Self::sort(&mut list);
                self.note_order(&list, 2 * width);
                for candidate in list.into_iter().take(2 * width) {
                    if is_end(&candidate) {
                        end.push((candidate, true));
                    } else {
                        others.push(candidate);
                    }
                }
            }
            Self::sort(&mut others);
            self.note_order(&others, width);
            go_on = others.into_iter().take(width).collect();
            if is_last {
                end.extend(go_on.drain(..).map(|candidate| (candidate, false)));
            }
            return (go_on, end);
        }
        let mut all: Vec<Candidate> = lists.into_iter().flatten().collect();
        Self::sort(&mut all);
        let most = width * (1 + settings.end_tokens.len()).max(2);
        self.note_order(&all, most);
        let hugging_face = settings.rules == Rules::HuggingFace;
        if hugging_face && is_last {
            return (vec![], all.into_iter().take(width).map(|c| (c.clone(), is_end(&c))).collect());
        }
        let mut found = 0;
        for (rank, candidate) in all.into_iter().take(most).enumerate() {
            if found == width {
                break;
            }
            if is_end(&candidate) {
                if !hugging_face || rank < width {
                    end.push((candidate, true));
                }
            } else {
                found += 1;
                if is_last {
                    end.push((candidate, false));
                } else {
                    go_on.push(candidate);
                }
            }
        }
        (go_on, end)
    }

    fn note_order(&mut self, sorted: &[Candidate], most: usize) {
        for pair in sorted.windows(2).take(most) {
            // Equal logits of one row are equal here as well.
            if pair[0].parent != pair[1].parent || pair[0].logit != pair[1].logit {
                self.note(pair[0].merit, pair[1].merit);
            }
        }
    }

    fn take(
        &mut self,
        settings: &Settings,
        g: usize,
        width: usize,
        beams: &[Beam],
        (go_on, end): (Vec<Candidate>, Vec<(Candidate, bool)>),
    ) {
        let after = |candidate: &Candidate| {
            let mut tokens = beams[candidate.parent].tokens.clone();
            tokens.push(candidate.token);
            tokens
        };
        let length = self.length + 1;
        let power = |length: usize| (length as f64).powf(settings.length_penalty);
        for (candidate, by_end_token) in &end {
            let score = candidate.score / power(length);
            let told = Told { tokens: after(candidate), score, logprob: candidate.score, by_end_token: *by_end_token };
            for other in self.groups[g].told.clone() {
                self.note(other.score, score);
            }
            self.groups[g].told.push(told);
        }
        let group = &mut self.groups[g];
        group.told.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap());
        group.told.truncate(width);
        group.beams = go_on.iter().map(|c| Beam { tokens: after(c), score: c.score }).collect();
        group.over = group.beams.is_empty() || length == settings.max_tokens;
        if !group.over && group.told.len() == width && settings.rules != Rules::Vllm && settings.early != Early::Off {
            let (best, worst) = (group.beams[0].score, group.told[width - 1].score);
            let hoped = match settings.early {
                Early::Full => {
                    group.over = true;
                    group.beams.clear();
                    return;
                }
                Early::Never if settings.length_penalty > 0.0 => settings.max_tokens,
                _ => length,
            };
            let hope = best / power(hoped);
            group.over = hope <= worst;
            self.note(hope, worst);
        }
        if self.groups[g].over {
            self.groups[g].beams.clear();
        }
    }

    /// All hypotheses, best first.
    pub fn told(&mut self) -> Vec<Told> {
        let mut all: Vec<Told> = self.groups.iter().flat_map(|group| group.told.clone()).collect();
        all.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap());
        all
    }
}
