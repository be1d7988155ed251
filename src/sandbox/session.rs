//! One text after another: prompt in, tokens out, until something stops it.
//!
//! ```text
//! recent = the last three tokens of the prompt
//! repeat:
//!     step = steps            -> stop: Steps
//!     row  = model(recent);  mask = rules(...)
//!     mask empty              -> stop: Exhausted
//!     pick = decoder.decode(row, mask)                refused -> stop: Refused
//!     record the step
//!     pick is <EOS>           -> stop: EndToken       (recorded, not part of the text; end words the same)
//!     the text grows by pick
//!     a stop string is in it  -> stop: StopString     (shown up to where it begins)
//!     pick is . ! ?           -> stop: Punctuation    (with stop_punct)
//!     the decoder says so     -> stop: StopSequence, Loop, Steps (max_tokens; the pick is part of the text)
//! ```

use super::error::{Error, Result};
use super::features::shift;
use super::lists::Lists;
use super::model::Model;
use super::rules::{ClassSet, END, PUNCTUATION, RuleSets, Rules, Situation, before};
use super::text::tokens;
use crate::{Candidate, Config, Decoder, Finish, Kernels, Metrics, Mode, Pick, Recorder, TraceParts};

/// What is asked of a session.
#[derive(Clone, Debug)]
pub struct Options {
    /// At most so many tokens per text.
    pub steps: u32,
    /// Greedy or sampled.
    pub mode: Mode,
    /// The temperature: 1 = as is, 0 = greedy. In f64 so that traces show what was asked for; the decoder takes f32.
    pub temperature: f64,
    /// The k best only; 0 = off.
    pub top_k: u32,
    /// The smallest set of this mass; 1 = off.
    pub top_p: f32,
    /// What has at least this share of the best one's probability; 0 = off.
    pub min_p: f32,
    /// The rest of the decoder's configuration: profile, other filters, what is done about repetition (the words of the prompt
    /// that the model can say count as the prompt). What has a field of its own here is taken from that.
    pub base: Config,
    /// The seed of every draw.
    pub seed: u64,
    /// The stream of the first text; each later text takes the next one, so that texts differ under one seed.
    pub stream: u64,
    /// The rules of the text game.
    pub rules: Rules,
    /// Biases, sequences, forced words and stops.
    pub lists: Lists,
    /// How many of the best logits each step reports.
    pub top: usize,
    /// Whether each step has its [`StepLists`] too: three more looks at each row.
    pub step_lists: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            steps: 20,
            mode: Mode::Greedy,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            base: Config::default(),
            seed: 0,
            stream: 0,
            rules: Rules::default(),
            lists: Lists::default(),
            top: 8,
            step_lists: false,
        }
    }
}

/// One step: what was picked, how sure it was, what else there was.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The number of tokens generated before.
    pub step: u32,
    /// The class picked.
    pub class: u32,
    /// Top-1 minus top-2 logit of what the mask leaves, before temperature; +inf if it leaves one.
    pub margin: f32,
    /// The probability of the best class at the temperature, before truncation.
    pub top1_probability: f32,
    /// The entropy at the temperature, before truncation, in nats.
    pub entropy: f32,
    /// The natural logarithm of the probability the pick was drawn with.
    pub logprob: f32,
    /// 0 if the best class was picked, 1 for the second, and so on.
    pub rank: u32,
    /// The number of classes the rules left.
    pub allowed: u32,
    /// The best classes that the mask leaves and their logits, best first.
    pub top: Vec<(u32, f32)>,
    /// The log-probabilities of the step, if [`Options::step_lists`] asked for them.
    pub lists: Option<StepLists>,
}

/// The log-probabilities of one step: natural logarithms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepLists {
    /// The best classes after penalties, biases and masks, at the temperature, best first; as many as [`Options::top`].
    pub top: Vec<Candidate>,
    /// The same of the row as the model gave it, at temperature 1, among what the rules leave.
    pub top_raw: Vec<Candidate>,
    /// The classes that the filters keep, in ascending order; their log-probabilities are those of the draw.
    pub kept: Vec<Candidate>,
    /// That of the pick in the row as given.
    pub logprob_raw: f32,
    /// Sum over the text so far, the pick included.
    pub cumulative_logprob: f32,
    /// What no smaller change of the logits changes: argmax, kept set, pick.
    pub flip: [f32; 3],
}

/// Why a text ended.
#[derive(Debug)]
pub enum Stop {
    /// The model picked the end of the text.
    EndToken,
    /// A `.`, `!` or `?`.
    Punctuation,
    /// The number of steps asked for.
    Steps,
    /// The end of the text stands so many times in a row as was asked for.
    Loop,
    /// A stop sequence of words.
    StopSequence,
    /// The stop string of this number.
    StopString(usize),
    /// The rules left nothing to pick.
    Exhausted,
    /// The decoder refused the row.
    Refused(Error),
}

impl Stop {
    /// A short name: `end token`, `punctuation`, `steps`, `loop`, `stop sequence`, `stop string`, `mask exhausted`, `error`.
    pub fn name(&self) -> &'static str {
        match self {
            Stop::EndToken => "end token",
            Stop::Punctuation => "punctuation",
            Stop::Steps => "steps",
            Stop::Loop => "loop",
            Stop::StopSequence => "stop sequence",
            Stop::StopString(_) => "stop string",
            Stop::Exhausted => "mask exhausted",
            Stop::Refused(_) => "error",
        }
    }
}

/// One text: the prompt, what was generated, and why it ended.
#[derive(Debug)]
pub struct Transcript {
    /// The prompt as given.
    pub context: String,
    /// Its tokens.
    pub prompt: Vec<String>,
    /// How many of them the input vocabulary lacks.
    pub unknown: usize,
    /// The steps.
    pub steps: Vec<Step>,
    /// Why it ended.
    pub stop: Stop,
    /// The stream of random numbers it used.
    pub stream: u64,
    /// Bytes at the end of what was generated that are not to be shown: from a stop string on.
    pub held_back: usize,
}

impl Transcript {
    /// The classes generated; the end token is not one of them.
    pub fn generated(&self) -> impl Iterator<Item = u32> + '_ {
        let ended = usize::from(matches!(self.stop, Stop::EndToken));
        self.steps[..self.steps.len() - ended].iter().map(|step| step.class)
    }

    /// What was generated as running text, up to a stop string: words apart, punctuation close to the word before.
    pub fn continuation(&self, model: &Model) -> String {
        let mut text = join(self.generated().map(|class| model.words()[class as usize].as_str()));
        let mut shown = text.len().saturating_sub(self.held_back);
        // A string of the host's may begin within a character.
        while !text.is_char_boundary(shown) {
            shown -= 1;
        }
        text.truncate(shown);
        text
    }
}

/// Words to running text: a space before each but the first, none before punctuation.
pub fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for word in words {
        text.push_str(space_before(word, text.is_empty()));
        text.push_str(word);
    }
    text
}

fn space_before(word: &str, is_first: bool) -> &'static str {
    if is_first || PUNCTUATION.contains(&word) { "" } else { " " }
}

/// A decoder set up to continue texts with one model.
#[derive(Debug)]
pub struct Session<'m> {
    model: &'m Model,
    kernels: Kernels,
    options: Options,
    config: Config,
    decoder: Decoder,
    rules: RuleSets,
    row: Vec<f32>,
    allowed: ClassSet,
    order: Vec<u32>,
    texts: u64,
    recorder: Option<Recorder<Vec<u8>>>,
}

impl<'m> Session<'m> {
    /// Sets up a session.
    ///
    /// # Errors
    /// An option outside its range, by the core's name for it.
    pub fn new(model: &'m Model, options: Options, kernels: Kernels) -> Result<Self> {
        let temperature = options.temperature as f32;
        if temperature == 0.0 && options.temperature != 0.0 {
            // Rounding must not turn a sampling run into a greedy one.
            return Err(Error::Option { name: "temperature", reason: format!("{} is 0 in f32", options.temperature) });
        }
        let config = Config {
            seed: options.seed,
            stream: options.stream,
            mode: options.mode,
            temperature,
            top_k: options.top_k,
            top_p: options.top_p,
            min_p: options.min_p,
            metrics: options.base.metrics
                | Metrics::CONFIDENCE
                | Metrics::LOGPROB
                | Metrics::RANK
                | if options.step_lists { Metrics::LOGPROB_RAW | Metrics::FLIP } else { Metrics::default() },
            ..options.lists.with_room(options.base.clone())
        };
        let mut decoder = Decoder::new_with_kernels(&config, model.vocab(), kernels)?;
        let ends: Vec<u32> = model.class(END).into_iter().collect();
        options.lists.set(model, &mut decoder, &ends)?;
        Ok(Session {
            rules: RuleSets::new(options.rules.clone(), model),
            row: vec![0.0; model.vocab()],
            allowed: ClassSet::empty(model.vocab()),
            order: Vec::with_capacity(model.vocab()),
            texts: 0,
            recorder: None,
            model,
            kernels,
            options,
            config,
            decoder,
        })
    }

    /// The options in force.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Records all texts from here on, with the columns of each step, so that [`Replay`](crate::Replay) needs only the model's
    /// head. The trace begins with the decoder's state, which has the end token; each text begins with a note that has its
    /// prompt.
    ///
    /// # Errors
    /// None but those of a lack of memory.
    pub fn start_recording(&mut self, parts: TraceParts) -> Result<()> {
        let mut recorder = Recorder::new(Vec::new(), &self.decoder, parts);
        recorder.whole_state(&mut self.decoder)?;
        self.recorder = Some(recorder);
        Ok(())
    }

    /// The bytes of the trace, if one was recorded.
    ///
    /// # Errors
    /// There was not enough memory.
    pub fn finish_recording(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.recorder.take().map(Recorder::finish).transpose()?)
    }

    /// Continues one text. A step that the decoder refuses ends it with [`Stop::Refused`]; the steps before remain.
    ///
    /// # Errors
    /// Only those of resetting the decoder, which [`Session::new`] has already proved possible.
    pub fn run(&mut self, context: &str) -> Result<Transcript> {
        let prompt: Vec<String> = tokens(context).collect();
        let space = self.model.space();
        let mut recent = prompt.iter().fold(space.start(), |recent, token| shift(recent, space.id(token)));
        let unknown = prompt.iter().filter(|token| !space.contains(token)).count();
        let topic = self.rules.topic(&prompt, self.model);
        let mut generated: Vec<u32> = Vec::new();
        let mut steps = Vec::new();

        self.config.stream = self.options.stream.wrapping_add(self.texts);
        self.texts += 1;
        match &mut self.recorder {
            Some(recorder) => {
                recorder.note(context);
                recorder.reset(&mut self.decoder, Some(&self.config))?;
            }
            None => self.decoder.reset(Some(&self.config))?,
        }
        let said: Vec<u32> = prompt.iter().filter_map(|word| self.model.class(word)).collect();
        match &mut self.recorder {
            Some(recorder) => recorder.prompt(&mut self.decoder, &said)?,
            None => self.decoder.prompt(&said)?,
        }

        let (mut is_first, mut held_back) = (true, 0);
        let stop = loop {
            let step = steps.len() as u32;
            if step >= self.options.steps {
                break Stop::Steps;
            }
            if let Err(error) = self.model.logits(self.kernels, recent, &mut self.row) {
                break Stop::Refused(error);
            }
            let newest = match generated.last() {
                Some(&class) => Some(self.model.words()[class as usize].as_str()),
                None => prompt.last().map(String::as_str),
            };
            let situation = Situation { step, generated: &generated, newest, topic: &topic };
            self.rules.apply(situation, &self.row, &mut self.allowed);
            if self.allowed.is_empty() {
                break Stop::Exhausted;
            }
            let mask = Some(self.allowed.words());
            let lists = if self.options.step_lists {
                lists(&mut self.decoder, &self.row, mask, self.options.top)
            } else {
                None
            };
            let decoded = match &mut self.recorder {
                Some(recorder) => {
                    recorder.columns(&space.columns(recent), None);
                    recorder.decode(&mut self.decoder, &self.row, mask)
                }
                None => self.decoder.decode(&self.row, mask),
            };
            let pick = match decoded {
                Ok(pick) => pick,
                // Logits of negative infinity mask as the rules do.
                Err(crate::Error::EverythingMasked) => break Stop::Exhausted,
                Err(error) => break Stop::Refused(error.into()),
            };
            steps.push(self.record(step, &pick, lists));
            let word = self.model.words()[pick.token as usize].as_str();
            if word == END || pick.finish == Finish::EndToken {
                break Stop::EndToken;
            }
            generated.push(pick.token);
            recent = shift(recent, space.id(word));
            let piece = [space_before(word, is_first), word].concat();
            is_first &= piece.is_empty();
            let found = match &mut self.recorder {
                // A trace without stop strings needs no text.
                Some(recorder) if !self.options.lists.stop_strings.is_empty() => {
                    recorder.push_bytes(&mut self.decoder, piece.as_bytes())
                }
                _ => self.decoder.push_bytes(piece.as_bytes()),
            };
            if let Some(number) = found.stop {
                held_back = found.held_back;
                break Stop::StopString(number);
            }
            if self.options.rules.stop_punct && PUNCTUATION.contains(&word) {
                break Stop::Punctuation;
            }
            match pick.finish {
                Finish::Stop => break Stop::StopSequence,
                Finish::Loop => break Stop::Loop,
                Finish::Length => break Stop::Steps,
                _ => {}
            }
        };
        let stream = self.config.stream;
        Ok(Transcript { context: context.to_owned(), prompt, unknown, steps, stop, stream, held_back })
    }

    fn record(&mut self, step: u32, pick: &Pick, lists: Option<StepLists>) -> Step {
        let row = &self.row;
        self.order.clear();
        self.order.extend(self.allowed.iter().filter(|&class| row[class as usize] > f32::NEG_INFINITY));
        let allowed = self.order.len() as u32;
        let top = self.options.top.min(self.order.len());
        if top > 0 && top < self.order.len() {
            self.order.select_nth_unstable_by(top - 1, |&left, &right| before(row, left, right));
        }
        self.order.truncate(top);
        self.order.sort_unstable_by(|&left, &right| before(row, left, right));
        Step {
            step,
            class: pick.token,
            margin: pick.margin,
            top1_probability: pick.top1_probability,
            entropy: pick.entropy,
            logprob: pick.logprob,
            rank: pick.rank,
            allowed,
            top: self.order.iter().map(|&class| (class, row[class as usize])).collect(),
            lists: lists.map(|lists| StepLists {
                logprob_raw: pick.logprob_raw,
                cumulative_logprob: pick.cumulative_logprob,
                flip: [pick.flip_argmax, pick.flip_kept, pick.flip_token],
                ..lists
            }),
        }
    }
}

/// The lists of the step that comes next; `None` where the decoder refuses the row, which decoding then tells.
fn lists(decoder: &mut Decoder, row: &[f32], mask: Option<&[u32]>, top: usize) -> Option<StepLists> {
    let list = |count: usize| vec![Candidate::default(); count];
    let mut lists = StepLists { top: list(top), top_raw: list(top), kept: list(row.len()), ..StepLists::default() };
    let counts = [
        decoder.top(row, mask, &mut lists.top).ok()?,
        decoder.top_raw(row, mask, &mut lists.top_raw).ok()?,
        decoder.kept(row, mask, &mut lists.kept).ok()?,
    ];
    for (list, count) in [&mut lists.top, &mut lists.top_raw, &mut lists.kept].into_iter().zip(counts) {
        list.truncate(count);
    }
    Some(lists)
}
