//! argpick, as its user has it.

use super::{Call, Task};
use argpick::{Config, Decoder, Mode};

/// The call for a task.
pub fn prepare(task: Task, row: &[f32]) -> Option<Call<'_>> {
    let drawn = Config { seed: 7, temperature: 0.8, ..Config::default() };
    let config = match task {
        Task::Greedy => Config { mode: Mode::Greedy, ..Config::default() },
        Task::Draw => drawn,
        Task::Chain => Config { top_k: 40, top_p: 0.95, min_p: 0.05, ..drawn },
        Task::TopP => Config { top_p: 0.95, ..drawn },
        Task::Typical => Config { typical_p: 0.9, ..drawn },
    };
    let mut decoder = Decoder::new(&config, row.len()).expect("the configuration is valid");
    Some(Box::new(move || decoder.decode(row, None).expect("the row is valid").token))
}
