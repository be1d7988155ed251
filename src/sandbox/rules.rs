//! The rules of the text game: which classes may come next.
//!
//! Each rule is a set of classes taken out of a bitmask; they apply in this order, and a class once out stays out:
//!
//! ```text
//! step < min_steps     out: . ! ? <EOS>
//! ban                  out: the banned words
//! no_repeat_window N   out: the last N generated tokens             (no_repeat alone: N = 1)
//! det_a_an             after "an" out: what does not start with a vowel letter
//!                      after "a"  out: what does
//!                      after both out: what does not start with a letter, so also . ! ? <EOS>
//! topic_lock           out: all but the words of the prompt, topic_keep, . ! ? <EOS>
//! no_dangling          after a an the of in and is are has out: . ! ? <EOS>
//! topic_lock           out: all but the topic_topn best of what is left (0: no such cut)
//! ```
//!
//! "After" looks at the last token of the text, be it generated or of the prompt. The core decoder does the rest: what
//! the mask leaves is what it picks from and what margin, top-1 probability and entropy describe.

use super::model::Model;
use std::cmp::Ordering;

/// Ends a text.
pub const END: &str = "<EOS>";
/// The tokens that end a sentence.
pub const PUNCTUATION: [&str; 3] = [".", "!", "?"];
/// Words a sentence does not end on.
pub const DANGLING: [&str; 9] = ["a", "an", "the", "of", "in", "and", "is", "are", "has"];
/// The words that [`Rules::topic_lock`] always leaves.
pub const TOPIC_KEEP: [&str; 9] = ["is", "a", "an", "of", "in", "and", "has", "are", "the"];

/// The rules in force. [`Rules::default`] has only `no_dangling` and `stop_punct` on.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Before this step a text cannot end.
    pub min_steps: u32,
    /// Words that are never picked; those the model cannot say are without effect.
    pub ban: Vec<String>,
    /// The last generated token is not picked again at once.
    pub no_repeat: bool,
    /// None of the last so many generated tokens is picked again; 0 = off, else it replaces `no_repeat`.
    pub no_repeat_window: u32,
    /// "a" and "an" are followed by what English allows, judged by the first letter.
    pub det_a_an: bool,
    /// Only the prompt's words, `topic_keep` and the ends of a sentence.
    pub topic_lock: bool,
    /// The words that `topic_lock` leaves besides.
    pub topic_keep: Vec<String>,
    /// With `topic_lock`, only so many of the best; 0 = all.
    pub topic_topn: u32,
    /// A sentence does not end on an article, a preposition and the like.
    pub no_dangling: bool,
    /// `.`, `!` and `?` end the text.
    pub stop_punct: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            min_steps: 0,
            ban: Vec::new(),
            no_repeat: false,
            no_repeat_window: 0,
            det_a_an: false,
            topic_lock: false,
            topic_keep: TOPIC_KEEP.map(String::from).to_vec(),
            topic_topn: 24,
            no_dangling: true,
            stop_punct: true,
        }
    }
}

impl Rules {
    /// N of the rule on the last N generated tokens; 0 = off.
    pub fn repeat_window(&self) -> u32 {
        if self.no_repeat_window == 0 { u32::from(self.no_repeat) } else { self.no_repeat_window }
    }
}

/// A set of classes in the layout of the decoder's bitmask: bit `class & 31` of word `class >> 5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassSet {
    bits: Vec<u32>,
}

impl ClassSet {
    /// The empty set over `vocab` classes.
    pub fn empty(vocab: usize) -> Self {
        ClassSet { bits: vec![0; vocab.div_ceil(32)] }
    }

    /// The classes for which `member` holds.
    pub fn of(vocab: usize, member: impl Fn(usize) -> bool) -> Self {
        let mut set = Self::empty(vocab);
        (0..vocab).filter(|&class| member(class)).for_each(|class| set.insert(class as u32));
        set
    }

    /// The bitmask, as [`Decoder::decode`](crate::Decoder::decode) takes it.
    pub fn words(&self) -> &[u32] {
        &self.bits
    }

    /// Whether the class is in the set.
    pub fn contains(&self, class: u32) -> bool {
        self.bits.get(class as usize >> 5).is_some_and(|word| word >> (class & 31) & 1 == 1)
    }

    /// The number of classes in the set.
    pub fn len(&self) -> usize {
        self.bits.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no class is in the set.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|&word| word == 0)
    }

    /// The classes in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.bits.iter().enumerate().flat_map(|(index, &word)| {
            let first = index as u32 * 32;
            (0..32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
        })
    }

    /// Adds a class, which must be one of the vocabulary.
    pub fn insert(&mut self, class: u32) {
        self.bits[class as usize >> 5] |= 1 << (class & 31);
    }

    fn remove(&mut self, class: u32) {
        self.bits[class as usize >> 5] &= !(1 << (class & 31));
    }

    fn keep(&mut self, other: &ClassSet) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(word, other)| *word &= other);
    }

    fn subtract(&mut self, other: &ClassSet) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(word, other)| *word &= !other);
    }
}

/// The rules turned into sets over one model's classes, once.
#[derive(Clone, Debug)]
pub struct RuleSets {
    rules: Rules,
    /// `.`, `!`, `?` and `<EOS>`.
    ends: ClassSet,
    /// Every class but the banned.
    permitted: ClassSet,
    vowels: ClassSet,
    consonants: ClassSet,
    /// What `topic_lock` leaves whatever the prompt.
    kept: ClassSet,
    candidates: Vec<u32>,
}

fn is_vowel(c: char) -> bool {
    matches!(c, 'a' | 'e' | 'i' | 'o' | 'u')
}

/// What the rules look at, besides the row.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The number of tokens generated so far.
    pub step: u32,
    /// The classes generated so far, the newest last.
    pub generated: &'a [u32],
    /// The last token of the text, `None` if there is none.
    pub newest: Option<&'a str>,
    /// The set [`RuleSets::topic`] made of the prompt; used with `topic_lock` only.
    pub topic: &'a ClassSet,
}

impl RuleSets {
    /// Compiles `rules` for `model`.
    pub fn new(rules: Rules, model: &Model) -> Self {
        let words = model.words();
        let among = |list: &[String]| ClassSet::of(words.len(), |class| list.contains(&words[class]));
        let starts = |wanted: fn(char) -> bool| {
            ClassSet::of(words.len(), |class| words[class].chars().next().is_some_and(wanted))
        };
        let ends: Vec<String> = PUNCTUATION.iter().chain([&END]).map(|&word| word.to_owned()).collect();
        let banned = among(&rules.ban);
        let mut permitted = ClassSet::of(words.len(), |_| true);
        permitted.subtract(&banned);
        let ends = among(&ends);
        let mut kept = among(&rules.topic_keep);
        ends.iter().for_each(|class| kept.insert(class));
        RuleSets {
            ends,
            permitted,
            vowels: starts(is_vowel),
            consonants: starts(|c| c.is_alphabetic() && !is_vowel(c)),
            kept,
            candidates: Vec::with_capacity(words.len()),
            rules,
        }
    }

    /// The rules these sets were made of.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The classes `topic_lock` leaves after this prompt.
    pub fn topic(&self, prompt: &[String], model: &Model) -> ClassSet {
        let mut topic = self.kept.clone();
        prompt.iter().filter_map(|word| model.class(word)).for_each(|class| topic.insert(class));
        topic
    }

    /// Sets `allowed` to what may come next; `row` holds the logits and decides only the `topic_topn` best.
    ///
    /// Nothing left is not an error here; the decoder refuses an empty mask.
    pub fn apply(&mut self, situation: Situation<'_>, row: &[f32], allowed: &mut ClassSet) {
        let rules = &self.rules;
        allowed.clone_from(&self.permitted);
        if situation.step < rules.min_steps {
            allowed.subtract(&self.ends);
        }
        let window = rules.repeat_window() as usize;
        situation.generated.iter().rev().take(window).for_each(|&class| allowed.remove(class));
        if rules.det_a_an {
            match situation.newest {
                Some("an") => allowed.keep(&self.vowels),
                Some("a") => allowed.keep(&self.consonants),
                _ => {}
            }
        }
        if rules.topic_lock {
            allowed.keep(situation.topic);
        }
        if rules.no_dangling && situation.newest.is_some_and(|word| DANGLING.contains(&word)) {
            allowed.subtract(&self.ends);
        }
        if rules.topic_lock && rules.topic_topn > 0 {
            keep_best(allowed, row, rules.topic_topn as usize, &mut self.candidates);
        }
    }
}

/// Keeps the `count` best of `set`: higher logit first, then lower class. A NaN counts as best, so that it stays in the
/// mask and the decoder refuses it by its index.
fn keep_best(set: &mut ClassSet, row: &[f32], count: usize, candidates: &mut Vec<u32>) {
    candidates.clear();
    candidates.extend(set.iter());
    if candidates.len() <= count {
        return;
    }
    candidates.select_nth_unstable_by(count, |&left, &right| before(row, left, right));
    candidates[count..].iter().for_each(|&class| set.remove(class));
}

/// The total order of the reports: higher logit first, then lower class; NaN before all.
pub(super) fn before(row: &[f32], left: u32, right: u32) -> Ordering {
    let (a, b) = (row[left as usize], row[right as usize]);
    b.is_nan().cmp(&a.is_nan()).then(b.partial_cmp(&a).unwrap_or(Ordering::Equal)).then(left.cmp(&right))
}
