//! Recording tokens and taking them back; when a sequence ends, and why.

use super::Decoder;
use super::lists::{BREAKERS, STOPS};
use crate::distribution::StepState;
use crate::error::{Error, Result};
use crate::history::text::{self, TextState};
use crate::history::{Engine, Loop, Sequences, TextMatch};
use crate::plan::{Metrics, Profile};
use crate::trace::{Finish, Pick};
use crate::types::TokenId;

impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// Records tokens of the prompt: they enter the history but are not counted as generated. A sequence that had ended by
    /// an end token, a stop or a loop goes on after them.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`]; nothing has changed then.
    pub fn prompt(&mut self, tokens: &[TokenId]) -> Result<()> {
        self.check_tokens(tokens)?;
        if tokens.is_empty() {
            return Ok(());
        }
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let set = &lists.sets[BREAKERS];
        let breakers = Sequences::new(set.tokens, set.sequences, self.sizes.sets[BREAKERS]);
        let mut engine = Engine::new(&self.layout.shape, &mut self.history, lists.history);
        for &token in tokens {
            engine.push(token, true, &breakers);
        }
        self.text_held = 0;
        self.text = TextState::default();
        self.ended = if self.leaves_room_for(1) { Finish::None } else { Finish::Length };
        Ok(())
    }

    /// Records tokens as generated, as if they had been picked here: all of them or none.
    ///
    /// What mirostat and adaptive-p have learnt stays as it was, since nothing is known about how these tokens were picked,
    /// and the running sum of log-probabilities is NaN from then on.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`]; [`Error::Finished`] if the sequence has ended, if they are more than `max_tokens`
    /// leaves, or if an end token or a stop sequence ends it before the last of them. Nothing has changed then.
    pub fn accept(&mut self, tokens: &[TokenId]) -> Result<()> {
        self.check_tokens(tokens)?;
        let Some((&last, before)) = tokens.split_last() else { return Ok(()) };
        if !self.goes_on() || !self.leaves_room_for(tokens.len()) {
            return Err(Error::Finished);
        }
        if (0..before.len()).any(|i| self.end_of(&before[..i], before[i]) != Finish::None) {
            return Err(Error::Finished);
        }
        let mut state = self.state;
        state.cumulative_logprob = f64::NAN;
        self.record(before, state);
        let (finish, _) = self.outcome(last);
        self.record(&[last], state);
        self.ended = finish;
        Ok(())
    }

    /// Takes back the last generated tokens, as if they had not been recorded: counts, matches, the state of mirostat and
    /// adaptive-p, the text and the running sum are what they were. A sequence that had ended goes on.
    ///
    /// Tokens that were generated before the last token of a prompt stay. At least the last 1,024 others can be taken back
    /// (or `history_capacity`, if that is less), and more as long as the history has not been filled that far.
    ///
    /// # Errors
    /// [`Error::UndoTooFar`]; nothing has changed then.
    pub fn undo(&mut self, count: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let available = self.undo_available();
        if count > available {
            return Err(Error::UndoTooFar { requested: count, available });
        }
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let mut engine = Engine::new(&self.layout.shape, &mut self.history, lists.history);
        for _ in 0..count {
            engine.pop();
        }
        let ring = engine.ring();
        // The state before the first of the tokens that are gone.
        if !lists.states.is_empty() {
            self.state = lists.states[ring.slot(ring.extent.recorded)];
        }
        let node = lists.text_states[(ring.extent.recorded % lists.text_states.len() as u64) as usize];
        self.text = TextState { node: if count <= self.text_held { node } else { 0 }, ..TextState::default() };
        self.text_held = self.text_held.saturating_sub(count);
        self.position = self.position.saturating_sub(count as u64);
        self.ended = Finish::None;
        Ok(())
    }

    /// How many tokens [`Decoder::undo`] can take back now.
    pub(super) fn undo_available(&mut self) -> usize {
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let available = Engine::new(&self.layout.shape, &mut self.history, lists.history).available();
        if self.sizes.strings == 0 { available } else { available.min(self.text_held) }
    }

    /// Hands over the bytes of the last generated token, for the stop strings ([`Decoder::set_stop_strings`]); in pieces if
    /// need be. The answer says whether the text contains one, and how many bytes at its end a host had better not show
    /// yet. A stop string ends the sequence ([`Finish::Stop`]), but none does that is complete before `min_tokens` tokens
    /// are generated.
    ///
    /// The text begins with the first generated token after a prompt.
    pub fn push_bytes(&mut self, bytes: &[u8]) -> TextMatch {
        let enough = self.plan.config.profile == Profile::HuggingFace
            || self.history.extent.generated >= u64::from(self.plan.config.min_tokens);
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let nodes = &lists.nodes[..self.sizes.nodes];
        let ends = &*lists.string_ends;
        let length_of = |string: usize| {
            let begin = if string == 0 { 0 } else { ends[string - 1] };
            (ends[string] - begin) as usize
        };
        text::push(nodes, &mut self.text, bytes, enough, length_of);
        if self.text.stop != 0 && self.ended != Finish::EndToken {
            self.ended = Finish::Stop;
        }
        self.text.answer(nodes)
    }

    /// Writes the tokens that the history holds, oldest first, prompt included, as far as there is room. Returns how many it
    /// holds, which may be more than were written, at most `history_capacity`: past that the oldest leave it.
    pub fn history(&mut self, tokens: &mut [TokenId]) -> usize {
        let capacity = self.layout.shape.capacity;
        let engine = self.engine();
        let ring = engine.ring();
        let held = ring.seen(capacity);
        for (i, to) in tokens.iter_mut().take(held).enumerate() {
            *to = ring.token_back(held - 1 - i);
        }
        held
    }

    /// Why the sequence has ended, as far as tokens and bytes were recorded; [`Finish::None`] if it goes on.
    pub fn finish(&self) -> Finish {
        self.ended
    }

    /// Records a pick, and what the step hands on to the next one.
    pub(super) fn record_pick(&mut self, pick: &Pick, state: StepState) {
        self.record(&[pick.token], state);
        self.ended = pick.finish;
    }

    /// Records generated tokens; `state` holds after the first of them.
    fn record(&mut self, tokens: &[TokenId], state: StepState) {
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let set = &lists.sets[BREAKERS];
        let breakers = Sequences::new(set.tokens, set.sequences, self.sizes.sets[BREAKERS]);
        let mut engine = Engine::new(&self.layout.shape, &mut self.history, lists.history);
        let text_states = lists.text_states;
        for &token in tokens {
            let ring = engine.ring();
            let position = ring.extent.recorded;
            if !lists.states.is_empty() {
                lists.states[ring.slot(position)] = self.state;
            }
            text_states[(position % text_states.len() as u64) as usize] = self.text.node;
            engine.push(token, false, &breakers);
            self.state = state;
            self.text_held = (self.text_held + 1).min(text_states.len());
        }
        self.position = self.position.wrapping_add(tokens.len() as u64);
    }

    /// What it means for the sequence if `token` is generated next: whether it ends, and the loop that it then ends with.
    /// An end token comes before a stop, a stop before the length, the length before a loop.
    pub(super) fn outcome(&mut self, token: TokenId) -> (Finish, Loop) {
        let ended = self.end_of(&[], token);
        let room = self.leaves_room_for(2);
        let repeats = self.plan.config.loop_repeats;
        let held_off = self.is_held_off(1);
        let looped = if self.layout.shape.periods == 0 { Loop::default() } else { self.engine().loop_ahead(token) };
        let finish = match ended {
            Finish::None if !room => Finish::Length,
            Finish::None if repeats != 0 && looped.repeats >= repeats && !held_off => Finish::Loop,
            ended => ended,
        };
        (finish, looped)
    }

    /// Fills in what a pick says about the sequence.
    pub(super) fn describe_sequence(&mut self, pick: &mut Pick) {
        let (finish, looped) = self.outcome(pick.token);
        pick.finish = finish;
        if self.plan.config.metrics.contains(Metrics::LOOP) {
            (pick.loop_period, pick.loop_repeats) = (looped.period, looped.repeats);
            pick.loop_score = self.engine().score_ahead(pick.token);
        }
    }

    /// Whether `min_tokens` keeps the sequence from ending with so many tokens more.
    fn is_held_off(&self, more: u64) -> bool {
        let config = &self.plan.config;
        config.profile != Profile::HuggingFace && self.history.extent.generated + more < u64::from(config.min_tokens)
    }

    /// Whether an end token or a stop sequence ends the sequence if `before` and then `token` are generated next.
    fn end_of(&mut self, before: &[TokenId], token: TokenId) -> Finish {
        if self.is_held_off(before.len() as u64 + 1) {
            return Finish::None;
        }
        let (lists, _) = self.layout.split(self.storage.as_mut());
        if lists.end_tokens[..self.sizes.end_tokens].binary_search(&token).is_ok() {
            return Finish::EndToken;
        }
        if self.sizes.sets[STOPS].sequences == 0 {
            return Finish::None;
        }
        let set = &lists.sets[STOPS];
        let stops = Sequences::new(set.tokens, set.sequences, self.sizes.sets[STOPS]);
        let engine = Engine::new(&self.layout.shape, &mut self.history, lists.history);
        let ring = engine.ring();
        let reach = (ring.extent.run + before.len()).min(self.layout.shape.capacity);
        match stops.shortest_ending(&ring, before, reach, token) {
            Some(_) => Finish::Stop,
            None => Finish::None,
        }
    }

    pub(super) fn engine(&mut self) -> Engine<'_> {
        let (lists, _) = self.layout.split(self.storage.as_mut());
        Engine::new(&self.layout.shape, &mut self.history, lists.history)
    }

    /// Whether nothing has ended the sequence.
    pub(super) fn goes_on(&self) -> bool {
        self.ended == Finish::None && self.leaves_room_for(1)
    }

    /// Whether `max_tokens` allows so many tokens more.
    pub(super) fn leaves_room_for(&self, tokens: usize) -> bool {
        let limit = u64::from(self.plan.config.max_tokens);
        limit == 0 || self.history.extent.generated + tokens as u64 <= limit
    }
}
