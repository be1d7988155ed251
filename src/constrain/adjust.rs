//! Everything that adjusts single tokens, merged into one list of overrides of the row.

use super::rules::{EndRule, Found, Rules};
use crate::error::{Error, Result};
use crate::history::{Counted, Counts, Edit, EditKind, Sequence, Slot};
use crate::kernels::{Kernels, Override, RowView, Source};
use crate::types::{BLOCK, Row, TokenId};

/// What adjusts a row: lists in ascending order of token.
#[derive(Clone, Copy)]
pub(crate) struct Adjustments<'a> {
    pub rules: Rules,
    /// Distinct tokens of the windows: penalties, no-repeat window, n-grams of one token.
    pub counts: Counts<'a>,
    /// No token twice. A bias of -inf is a ban.
    pub biases: &'a [Override],
    /// No token twice.
    pub bans: &'a [TokenId],
    /// Bad sequences of one token.
    pub bad_tokens: &'a [Sequence],
    /// Biased sequences of one token.
    pub biased_tokens: &'a [Sequence],
    /// No token twice.
    pub end_tokens: &'a [TokenId],
    pub end_rule: EndRule,
    /// DRY, n-grams, longer sequences.
    pub edits: &'a [Edit],
}

impl Adjustments<'_> {
    /// Nothing at all.
    pub fn none(rules: Rules) -> Self {
        Adjustments {
            rules,
            counts: Counts::default(),
            biases: &[],
            bans: &[],
            bad_tokens: &[],
            biased_tokens: &[],
            end_tokens: &[],
            end_rule: EndRule::Free,
            edits: &[],
        }
    }
}

/// Past every token.
const NONE: TokenId = TokenId::MAX;

/// The sources that are long in few decoders: they are looked at only where one of them has the next token.
struct Rare<'a> {
    lists: &'a Adjustments<'a>,
    no_repeat: Counted<'a>,
    unigrams: Counted<'a>,
    recent: TokenId,
    seen: TokenId,
    bad: &'a [Sequence],
    biased: &'a [Sequence],
    ends: &'a [TokenId],
    edits: &'a [Edit],
    /// The least token of all.
    next: TokenId,
}

fn token_of(slot: Option<Slot>) -> TokenId {
    slot.map_or(NONE, |slot| slot.token)
}

impl<'a> Rare<'a> {
    fn new(lists: &'a Adjustments<'a>) -> Self {
        let Counts { mut no_repeat, mut unigrams, .. } = lists.counts;
        let ends =
            if lists.end_rule == EndRule::Free && !lists.rules.spares_end_tokens { &[] } else { lists.end_tokens };
        let mut rare = Rare {
            lists,
            recent: token_of(no_repeat.next()),
            seen: token_of(unigrams.next()),
            no_repeat,
            unigrams,
            bad: lists.bad_tokens,
            biased: lists.biased_tokens,
            ends,
            edits: lists.edits,
            next: NONE,
        };
        rare.find_next();
        rare
    }

    fn find_next(&mut self) {
        let first = |list: &[Sequence]| list.first().map_or(NONE, |entry| entry.key);
        let lists = first(self.bad).min(first(self.biased));
        let ends = self.ends.first().copied().unwrap_or(NONE);
        let edits = self.edits.first().map_or(NONE, |edit| edit.token);
        self.next = self.recent.min(self.seen).min(lists).min(ends).min(edits);
    }

    /// Adds what there is for the least token.
    fn take(&mut self, found: &mut Found) {
        let token = self.next;
        if self.recent == token {
            found.masked = true;
            self.recent = token_of(self.no_repeat.next());
        }
        if self.seen == token {
            found.masked = true;
            self.seen = token_of(self.unigrams.next());
        }
        if let Some((&end, rest)) = self.ends.split_first()
            && end == token
        {
            found.is_end = true;
            found.masked |= self.lists.end_rule == EndRule::Masked;
            self.ends = rest;
        }
        while let Some((entry, rest)) = self.bad.split_first()
            && entry.key == token
        {
            found.masked |= !(found.is_end && self.lists.rules.spares_end_tokens);
            self.bad = rest;
        }
        let mut add = |value: f32| found.sequence_bias = Some(found.sequence_bias.map_or(value, |sum| sum + value));
        while let Some((entry, rest)) = self.biased.split_first()
            && entry.key == token
        {
            add(entry.value);
            self.biased = rest;
        }
        while let Some((edit, rest)) = self.edits.split_first()
            && edit.token == token
        {
            match edit.kind() {
                EditKind::Subtract if edit.value > found.subtract => found.subtract = edit.value,
                EditKind::Subtract => {}
                EditKind::Add => {
                    let sum = found.sequence_bias.map_or(edit.value, |sum| sum + edit.value);
                    found.sequence_bias = Some(sum);
                }
                EditKind::Mask => found.masked = true,
            }
            self.edits = rest;
        }
        self.find_next();
    }
}

/// Writes the adjusted logits of all adjusted tokens that take part to `overrides`, in ascending token order, and returns
/// how many there are; `maxima` of their blocks follow. `first_invalid` is the lowest NaN or +inf of the row as given, if
/// there is one: the error names the lowest of all.
pub(crate) fn adjust(
    kernels: Kernels,
    view: &RowView<'_>,
    lists: &Adjustments<'_>,
    first_invalid: Option<TokenId>,
    overrides: &mut [Override],
    maxima: &mut [f32],
) -> Result<usize> {
    let mut rare = Rare::new(lists);
    let (mut biases, mut bans, mut counted) = (lists.biases, lists.bans, lists.counts.penalties);
    // Tokens that take no part are passed over before anything is looked up for them.
    let is_allowed = |token: TokenId| view.is_allowed(token);
    let mut counts = counted.next_where(is_allowed);
    let mut to = Writer {
        kernels,
        view,
        overrides,
        maxima,
        count: 0,
        block: usize::MAX,
        first: 0,
        lowered: false,
        raised: f32::NEG_INFINITY,
        invalid: None,
    };
    // A row of f32 is read without asking each time what it is.
    let floats = match view.source {
        Source::Row(Row::F32(row)) => row,
        _ => &[],
    };
    let given_at = |token: TokenId| match floats.get(token as usize) {
        Some(&logit) => logit,
        None => view.source.get(token as usize),
    };
    loop {
        while let Some((bias, rest)) = biases.split_first()
            && !is_allowed(bias.token)
        {
            biases = rest;
        }
        let bias_token = biases.first().map_or(NONE, |bias| bias.token);
        let ban_token = bans.first().copied().unwrap_or(NONE);
        let other = bias_token.min(ban_token).min(rare.next);
        // Most tokens are in the history and nowhere else.
        while let Some(slot) = counts.filter(|slot| slot.token < other) {
            let given = given_at(slot.token);
            to.put(slot.token, given, lists.rules.penalise(given, &slot), false);
            counts = counted.next_where(is_allowed);
        }
        let token = token_of(counts).min(other);
        if token == NONE {
            break;
        }
        let mut found = Found::NOTHING;
        if let Some(slot) = counts.filter(|slot| slot.token == token) {
            found.counts = Some(slot);
            counts = counted.next_where(is_allowed);
        }
        if bias_token == token {
            found.bias = Some(biases[0].logit);
            biases = &biases[1..];
        }
        if ban_token == token {
            found.masked = true;
            bans = &bans[1..];
        }
        if rare.next == token {
            rare.take(&mut found);
        }
        if view.is_allowed(token) {
            let given = given_at(token);
            to.put(token, given, lists.rules.apply(given, &found, lists.end_rule), found.masked);
        }
    }
    to.close_block();
    let of_row = first_invalid.map(|token| (token, view.source.get(token as usize)));
    // Of one token the logit as given is named: it was bad from the start.
    match [of_row, to.invalid].into_iter().flatten().min_by_key(|(token, _)| *token) {
        Some((index, value)) => Err(Error::InvalidLogit { index, value }),
        None => Ok(to.count),
    }
}

/// Where adjusted logits go, and what they do to the maximum of their block.
struct Writer<'a> {
    kernels: Kernels,
    view: &'a RowView<'a>,
    overrides: &'a mut [Override],
    maxima: &'a mut [f32],
    count: usize,
    /// The block of the last override, and the first override in it.
    block: usize,
    first: usize,
    /// Whether its maximum may have been lowered: then it is read again.
    lowered: bool,
    /// The largest adjusted logit in it.
    raised: f32,
    /// The lowest token whose logit became NaN or +inf, and what it became.
    invalid: Option<(TokenId, f32)>,
}

impl Writer<'_> {
    #[inline(always)]
    fn put(&mut self, token: TokenId, given: f32, adjusted: f32, masked: bool) {
        if (adjusted.is_nan() || adjusted == f32::INFINITY) && self.invalid.is_none() {
            self.invalid = Some((token, adjusted));
        }
        let logit = if masked { f32::NEG_INFINITY } else { adjusted };
        let block = token as usize / BLOCK;
        if block != self.block {
            self.close_block();
            (self.block, self.first, self.lowered, self.raised) = (block, self.count, false, f32::NEG_INFINITY);
        }
        self.lowered |= given >= self.maxima[block] && logit < given;
        self.raised = if logit > self.raised { logit } else { self.raised };
        self.overrides[self.count] = Override { token, logit };
        self.count += 1;
    }

    #[inline(always)]
    fn close_block(&mut self) {
        if self.lowered {
            let overrides = &self.overrides[self.first..self.count];
            self.maxima[self.block] = self.kernels.block_maximum(self.view, overrides, self.block);
        } else if let Some(maximum) = self.maxima.get_mut(self.block).filter(|maximum| self.raised > **maximum) {
            // Maxima have no negative zero.
            *maximum = self.raised + 0.0;
        }
    }
}

/// The lowest participating token whose logit is NaN or +inf: the slow way, once an error is known.
pub(crate) fn first_invalid(view: &RowView<'_>) -> Option<TokenId> {
    (0..view.valid as TokenId).find(|&token| {
        let logit = view.source.get(token as usize);
        (logit.is_nan() || logit == f32::INFINITY) && view.is_allowed(token)
    })
}
