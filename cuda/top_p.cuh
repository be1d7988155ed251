// Top-p on the whole row: the cut of the nucleus, and whether a proposed token lies in it.
#pragma once

#include "list.cuh"

namespace argpick {

// The cut of the nucleus of what the band keeps, which is a prefix; `whole` is its mass. The last token is known to have a
// logit of at least `least`.
ARGPICK_DEVICE inline Cut nucleus_cut(const Step &step, uint64_t p, uint64_t whole, float least) {
  const uint64_t target = nucleus_target(p, whole);
  return first_mass(step, target == 0 ? 1 : target, least);
}

struct NucleusVisitor {
  Scale scale;
  Cut upto;
  uint64_t kept;
  uint64_t total;

  ARGPICK_DEVICE void see(uint32_t block, Pair pair) {
    const PairOfMasses masses = masses_of(pair, scale);
    const uint32_t token = block * BLOCK + lane_index();
    total += masses.a + masses.b;
    kept += is_before_or_at(upto, pair.a, token) ? masses.a : 0;
    kept += is_before_or_at(upto, pair.b, token + 32) ? masses.b : 0;
  }
};

// Whether the token that ends `upto`, of mass `own`, lies in the nucleus: whether the mass before it is below `p` (units of
// 2^-32) of the whole. `whole` is the mass of the row, 0 if it is not known.
//
// The masses of a few blocks decide most cases; the others are bracketed by what their bounds say.
ARGPICK_APART bool is_in_nucleus(const Step &step, uint64_t p, uint64_t whole, Cut upto, uint64_t own) {
  if (upto.token == step.argmax) {
    return true; // nothing is before it
  }
  Scratch &scratch = step.room->scratch;
  // Blocks below this weigh nothing; rounding may let in a few that do not either.
  const float lightest = step.scale.maximum - 41.0f / step.scale.factor;
  float least = upto.logit;
  for (uint32_t attempt = 0;; ++attempt) {
    NucleusVisitor visitor{step.scale, upto, 0, 0};
    for_blocks(step.view, least > lightest ? least : lightest, visitor);
    const uint64_t kept = block_sum(scratch, visitor.kept);
    const uint64_t loaded = block_sum(scratch, visitor.total);
    if (whole != 0) {
      return is_below_share(kept - own, p, whole);
    }
    // The other blocks weigh at least their largest token, and at most 64 times it but for rounding.
    uint64_t lower = 0;
    uint64_t upper = 0;
    const float threshold = least > -LARGEST ? least : -LARGEST;
    for (uint32_t block = thread_index(); block < step.view.blocks; block += thread_count()) {
      const float maximum = step.view.maxima[block];
      if (!(maximum >= threshold)) {
        lower += mass_of(maximum, step.scale);
        upper += bound_of(maximum, step.scale);
      }
    }
    lower = block_sum(scratch, lower);
    upper = block_sum(scratch, upper);
    if (is_below_share(kept - own, p, loaded + lower)) {
      return true;
    }
    // What stands before the token lies in blocks that reach its logit: all of it is known.
    if (!is_below_share(kept - own, p, loaded + upper)) {
      return false;
    }
    // Neither: more blocks.
    const float next = step.scale.maximum - (attempt == 0 ? 10.0f : 20.0f) / step.scale.factor;
    least = attempt >= 2 ? -LARGEST : next < least ? next : least;
  }
}

} // namespace argpick
