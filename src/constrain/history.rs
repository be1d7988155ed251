//! The tokens so far: a ring of fixed capacity in the caller's memory.

use crate::error::{Error, Result};
use crate::types::TokenId;

/// Counters of a history whose tokens lie in a ring of `capacity` entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Tokens recorded since the last reset, prompt included; the ring holds the last `capacity` of them.
    recorded: u64,
    /// How many of the newest entries are in the ring.
    held: usize,
    /// Tokens generated since the last reset, the prompt excluded.
    pub generated: u64,
}

impl History {
    /// Records tokens; the oldest leave when the ring is full.
    pub fn push(&mut self, ring: &mut [TokenId], tokens: &[TokenId], generated: bool) {
        for &token in tokens {
            ring[(self.recorded % ring.len() as u64) as usize] = token;
            self.recorded += 1;
        }
        self.held = (self.held + tokens.len()).min(ring.len());
        if generated {
            self.generated += tokens.len() as u64;
        }
    }

    /// Forgets the last `count` generated tokens. `window` tokens must still be known afterwards, if there ever were as many.
    pub fn undo(&mut self, count: usize, window: usize) -> Result<()> {
        let left = self.recorded - count.min(self.recorded as usize) as u64;
        let spare = if self.recorded > self.held as u64 {
            // Some tokens have left the ring for good: what the window needs must stay.
            self.held.saturating_sub(window)
        } else {
            self.held
        };
        let available = spare.min(usize::try_from(self.generated).unwrap_or(usize::MAX));
        if count > available {
            return Err(Error::UndoTooFar { requested: count, available });
        }
        self.recorded = left;
        self.held -= count;
        self.generated -= count as u64;
        Ok(())
    }

    /// The tokens in the ring, oldest first.
    pub fn tokens<'a>(&self, ring: &'a [TokenId]) -> impl ExactSizeIterator<Item = TokenId> + 'a {
        let (oldest, capacity) = (self.recorded - self.held as u64, ring.len() as u64);
        (0..self.held).map(move |i| ring[((oldest + i as u64) % capacity) as usize])
    }

    /// Tokens recorded, prompt included.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// The history of so many recorded and generated tokens whose last ones are `tokens`: no more than the ring takes,
    /// and no more than were recorded.
    pub fn restore(
        ring: &mut [TokenId],
        recorded: u64,
        generated: u64,
        tokens: impl ExactSizeIterator<Item = TokenId>,
    ) -> History {
        let held = tokens.len();
        debug_assert!(held <= ring.len() && held as u64 <= recorded, "{held} of {recorded} in {}", ring.len());
        let (oldest, capacity) = (recorded - held as u64, ring.len() as u64);
        for (i, token) in tokens.enumerate() {
            ring[((oldest + i as u64) % capacity) as usize] = token;
        }
        History { recorded, held, generated }
    }

    /// The last generated tokens, newest first, at most `window`.
    pub fn window<'a>(&self, ring: &'a [TokenId], window: usize) -> impl Iterator<Item = TokenId> + 'a {
        let count = (window.min(self.held) as u64).min(self.generated);
        let (recorded, capacity) = (self.recorded, ring.len() as u64);
        (1..=count).map(move |back| ring[((recorded - back) % capacity) as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_holds_generated_tokens_only_and_wraps() {
        let mut ring = [0; 4];
        let mut history = History::default();
        history.push(&mut ring, &[9, 8], false);
        history.push(&mut ring, &[1], true);
        assert_eq!(history.window(&ring, 3).collect::<Vec<_>>(), [1]);
        history.push(&mut ring, &[2, 3, 4], true);
        assert_eq!(history.window(&ring, 3).collect::<Vec<_>>(), [4, 3, 2]);
        history.undo(1, 3).unwrap();
        assert_eq!(history.window(&ring, 3).collect::<Vec<_>>(), [3, 2, 1]);
        // Another one would need the token that has left the ring.
        assert_eq!(history.undo(1, 3), Err(Error::UndoTooFar { requested: 1, available: 0 }));
    }
}
