//! The samplers of the crate `llm-samplers`, in the order of its own examples, temperature last.

use super::{Call, Task};
use ::llm_samplers::prelude::*;
use rand08::{SeedableRng, rngs::StdRng};

/// The call for a task.
pub fn prepare(task: Task, row: &[f32]) -> Option<Call<'_>> {
    let mut chain = SamplerChain::new();
    match task {
        Task::Greedy => {
            chain.push_sampler(SampleGreedy::new());
        }
        Task::Draw => {}
        Task::Chain => {
            chain.push_sampler(SampleTopK::new(40, 1));
            chain.push_sampler(SampleTopP::new(0.95, 1));
            chain.push_sampler(SampleMinP::new(0.05, 1));
        }
        Task::TopP => {
            chain.push_sampler(SampleTopP::new(0.95, 1));
        }
        Task::Typical => {
            chain.push_sampler(SampleLocallyTypical::new(0.9, 1));
        }
    }
    if task != Task::Greedy {
        chain.push_sampler(SampleTemperature::new(0.8));
        chain.push_sampler(SampleRandDistrib::new());
    }
    let mut resources = SimpleSamplerResources::new(Some(Box::new(StdRng::seed_from_u64(7))), Some(Vec::new()));
    Some(Box::new(move || {
        let mut logits = Logits::try_from_iter(row.iter().copied()).expect("no logit is NaN");
        chain.sample_token(&mut resources, &mut logits).expect("the chain runs").expect("the chain ends with a pick")
    }))
}
