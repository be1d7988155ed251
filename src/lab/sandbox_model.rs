//! The sandbox's n-gram model as a model for sweeps.
//!
//! A prompt that is text is cut into words; those that the model can say are the history that penalties see. A prompt that
//! is tokens is a list of classes, the ids of what the model says.

use super::run::{Begun, Model};
use super::sweep::Input;
use crate::Kernels;
use crate::sandbox;
use crate::sandbox::features::shift;
use crate::sandbox::rules::{END, PUNCTUATION};
use crate::sandbox::text::tokens;
use crate::types::TokenId;
use sha2::{Digest, Sha256};

/// A sandbox model with the kernels that make its rows.
#[derive(Clone, Copy, Debug)]
pub struct SandboxModel<'m> {
    model: &'m sandbox::Model,
    kernels: Kernels,
}

/// A text of the sandbox: its last three words, and whether a word would have something before it.
#[derive(Clone, Copy, Debug)]
pub struct SandboxText {
    recent: [u32; 3],
    is_begun: bool,
}

impl<'m> SandboxModel<'m> {
    /// The model with these kernels.
    pub fn new(model: &'m sandbox::Model, kernels: Kernels) -> Self {
        SandboxModel { model, kernels }
    }
}

impl Model for SandboxModel<'_> {
    type State = SandboxText;

    fn identity(&self) -> String {
        let (head, space) = (self.model.head(), self.model.space());
        let mut hash = Sha256::new();
        for (element, bytes) in [(head.weights.element(), head.weights.bytes()), (head.bias.element, head.bias.bytes)] {
            hash.update(element.name());
            hash.update(bytes);
        }
        for words in [space.words(), self.model.words()] {
            words.iter().for_each(|word| {
                hash.update((word.len() as u64).to_le_bytes());
                hash.update(word);
            });
        }
        // The sizes of the hashed groups decide the columns: one of each tells both.
        hash.update(format!("{:?}", space.columns(space.start())));
        let digits = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("sandbox {digits}")
    }

    fn vocab(&self) -> usize {
        self.model.vocab()
    }

    fn end_tokens(&self) -> Vec<TokenId> {
        self.model.class(END).into_iter().collect()
    }

    fn token(&self, text: &str) -> Option<TokenId> {
        self.model.class(text)
    }

    fn begin(&self, input: &Input) -> Result<Begun<SandboxText>, String> {
        let words: Vec<String> = match input {
            Input::Text(text) => tokens(text).collect(),
            Input::Tokens(classes) => {
                let word = |&class: &TokenId| self.model.words().get(class as usize).cloned();
                classes.iter().map(word).collect::<Option<_>>().ok_or("a token is not one of the model's")?
            }
        };
        let space = self.model.space();
        Ok(Begun {
            state: SandboxText {
                recent: words.iter().fold(space.start(), |recent, word| shift(recent, space.id(word))),
                is_begun: false,
            },
            input_tokens: words.len(),
            history: words.iter().filter_map(|word| self.model.class(word)).collect(),
        })
    }

    fn rows(&self, texts: &[&SandboxText], rows: &mut [f32], refused: &mut [Option<String>]) {
        for ((text, row), refused) in texts.iter().zip(rows.chunks_mut(self.vocab())).zip(refused) {
            *refused = self.model.logits(self.kernels, text.recent, row).err().map(|error| error.to_string());
        }
    }

    fn advance(&self, text: &mut SandboxText, token: TokenId) -> String {
        let word = self.model.words().get(token as usize).map_or("", String::as_str);
        text.recent = shift(text.recent, self.model.space().id(word));
        let space = if text.is_begun && !PUNCTUATION.contains(&word) { " " } else { "" };
        text.is_begun = true;
        format!("{space}{word}")
    }
}
