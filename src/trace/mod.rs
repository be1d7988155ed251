//! What steps leave behind: the pick with the numbers about it, and traces of whole runs.
//!
//! A trace is written record after record and read by [`Trace`], which believes nothing;
//! the conductor that records and replays is the room `replay`. [The page on traces](crate::docs::replay) says what they are
//! for.

mod cursor;
pub(crate) mod digest;
mod fields;
mod format;
pub(crate) mod metrics;
mod pick;
mod read;
mod record;
mod write;

pub(crate) use cursor::is_outcome;
#[cfg(all(test, feature = "capi"))]
pub(crate) use fields::field_names;
pub(crate) use fields::first_difference;
pub use fields::{FieldDifference, FieldValue};
pub(crate) use format::{ACCEPT, BANS, BYTES, NOTE, PROMPT, SEEK, STATE, UNDO};
pub(crate) use format::{SHAPE_COLUMNS, SHAPE_MASK, SHAPE_MASK_RECORDED, SHAPE_NUMBERS, SHAPE_RECORDED};
pub use pick::{Finish, Pick};
pub use read::{Records, Trace};
pub use record::{Biases, Columns, MaskWords, Record, StepRecord, Tokens};
pub(crate) use write::{StepParts, TraceWriter};
pub use write::{TraceBuffer, TraceSink};
