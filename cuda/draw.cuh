// The draws: (a) the inverse of the running mass over what is kept, (b) block-envelope rejection, as src/selection.
#pragma once

#include "typical.cuh"

namespace argpick {

// Makes the next `count` numbers of the step (at most PROPOSALS) available to all threads.
ARGPICK_DEVICE inline void draw_numbers(StepRoom &room, uint32_t count) {
  if (thread_index() == 0) {
    for (uint32_t i = 0; i < count; ++i) {
      room.drawn[i] = next_number(room.numbers);
    }
  }
  block_barrier();
}

// Draw (a) over the listed tokens, in ascending order of token. The list stands by token afterwards.
ARGPICK_APART Drawn draw_from_list(const Step &step, const Kept &kept, uint64_t number) {
  for (uint32_t i = thread_index(); i < kept.count; i += thread_count()) {
    const uint64_t key = step.keys[i];
    step.keys[i] = static_cast<uint64_t>(token_of_rank(key)) << 32 | (key >> 32);
  }
  block_barrier();
  sort_list(step, kept.count, false);
  uint32_t first;
  uint32_t end;
  uint64_t before;
  const uint64_t total = list_masses(step, kept.count, kept.scale, true, first, end, before);
  const uint64_t at = multiply_high(number, total);
  // The one thread in whose part the running sum passes `at` has the token.
  for (uint32_t i = first; i < end; ++i) {
    if (at >= before && at - before < step.masses[i]) {
      step.room->found_token = static_cast<uint32_t>(step.keys[i] >> 32);
    }
    before += step.masses[i];
  }
  block_barrier();
  const uint32_t token = step.room->found_token;
  block_barrier();
  return Drawn{token, true, kept.count, total};
}

// Draw (a) over what a band keeps of the row.
ARGPICK_APART Drawn draw_from_row(const Step &step, const Kept &kept, uint64_t number) {
  const CountAndMass found = kept_masses(step, kept.band, kept.scale);
  sum_bounds(step);
  uint64_t left;
  const uint32_t block = locate(step, multiply_high(number, found.mass), left);
  const Pair pair = keep_band(load_pair(step.view, block), kept.band, block);
  uint64_t mass;
  const uint32_t lane = locate_in_block(masses_of(pair, kept.scale), left, mass);
  block_barrier();
  return Drawn{block * BLOCK + (lane < BLOCK ? lane : 0), true, found.count, found.mass};
}

struct TightenVisitor {
  Scale scale;
  uint64_t *bounds;

  ARGPICK_DEVICE void see(uint32_t block, Pair pair) {
    const PairOfMasses masses = masses_of(pair, scale);
    const uint64_t mass = warp_reduce<AddOf>(masses.a + masses.b);
    if (lane_index() == 0) {
      bounds[block] = mass;
    }
  }
};

// Replaces bounds by exact masses where they are above `limit`: at most 255 of them.
ARGPICK_APART void tighten_large(const Step &step, uint64_t limit) {
  const uint64_t *bounds = step.bounds;
  TightenVisitor visitor{step.scale, step.bounds};
  for_chosen_blocks(step.view, [bounds, limit](uint32_t block) { return bounds[block] > limit; }, visitor);
  block_barrier();
}

// Finishes proposal `k`, which lies so far into a block.
ARGPICK_DEVICE inline void finish_proposal(const Step &step, uint32_t k, uint32_t block, uint64_t left, Pair pair) {
  const PairOfMasses masses = masses_of(pair, step.scale);
  uint64_t mass;
  const uint32_t lane = locate_in_block(masses, left, mass);
  const bool hits = lane < BLOCK;
  const float logit = from_lane(lane < 32 ? pair.a : pair.b, lane % 32);
  const uint64_t own = from_lane(lane < 32 ? masses.a : masses.b, lane % 32);
  if (lane_index() == 0) {
    step.room->proposals[k] = Proposal{block, hits ? block * BLOCK + lane : NO_TOKEN, logit, mass, own};
  }
}

// A round of proposals from bounds that sum to `total`; a warp has several under way at once.
ARGPICK_APART void propose(const Step &step, uint64_t total) {
  for (uint32_t first = warp_index(); first < PROPOSALS; first += warp_count() * AHEAD) {
    uint32_t blocks[AHEAD] = {0, 0, 0, 0};
    uint64_t left[AHEAD] = {0, 0, 0, 0};
    uint32_t count = 0;
    ARGPICK_UNROLL
    for (uint32_t i = 0; i < AHEAD; ++i) {
      const uint32_t k = first + i * warp_count();
      if (k < PROPOSALS) {
        blocks[i] = locate(step, multiply_high(step.room->drawn[k], total), left[i]);
        ++count;
      }
    }
    const RawPairs raw = load_raw(step.view, blocks, count);
    ARGPICK_UNROLL
    for (uint32_t i = 0; i < AHEAD; ++i) {
      if (i < count) {
        const Pair pair = finish_raw(step.view, raw, i, blocks[i]);
        finish_proposal(step, first + i * warp_count(), blocks[i], left[i], pair);
      }
    }
  }
  block_barrier();
}

// The first proposal that hit a token of the band; PROPOSALS if there is none. `hit` is the first that hit any.
ARGPICK_DEVICE inline uint32_t first_accepted(const Step &step, const Band &band, uint32_t &hit) {
  const Proposal &proposal = step.room->proposals[lane_index()];
  const bool hits = proposal.token != NO_TOKEN;
  const uint32_t hitting = ballot(hits);
  const uint32_t accepted = ballot(hits && is_in_band(band, proposal.logit, proposal.token));
  hit = hitting != 0 ? lowest_bit(hitting) : PROPOSALS;
  return accepted != 0 ? lowest_bit(accepted) : PROPOSALS;
}

// Draw (b). `kept` is what the filters kept; if `nucleus` is below one, it is the whole row of which the nucleus is meant, and
// `whole` is the row's mass if it is known.
ARGPICK_APART Drawn draw_by_envelope(const Step &step, const Kept &kept, uint64_t nucleus, uint64_t whole) {
  StepRoom &room = *step.room;
  uint64_t sum = 0;
  for (uint32_t block = thread_index(); block < step.view.blocks; block += thread_count()) {
    const uint64_t bound = bound_of(step.view.maxima[block], step.scale);
    step.bounds[block] = bound;
    sum += bound;
  }
  sum = block_sum(room.scratch, sum);
  tighten_large(step, sum / 256);
  uint64_t total = sum_bounds(step);
  Band band = kept.band;
  bool is_open = nucleus < PROBABILITY_ONE; // the nucleus' cut is not known
  for (uint32_t round = 0; round < ROUNDS; ++round) {
    if (round != 0) {
      draw_numbers(room, PROPOSALS);
    }
    propose(step, total);
    uint32_t hit;
    uint32_t accepted = first_accepted(step, band, hit);
    if (is_open && hit < PROPOSALS) {
      const Proposal proposal = room.proposals[hit];
      if (is_in_nucleus(step, nucleus, whole, Cut{proposal.logit, proposal.token}, proposal.own)) {
        accepted = hit;
      } else {
        // One rejection is rare; from now on the cut itself is cheaper.
        const uint64_t mass = whole != 0 ? whole : kept_of_row(step, band, step.scale).mass;
        band.last = nucleus_cut(step, nucleus, mass, proposal.logit);
        is_open = false;
        accepted = first_accepted(step, band, hit);
      }
    }
    if (accepted < PROPOSALS) {
      const uint32_t token = room.proposals[accepted].token;
      block_barrier();
      return Drawn{token, false, 0, 0};
    }
    if (thread_index() < PROPOSALS) {
      // A block that was touched twice gets the same mass twice.
      const Proposal &proposal = room.proposals[thread_index()];
      step.bounds[proposal.block] = proposal.mass;
    }
    block_barrier();
    total = sum_bounds(step);
  }
  Kept found = kept;
  found.band.last = band.last;
  if (is_open) {
    const uint64_t mass = whole != 0 ? whole : kept_of_row(step, band, step.scale).mass;
    found.band.last = nucleus_cut(step, nucleus, mass, -LARGEST);
  }
  draw_numbers(room, 1);
  return draw_from_row(step, found, room.drawn[0]);
}

} // namespace argpick
