// Penalties, biases and bans of a row, as one sorted list of adjusted logits: what src/history and src/constrain do.
//
// The newest tokens of the history are sorted in shared memory, so that equal ones lie together and can be counted by binary
// search. Each distinct token, bias and ban then finds the others that belong to its token, and its place among all of them,
// the same way; a token that stands in two lists gets two entries with the same logit.
#pragma once

#include "plan.cuh"
#include "rows.cuh"

namespace argpick {

// Shared memory; sorted window and starts of runs, `padded` entries each, follow it.
struct AdjustRoom {
  Scratch scratch;
  uint32_t runs;
  uint32_t bad_place;
  uint32_t bad_token;
};

// The first place in [low, high) whose entry is at least `wanted`.
template <typename Entry> ARGPICK_DEVICE inline uint32_t first_at_least(uint32_t count, uint32_t wanted, const Entry &entry) {
  uint32_t low = 0;
  uint32_t high = count;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (entry(middle) < wanted) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// The lists of a row. A history token is 2 token + 1 if it is prompt.
struct Lists {
  const uint32_t *window; // sorted
  const uint32_t *starts; // of the runs of equal tokens
  uint32_t held;          // entries of the window
  uint32_t runs;
  const argpick_device_bias *biases;
  uint32_t bias_count;
  const uint32_t *bans;
  uint32_t ban_count;

  ARGPICK_DEVICE uint32_t run_token(uint32_t i) const { return window[starts[i]] / 2; }
  ARGPICK_DEVICE uint32_t first_run(uint32_t token) const {
    return first_at_least(runs, token, [this](uint32_t i) { return run_token(i); });
  }
  ARGPICK_DEVICE uint32_t first_bias(uint32_t token) const {
    return first_at_least(bias_count, token, [this](uint32_t i) { return biases[i].token; });
  }
  ARGPICK_DEVICE uint32_t first_ban(uint32_t token) const {
    return first_at_least(ban_count, token, [this](uint32_t i) { return bans[i]; });
  }
};

// The logit of a token after penalties and bias, in canon's order: repetition, frequency and presence, bias.
ARGPICK_DEVICE inline float adjust_logit(const argpick_device_row &row, const Lists &lists, uint32_t token, float given) {
  float logit = given;
  const uint32_t run = lists.first_run(token);
  if (run < lists.runs && lists.run_token(run) == token) {
    const uint32_t end = run + 1 < lists.runs ? lists.starts[run + 1] : lists.held;
    const uint32_t count = end - lists.starts[run];
    if (row.repetition_penalty != 1.0f) {
      logit = logit > 0.0f ? logit / row.repetition_penalty : logit * row.repetition_penalty;
    }
    if (row.frequency_penalty != 0.0f || row.presence_penalty != 0.0f) {
      const float penalty = static_cast<float>(count) * row.frequency_penalty + row.presence_penalty;
      logit = logit - penalty;
    }
  }
  const uint32_t bias = lists.first_bias(token);
  if (bias < lists.bias_count && lists.biases[bias].token == token) {
    logit = logit + lists.biases[bias].value;
  }
  return logit;
}

// Sorts the window of the history; returns how many of its entries count.
ARGPICK_DEVICE inline uint32_t sort_window(AdjustRoom &room, const argpick_device_row &row, uint32_t vocab,
                                           uint32_t *window, uint32_t padded) {
  const uint32_t length = window_of(row);
  uint32_t mine = 0;
  for (uint32_t i = thread_index(); i < padded; i += thread_count()) {
    uint32_t key = NO_TOKEN;
    if (i < length) {
      const uint64_t number = row.history_recorded - length + i;
      const uint32_t entry = row.history[number % row.history_capacity];
      const uint32_t token = entry & ~ARGPICK_DEVICE_PROMPT;
      const bool is_prompt = (entry & ARGPICK_DEVICE_PROMPT) != 0;
      if (token >= vocab) {
        min_at(&room.bad_place, i);
      } else if (!is_prompt || row.penalty_generated == 0) {
        key = 2 * token;
        ++mine;
      }
    }
    window[i] = key;
  }
  const uint32_t held = block_sum(room.scratch, mine);
  block_sort(window, padded, false);
  return held;
}

// Finds where the runs of equal tokens start; returns how many there are.
ARGPICK_DEVICE inline uint32_t find_runs(AdjustRoom &room, const uint32_t *window, uint32_t held, uint32_t *starts) {
  const uint32_t part = (held + thread_count() - 1) / thread_count();
  const uint32_t first = thread_index() * part < held ? thread_index() * part : held;
  const uint32_t end = first + part < held ? first + part : held;
  uint32_t mine = 0;
  for (uint32_t i = first; i < end; ++i) {
    mine += i == 0 || window[i - 1] != window[i] ? 1u : 0u;
  }
  uint32_t total;
  uint32_t place = block_sum_before(room.scratch, mine, total);
  for (uint32_t i = first; i < end; ++i) {
    if (i == 0 || window[i - 1] != window[i]) {
      starts[place] = i;
      ++place;
    }
  }
  block_barrier();
  return total;
}

// Biases and bans must ascend, be in range and be numbers.
ARGPICK_DEVICE inline void check_lists(AdjustRoom &room, const argpick_device_row &row, uint32_t vocab) {
  for (uint32_t i = thread_index(); i < row.bias_count; i += thread_count()) {
    const argpick_device_bias bias = row.biases[i];
    if (bias.token >= vocab || is_invalid(bias.value) || (i > 0 && row.biases[i - 1].token >= bias.token)) {
      min_at(&room.bad_place, i);
    }
  }
  for (uint32_t i = thread_index(); i < row.ban_count; i += thread_count()) {
    if (row.bans[i] >= vocab || (i > 0 && row.bans[i - 1] >= row.bans[i])) {
      min_at(&room.bad_place, i);
    }
  }
}

// Makes the overrides of a row whose configuration is sound. Called by all threads of a block.
ARGPICK_DEVICE inline void adjust_row(const argpick_device_row &row, const View &view, uint32_t vocab,
                                      unsigned char *shared, uint32_t *first_override, Override *overrides,
                                      Adjusted *adjusted) {
  AdjustRoom &room = *reinterpret_cast<AdjustRoom *>(shared);
  const uint32_t length = window_of(row);
  const uint32_t padded = power_of_two_from(length);
  uint32_t *window = reinterpret_cast<uint32_t *>(shared + (sizeof(AdjustRoom) + 15) / 16 * 16);
  uint32_t *starts = window + padded;
  if (thread_index() == 0) {
    room.bad_place = NO_TOKEN;
    room.bad_token = NO_TOKEN;
  }
  block_barrier();
  Lists lists;
  lists.window = window;
  lists.starts = starts;
  lists.biases = row.biases;
  lists.bias_count = row.bias_count;
  lists.bans = row.bans;
  lists.ban_count = row.ban_count;
  lists.held = sort_window(room, row, vocab, window, padded);
  lists.runs = find_runs(room, window, lists.held, starts);
  check_lists(room, row, vocab);
  block_barrier();
  if (room.bad_place != NO_TOKEN) {
    if (thread_index() == 0) {
      *adjusted = Adjusted{0, ARGPICK_ROW_INVALID_LIST, room.bad_place, 0.0f};
    }
    return;
  }
  const uint32_t count = lists.runs + row.bias_count + row.ban_count;
  for (uint32_t i = thread_index(); i < count; i += thread_count()) {
    uint32_t token;
    uint32_t place;
    // Equal tokens stand in the order window, biases, bans.
    if (i < lists.runs) {
      token = lists.run_token(i);
      place = i + lists.first_bias(token) + lists.first_ban(token);
    } else if (i < lists.runs + row.bias_count) {
      const uint32_t bias = i - lists.runs;
      token = row.biases[bias].token;
      place = lists.first_run(token + 1) + bias + lists.first_ban(token);
    } else {
      const uint32_t ban = i - lists.runs - row.bias_count;
      token = row.bans[ban];
      place = lists.first_run(token + 1) + lists.first_bias(token + 1) + ban;
    }
    float logit = -infinity();
    if (is_allowed(view, token)) {
      logit = adjust_logit(row, lists, token, element(view.logits, view.dtype, token));
      if (is_invalid(logit)) {
        min_at(&room.bad_token, token);
      }
      const uint32_t ban = lists.first_ban(token);
      if (ban < row.ban_count && row.bans[ban] == token) {
        logit = -infinity();
      }
    }
    overrides[place] = Override{token, logit};
  }
  block_barrier();
  for (uint32_t block = thread_index(); block <= view.blocks; block += thread_count()) {
    first_override[block] =
        first_at_least(count, block * BLOCK, [overrides](uint32_t i) { return overrides[i].token; });
  }
  if (thread_index() == 0) {
    Adjusted found{count, ARGPICK_ROW_OK, 0, 0.0f};
    if (room.bad_token != NO_TOKEN) {
      const float given = element(view.logits, view.dtype, room.bad_token);
      found.status = ARGPICK_ROW_INVALID_LOGIT;
      found.index = room.bad_token;
      found.value = adjust_logit(row, lists, room.bad_token, given);
    }
    *adjusted = found;
  }
}

} // namespace argpick
