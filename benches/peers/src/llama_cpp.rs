//! llama.cpp's sampler chain, through the bindings of its `-sys` crate.
//!
//! A call does what `llama_sampler_sample` does once the logits are there: it fills the chain's array of candidates, applies
//! the chain, and accepts the token. The array is allocated once, as there. The samplers stand in llama.cpp's own default
//! order, temperature last.

use super::{Call, Task};
use llama_cpp_sys_2 as sys;

struct Chain(*mut sys::llama_sampler);

impl Chain {
    /// By a method, so that a closure that calls it owns the chain and not only a copy of the pointer.
    fn pointer(&self) -> *mut sys::llama_sampler {
        self.0
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // SAFETY: the chain was made by `llama_sampler_chain_init` and is freed once; it owns its samplers.
        unsafe { sys::llama_sampler_free(self.0) }
    }
}

/// The call for a task.
pub fn prepare(task: Task, row: &[f32]) -> Option<Call<'_>> {
    // SAFETY: each sampler is added to the chain, which owns it from then on.
    let chain = unsafe {
        let chain = sys::llama_sampler_chain_init(sys::llama_sampler_chain_default_params());
        let add = |sampler| sys::llama_sampler_chain_add(chain, sampler);
        match task {
            Task::Greedy => add(sys::llama_sampler_init_greedy()),
            Task::Draw => {}
            Task::Chain => {
                add(sys::llama_sampler_init_top_k(40));
                add(sys::llama_sampler_init_top_p(0.95, 1));
                add(sys::llama_sampler_init_min_p(0.05, 1));
            }
            Task::TopP => add(sys::llama_sampler_init_top_p(0.95, 1)),
            Task::Typical => add(sys::llama_sampler_init_typical(0.9, 1)),
        }
        if task != Task::Greedy {
            add(sys::llama_sampler_init_temp(0.8));
            add(sys::llama_sampler_init_dist(7));
        }
        Chain(chain)
    };
    let mut candidates: Vec<sys::llama_token_data> = Vec::with_capacity(row.len());
    Some(Box::new(move || {
        candidates.clear();
        candidates.extend((0..).zip(row).map(|(id, &logit)| sys::llama_token_data { id, logit, p: 0.0 }));
        let mut array = sys::llama_token_data_array {
            data: candidates.as_mut_ptr(),
            size: candidates.len(),
            selected: -1,
            sorted: false,
        };
        // SAFETY: the array describes `candidates`, which outlives the calls; the chain lives as long as this closure.
        unsafe {
            sys::llama_sampler_apply(chain.pointer(), &mut array);
            let selected = usize::try_from(array.selected).expect("the chain ends with a pick");
            assert!(selected < array.size);
            let token = (*array.data.add(selected)).id;
            sys::llama_sampler_accept(chain.pointer(), token);
            token as u32
        }
    }))
}
