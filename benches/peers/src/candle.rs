//! candle's `LogitsProcessor`. It has neither min-p nor typical: its chain is top-k and top-p.

use super::{Call, Task};
use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};

/// The call for a task.
pub fn prepare(task: Task, row: &[f32]) -> Option<Call<'_>> {
    let temperature = 0.8;
    let sampling = match task {
        Task::Greedy => Sampling::ArgMax,
        Task::Draw => Sampling::All { temperature },
        Task::Chain => Sampling::TopKThenTopP { k: 40, p: 0.95, temperature },
        Task::TopP => Sampling::TopP { p: 0.95, temperature },
        Task::Typical => return None,
    };
    let mut processor = LogitsProcessor::from_sampling(7, sampling);
    // A model leaves its logits in a tensor: making it is not the sampler's work.
    let logits = Tensor::from_slice(row, row.len(), &Device::Cpu).expect("a tensor");
    Some(Box::new(move || processor.sample(&logits).expect("a token")))
}
