//! The floor: the bare reading of memory.

use argpick::{Error, Kernels, Level};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A reader of memory: the largest of some floats, and nothing else.
#[derive(Clone, Copy, Debug)]
pub enum Reader {
    /// Thirty-two running maxima, which the compiler keeps in registers of the target's baseline.
    Plain,
    /// The library's own kernel, in the widest registers.
    Kernel(Kernels),
}

impl Reader {
    /// The largest value.
    pub fn largest(self, values: &[f32]) -> f32 {
        match self {
            Reader::Plain => plain_largest(values),
            Reader::Kernel(kernels) => kernels.largest(values),
        }
    }

    /// Reads memory of any element type as if it held floats: it is the bytes that count.
    pub fn read_bytes(self, bytes: &[u8]) {
        let (_, floats, _) = bytemuck::pod_align_to::<u8, f32>(bytes);
        black_box(self.largest(black_box(floats)));
    }

    /// Whichever reads `logits` faster here and now.
    pub fn fastest(logits: &[f32]) -> Result<Reader, Error> {
        let best = Level::ALL.into_iter().rev().find(|level| level.is_available()).unwrap_or(Level::Scalar);
        let readers = [Reader::Plain, Reader::Kernel(Kernels::new(best)?)];
        let mut least = [Duration::MAX; 2];
        for _ in 0..200 {
            for (reader, least) in readers.iter().zip(&mut least) {
                let begun = Instant::now();
                black_box(reader.largest(black_box(logits)));
                *least = begun.elapsed().min(*least);
            }
        }
        Ok(if least[1] < least[0] { readers[1] } else { readers[0] })
    }

    /// Its name in reports.
    pub fn name(self) -> String {
        match self {
            Reader::Plain => "32 running maxima in baseline registers".to_owned(),
            Reader::Kernel(kernels) => format!("kernel `largest`, {}", kernels.level()),
        }
    }
}

#[inline(never)]
fn plain_largest(values: &[f32]) -> f32 {
    let (chunks, tail) = values.as_chunks::<32>();
    let mut lanes = [f32::NEG_INFINITY; 32];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes.iter().chain(tail).fold(f32::NEG_INFINITY, |largest, &value| if value > largest { value } else { largest })
}
