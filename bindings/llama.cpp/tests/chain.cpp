// argpick in chains of llama.cpp, on rows made here: no model is needed. Each answer is compared with that of a decoder
// which is driven through the C ABI alone.
#include "../argpick_llama.hpp"

#include "../../cpp/tests/check.hpp"

#include <algorithm>
#include <string>

namespace {

constexpr std::int32_t vocab = 1000;
constexpr float infinity = std::numeric_limits<float>::infinity();

/// Numbers that look normal: the sum of the 16-bit parts of a SplitMix64 word.
std::vector<float> row_of(std::uint64_t seed) {
  std::vector<float> row;
  for (std::uint64_t index = 0; index < vocab; ++index) {
    std::uint64_t word = seed * 0x100000001B3u + (index + 1) * 0x9E3779B97F4A7C15u;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    word ^= word >> 31;
    const int sum = static_cast<int>((word & 0xFFFF) + (word >> 16 & 0xFFFF) + (word >> 32 & 0xFFFF) + (word >> 48));
    row.push_back(static_cast<float>(sum - 131070) / 16384.0f);
  }
  return row;
}

struct array {
  std::vector<llama_token_data> entries;
  llama_token_data_array view{};

  explicit array(const std::vector<float>& row) {
    for (std::size_t id = 0; id < row.size(); ++id) entries.push_back({static_cast<llama_token>(id), row[id], 0.0f});
    look();
  }
  llama_token_data_array* look() {
    view = {entries.data(), entries.size(), -1, false};
    return &view;
  }
  /// What a host reads that does not ask whether anything was selected.
  llama_token blind() const { return view.data[view.selected].id; }
};

argpick_config config_of(std::uint64_t seed = 7) {
  argpick_config config;
  CHECK(argpick_config_init(&config, sizeof config) == ARGPICK_OK);
  config.temperature = 0.8f;
  config.top_k = 40;
  config.top_p = 0.95f;
  config.repetition_penalty = 1.3f;
  config.seed = seed;
  config.metrics = ARGPICK_METRIC_ALL;
  return config;
}

/// The same through the C ABI.
struct reference {
  argpick_decoder* decoder = nullptr;
  argpick_pick pick{};

  explicit reference(const argpick_config& config) {
    CHECK(argpick_decoder_new(&config, vocab, &decoder) == ARGPICK_OK);
    pick.struct_size = sizeof pick;
  }
  reference(const reference&) = delete;
  ~reference() { argpick_decoder_free(decoder); }
  llama_token decode(const std::vector<float>& row) {
    CHECK(argpick_decode(decoder, row.data(), ARGPICK_F32, vocab, nullptr, 0, &pick) == ARGPICK_OK);
    return static_cast<llama_token>(pick.token);
  }
  void accept(std::uint32_t token) { CHECK(argpick_decoder_accept(decoder, &token, 1) == ARGPICK_OK); }
  void prompt(std::uint32_t token) { CHECK(argpick_decoder_prompt(decoder, &token, 1) == ARGPICK_OK); }
};

llama_sampler* chain_of(std::initializer_list<llama_sampler*> samplers) {
  llama_sampler* const chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
  for (llama_sampler* sampler : samplers) {
    CHECK(sampler != nullptr);
    llama_sampler_chain_add(chain, sampler);
  }
  return chain;
}

llama_sampler* made(const argpick_config& config, argpick::llama::role what = argpick::llama::role::picks) {
  llama_sampler* const sampler = argpick::llama::create(config, vocab, what);
  CHECK(sampler != nullptr && argpick::llama::is_argpick(sampler));
  return sampler;
}

bool same(const argpick_pick& one, const argpick_pick& other) { return std::memcmp(&one, &other, sizeof one) == 0; }

llama_token step(llama_sampler* chain, const std::vector<float>& row) {
  array candidates(row);
  llama_sampler_apply(chain, &candidates.view);
  CHECK(candidates.view.selected >= 0);
  const llama_token token = candidates.view.data[candidates.view.selected].id;
  llama_sampler_accept(chain, token);
  return token;
}

// ---- the tests ------------------------------------------------------------------------------------------------------

void a_chain_picks_what_the_decoder_picks(const argpick_config& config) {
  llama_sampler* const chain = chain_of({made(config)});
  const llama_sampler* const ours = llama_sampler_chain_get(chain, 0);
  CHECK(std::string(llama_sampler_name(ours)) == "argpick");
  reference expected(config);
  for (std::uint32_t token : {5u, 900u, 5u}) {
    llama_sampler_accept(chain, static_cast<llama_token>(token));
    expected.prompt(token);
  }
  for (std::uint64_t number = 0; number < 200; ++number) {
    const std::vector<float> row = row_of(number);
    CHECK(step(chain, row) == expected.decode(row));
    CHECK(same(*argpick::llama::pick(ours), expected.pick));
  }
  llama_sampler_reset(chain);
  CHECK(argpick_decoder_reset(expected.decoder, nullptr) == ARGPICK_OK);
  CHECK(step(chain, row_of(3)) == expected.decode(row_of(3)));
  llama_sampler_free(chain);
}

void order_does_not_matter_and_what_is_missing_is_masked() {
  const argpick_config config = config_of();
  llama_sampler* const sampler = made(config);
  reference expected(config);
  for (std::uint64_t number = 0; number < 60; ++number) {
    std::vector<float> row = row_of(number);
    array candidates(row);
    // Another order, and each third round a part of them, and each fifth some of -inf.
    const auto place = [](const llama_token_data& entry) { return (entry.id * 7919 + 13) % 1009; };
    std::sort(candidates.entries.begin(), candidates.entries.end(),
              [&](const llama_token_data& one, const llama_token_data& other) { return place(one) < place(other); });
    if (number % 3 == 1) {
      candidates.entries.resize(100 + number);
      std::vector<float> masked(vocab, -infinity);
      for (const llama_token_data& entry : candidates.entries) masked[static_cast<std::size_t>(entry.id)] = entry.logit;
      row = masked;
    }
    if (number % 5 == 2) {
      for (std::size_t index = 0; index < candidates.entries.size(); index += 2) {
        candidates.entries[index].logit = row[static_cast<std::size_t>(candidates.entries[index].id)] = -infinity;
      }
    }
    const std::vector<llama_token_data> before = candidates.entries;
    llama_sampler_apply(sampler, candidates.look());
    CHECK(candidates.view.size == before.size());
    CHECK(std::memcmp(before.data(), candidates.entries.data(), before.size() * sizeof before[0]) == 0);
    const llama_token token = candidates.view.data[candidates.view.selected].id;
    CHECK(token == expected.decode(row));
    llama_sampler_accept(sampler, token);
  }
  llama_sampler_free(sampler);
}

void a_filter_of_llama_cpp_before_it_is_obeyed() {
  llama_sampler* const chain = chain_of({llama_sampler_init_top_k(5), made(config_of())});
  for (std::uint64_t number = 0; number < 50; ++number) {
    const std::vector<float> row = row_of(number);
    const llama_token token = step(chain, row);
    const float logit = row[static_cast<std::size_t>(token)];
    CHECK(std::count_if(row.begin(), row.end(), [&](float other) { return other > logit; }) < 5);
  }
  llama_sampler_free(chain);
}

void a_filter_leaves_what_is_drawn_from() {
  const argpick_config config = config_of();
  llama_sampler* const filters = made(config, argpick::llama::role::filters);
  CHECK(argpick::llama::pick(filters) == nullptr);
  llama_sampler* const chain = chain_of({filters, llama_sampler_init_dist(3)});
  reference expected(config);
  for (std::uint64_t number = 0; number < 100; ++number) {
    const std::vector<float> row = row_of(number);
    std::vector<float> processed = row, probabilities = row;
    CHECK(argpick_process(expected.decoder, processed.data(), vocab, nullptr, 0) == ARGPICK_OK);
    CHECK(argpick_probabilities(expected.decoder, probabilities.data(), vocab, nullptr, 0) == ARGPICK_OK);
    array candidates(row);
    llama_sampler_apply(chain, &candidates.view);
    CHECK(candidates.view.selected >= 0 && candidates.view.size > 0 && candidates.view.size <= 40);
    std::size_t kept = 0;
    for (float logit : processed) kept += logit != -infinity;
    CHECK(candidates.view.size == kept);
    for (std::size_t index = 0; index < candidates.view.size; ++index) {
      const llama_token_data entry = candidates.view.data[index];
      CHECK(entry.logit == processed[static_cast<std::size_t>(entry.id)]);
      // dist of llama.cpp has computed p with its own exponential.
      CHECK(kept == 1 || std::fabs(entry.p - probabilities[static_cast<std::size_t>(entry.id)]) < 1e-5f);
    }
    const llama_token token = candidates.view.data[candidates.view.selected].id;
    llama_sampler_accept(chain, token);
    expected.accept(static_cast<std::uint32_t>(token));
  }
  llama_sampler_free(chain);
}

void a_pick_that_is_not_accepted_was_never_made(std::uint32_t mirostat) {
  argpick_config config = config_of();
  config.mirostat = mirostat;
  if (mirostat != 0) config.top_k = 0, config.top_p = 1.0f;
  llama_sampler* const sampler = made(config);
  reference expected(config);
  for (std::uint64_t number = 0; number < 60; ++number) {
    const std::vector<float> row = row_of(number);
    if (number % 4 == 1) {  // a row that the host throws away
      array other(row_of(number + 1000));
      llama_sampler_apply(sampler, &other.view);
    }
    array candidates(row);
    llama_sampler_apply(sampler, &candidates.view);
    if (number % 4 == 2) {  // the host, or a grammar that judges afterwards, decides for another
      llama_sampler_accept(sampler, 17);
      expected.accept(17);
      continue;
    }
    const llama_token token = candidates.view.data[candidates.view.selected].id;
    CHECK(token == expected.decode(row));
    llama_sampler_accept(sampler, token);
    if (number % 4 == 3) {  // what the host adds of its own
      llama_sampler_accept(sampler, 18);
      expected.accept(18);
    }
    if (number == 30) {
      const llama_token turn[] = {4, 5, 6};
      CHECK(argpick::llama::prompt(sampler, turn, 3) == ARGPICK_OK);
      for (std::uint32_t id : {4u, 5u, 6u}) expected.prompt(id);
    }
  }
  std::uint64_t position = 0, wanted = 0;
  CHECK(argpick_decoder_position(argpick::llama::decoder(sampler), &position) == ARGPICK_OK);
  CHECK(argpick_decoder_position(expected.decoder, &wanted) == ARGPICK_OK);
  CHECK(position == wanted);
  llama_sampler_free(sampler);
}

void copies_go_their_own_way() {
  llama_sampler* const chain = chain_of({made(config_of())});
  for (std::uint64_t number = 0; number < 20; ++number) step(chain, row_of(number));
  llama_sampler* const clone = llama_sampler_clone(chain);
  llama_sampler* const target = chain_of({made(config_of(99), argpick::llama::role::filters)});
#ifdef ARGPICK_TEST_HAS_COPY
  llama_sampler_copy(chain, target);
#endif
  for (std::uint64_t number = 20; number < 60; ++number) {
    const llama_token token = step(chain, row_of(number));
    CHECK(token == step(clone, row_of(number)));
#ifdef ARGPICK_TEST_HAS_COPY
    CHECK(token == step(target, row_of(number)));
#endif
  }
  // A pick that waits in the original is no business of the clone's.
  array candidates(row_of(60));
  llama_sampler_apply(chain, &candidates.view);
  llama_sampler* const late = llama_sampler_clone(chain);
  CHECK(step(late, row_of(61)) == step(clone, row_of(61)));
  for (llama_sampler* each : {chain, clone, target, late}) llama_sampler_free(each);
}

void nothing_can_be_taken_for_a_token(llama_sampler* after, argpick::llama::role what) {
  const argpick_config config = config_of();
  llama_sampler* const ours = made(config, what);
  llama_sampler* const chain = after == nullptr ? chain_of({ours}) : chain_of({ours, after});
  reference expected(config);
  const auto refuses = [&](array& candidates, argpick_status status, const char* text) {
    llama_sampler_apply(chain, candidates.look());
    CHECK(candidates.view.size == 0);
    CHECK(candidates.view.selected < 1);
    CHECK(candidates.blind() == LLAMA_TOKEN_NULL);
    CHECK(argpick::llama::status(ours) == status);
    CHECK(std::strstr(argpick::llama::error(ours), text) != nullptr);
    CHECK(std::string(argpick::llama::error_in(chain)) == argpick::llama::error(ours));
  };
  for (std::uint64_t number = 0; number < 10; ++number) {
    const std::vector<float> row = row_of(number);
    array bad(row);
    bad.entries[9].logit = bad.entries[7].logit = std::nanf("");
    refuses(bad, ARGPICK_ERR_INVALID_LOGIT, "token 7 is NaN");
    std::swap(bad.entries[0], bad.entries[1]);  // the same where candidates are not in order
    refuses(bad, ARGPICK_ERR_INVALID_LOGIT, "token 7 is NaN");
    bad = array(row);
    bad.entries[11].logit = infinity;
    refuses(bad, ARGPICK_ERR_INVALID_LOGIT, "token 11");
    bad = array(std::vector<float>(vocab, -infinity));
    refuses(bad, ARGPICK_ERR_EVERYTHING_MASKED, "");
    bad = array(row);
    bad.entries.clear();
    refuses(bad, ARGPICK_ERR_EVERYTHING_MASKED, "");
    bad = array(row);
    bad.entries[3].id = vocab;
    refuses(bad, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, "1000");
    bad = array(row);
    bad.entries[3].id = -1;
    refuses(bad, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, "-1");
    bad = array(row);
    bad.entries[3].id = 8;
    refuses(bad, ARGPICK_ERR_DUPLICATE_TOKEN, "token 8");
    bad.entries[3].id = 999;
    bad.entries[3].logit = bad.entries[999].logit = -infinity;
    refuses(bad, ARGPICK_ERR_DUPLICATE_TOKEN, "token 999");
    // None of it has left a mark.
    array good(row);
    llama_sampler_apply(chain, &good.view);
    CHECK(good.view.selected >= 0 && argpick::llama::status(ours) == ARGPICK_OK && *argpick::llama::error(ours) == '\0');
    const llama_token token = good.view.data[good.view.selected].id;
    if (after == nullptr) {
      CHECK(token == expected.decode(row));
    } else {
      expected.accept(static_cast<std::uint32_t>(token));
    }
    llama_sampler_accept(chain, token);
    std::uint64_t position = 0;
    CHECK(argpick_decoder_position(argpick::llama::decoder(ours), &position) == ARGPICK_OK && position == number + 1);
  }
  // A token that nobody can have generated: the history is not the host's any more.
  llama_sampler_accept(ours, vocab);
  array good(row_of(0));
  refuses(good, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, "cannot be accepted");
  llama_sampler_accept(ours, 3);
  good = array(row_of(0));
  refuses(good, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, "cannot be accepted");
  llama_sampler_reset(chain);
  good = array(row_of(0));
  llama_sampler_apply(chain, &good.view);
  CHECK(good.view.selected >= 0);
  llama_sampler_free(chain);
}

void an_ended_sequence_gives_no_token() {
  argpick_config config = config_of();
  config.max_tokens = 3;
  llama_sampler* const sampler = made(config);
  for (std::uint64_t number = 0; number < 3; ++number) step(sampler, row_of(number));
  CHECK(argpick::llama::pick(sampler)->finish == ARGPICK_FINISH_LENGTH);
  array candidates(row_of(3));
  llama_sampler_apply(sampler, &candidates.view);
  CHECK(candidates.blind() == LLAMA_TOKEN_NULL && argpick::llama::status(sampler) == ARGPICK_ERR_FINISHED);
  llama_sampler_free(sampler);
}

void what_cannot_be_made_is_refused() {
  argpick_config config = config_of();
  config.top_p = 1.5f;
  CHECK(argpick::llama::create(config, vocab) == nullptr);
  CHECK(std::strstr(argpick_last_error(), "top_p") != nullptr);
  CHECK(argpick::llama::create(config_of(), 0) == nullptr);
  CHECK(argpick::llama::create(config_of(), -1) == nullptr);
  llama_sampler* const other = llama_sampler_init_greedy();
  CHECK(!argpick::llama::is_argpick(other) && !argpick::llama::is_argpick(nullptr));
  CHECK(argpick::llama::decoder(other) == nullptr && argpick::llama::pick(other) == nullptr);
  CHECK(argpick::llama::status(other) == ARGPICK_ERR_NULL);
  CHECK(argpick::llama::prompt(other, nullptr, 0) == ARGPICK_ERR_NULL);
  llama_sampler_free(other);
}

}  // namespace

int main() {
  using argpick::llama::role;
  a_chain_picks_what_the_decoder_picks(config_of());
  argpick_config greedy = config_of();
  greedy.temperature = 0.0f;
  a_chain_picks_what_the_decoder_picks(greedy);
  order_does_not_matter_and_what_is_missing_is_masked();
  a_filter_of_llama_cpp_before_it_is_obeyed();
  a_filter_leaves_what_is_drawn_from();
  for (std::uint32_t mirostat : {0u, 1u, 2u}) a_pick_that_is_not_accepted_was_never_made(mirostat);
  copies_go_their_own_way();
  nothing_can_be_taken_for_a_token(nullptr, role::picks);
  nothing_can_be_taken_for_a_token(llama_sampler_init_dist(1), role::filters);
  nothing_can_be_taken_for_a_token(llama_sampler_init_greedy(), role::filters);
  an_ended_sequence_gives_no_token();
  what_cannot_be_made_is_refused();
  std::puts("chains of llama.cpp: all as it should be");
  return 0;
}
