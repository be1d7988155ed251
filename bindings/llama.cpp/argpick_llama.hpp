// argpick as a sampler of llama.cpp: any program with a llama_sampler chain can put it there. Header-only, C++17; link
// libargpick and libllama.
//
//   argpick_config config;
//   argpick_config_init(&config, sizeof config);
//   config.temperature = 0.8f;
//   config.top_p = 0.95f;
//   llama_sampler* chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
//   llama_sampler_chain_add(chain, llama_sampler_init_grammar(vocab, grammar, "root"));      // whatever comes before
//   llama_sampler_chain_add(chain, argpick::llama::create(config, llama_vocab_n_tokens(vocab)));
//   ...
//   llama_token token;
//   if (argpick::llama::sample(chain, context, -1, &token) != ARGPICK_OK) puts(argpick::llama::error_in(chain));
//
// A sampler has one of two roles. role::picks selects the token: `selected` is set, the candidates stay as they are. It
// belongs at the end of a chain. role::filters selects nothing: candidates that argpick removes leave the array, the others
// get the logit that is drawn from (adjusted, and divided by the temperature), so that any sampler may follow; its
// `sorted` is false then.
//
// Candidates may come in any order and need not be all. One that is missing, or whose logit is -inf, is masked: grammars and
// filters before argpick are obeyed.
//
// The two halves of a step. apply decodes and records; accept confirms. If the host accepts another token than the pick, or
// applies again without having accepted, the pick is taken back first, as if it had not been made: then history, position,
// mirostat and adaptive-p are what they would be without it. Tokens accepted before the first apply after a reset are the
// prompt; prompt() adds later ones.
//
// Failures. llama.cpp's callbacks answer nothing, so a failure is shown in the array: `selected` is -1, `size` is 0, and
// `data` points to entries whose id is LLAMA_TOKEN_NULL. No sampler that follows finds a token to pick, and a host that looks
// at data[selected] without a question reads LLAMA_TOKEN_NULL, which llama_decode refuses; it never reads a token.
// llama_sampler_sample ends the program (GGML_ASSERT); sample() and decode() here answer the status instead. status() and
// error() tell what was wrong. A row that is refused changes nothing: the next apply goes on as if it had not been seen. A
// token that cannot be accepted leaves the history unknown, so every apply fails until llama_sampler_reset.
//
// Memory. create() makes a row of the vocabulary and the decoder; apply, accept and reset allocate nothing. llama_sampler_clone
// without memory ends the program: it has no way to say no.
//
// Mirostat and adaptive-p learn from picks. In a filter they learn nothing: their state stays what it was at the start.
#ifndef ARGPICK_LLAMA_HPP
#define ARGPICK_LLAMA_HPP

#include <argpick.h>
#include <llama.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

namespace argpick {
namespace llama {

/// What a sampler does in its chain: set `selected`, or take candidates away.
enum class role { picks, filters };

namespace detail {

struct state {
  argpick_decoder* decoder = nullptr;
  role what = role::picks;
  /// The candidates by id.
  float* row = nullptr;
  std::size_t vocab = 0;
  argpick_pick pick{};
  /// The pick is recorded and waits for accept.
  bool is_pending = false;
  /// A row was seen since the last reset: what is accepted is no prompt any more.
  bool is_generating = false;
  /// The history is not that of the host.
  bool is_broken = false;
  argpick_status status = ARGPICK_OK;
  char error[512] = "";
  /// What the candidates become after a failure: data[-1] and data[0] of the host's array.
  llama_token_data nothing[2]{};

  state() = default;
  state(const state&) = delete;
  state& operator=(const state&) = delete;
  ~state() {
    argpick_decoder_free(decoder);
    delete[] row;
  }
};

/// NULL if there is no memory.
inline state* make(std::size_t vocab) noexcept {
  state* const made = new (std::nothrow) state;
  if (made == nullptr) return nullptr;
  made->row = new (std::nothrow) float[vocab];
  made->vocab = vocab;
  made->pick.struct_size = sizeof made->pick;
  if (made->row == nullptr) {
    delete made;
    return nullptr;
  }
  return made;
}

inline argpick_status failed(state& of, argpick_status status, const char* text) {
  of.status = status;
  std::snprintf(of.error, sizeof of.error, "%s", text);
  return status;
}

inline argpick_status failed(state& of, argpick_status status) { return failed(of, status, argpick_last_error()); }

inline argpick_status broken(state& of) {
  of.is_broken = true;
  return of.status;
}

/// Leaves nothing that could be taken for a token.
inline void close(state& of, llama_token_data_array& candidates) {
  for (llama_token_data& entry : of.nothing) {
    entry = {LLAMA_TOKEN_NULL, -std::numeric_limits<float>::infinity(), 0.0f};
  }
  candidates.data = of.nothing + 1;
  candidates.size = 0;
  candidates.selected = -1;
  candidates.sorted = false;
}

/// The candidates as a row. `in_order` says whether candidate i has id i.
inline argpick_status gather(state& of, const llama_token_data_array& candidates, bool* in_order) {
  float* const row = of.row;
  const std::size_t vocab = of.vocab, size = candidates.size;
  const llama_token_data* const data = candidates.data;
  char text[160];
  if (size == vocab) {
    std::size_t index = 0;
    for (; index < size && data[index].id == static_cast<llama_token>(index); ++index) row[index] = data[index].logit;
    *in_order = index == size;
    if (*in_order) return ARGPICK_OK;
  }
  *in_order = false;
  // A logit of NaN marks the places that are still free; one that a candidate brings is remembered.
  std::size_t not_a_number = vocab;
  for (std::size_t token = 0; token < vocab; ++token) row[token] = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t index = 0; index < size; ++index) {
    const llama_token id = data[index].id;
    if (id < 0 || static_cast<std::size_t>(id) >= vocab) {
      std::snprintf(text, sizeof text, "candidate %zu has the id %ld; the vocabulary has %zu tokens", index,
                    static_cast<long>(id), vocab);
      return failed(of, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, text);
    }
    if (!std::isnan(row[id]) || static_cast<std::size_t>(id) == not_a_number) {
      std::snprintf(text, sizeof text, "token %ld is a candidate twice", static_cast<long>(id));
      return failed(of, ARGPICK_ERR_DUPLICATE_TOKEN, text);
    }
    if (std::isnan(data[index].logit)) {
      // The lowest one is named; that of a token which valid_vocab excludes is no error.
      if (not_a_number == vocab || static_cast<std::size_t>(id) < not_a_number) not_a_number = static_cast<std::size_t>(id);
    } else {
      row[id] = data[index].logit;
    }
  }
  for (std::size_t token = 0; token < vocab; ++token) {
    if (std::isnan(row[token]) && token != not_a_number) row[token] = -std::numeric_limits<float>::infinity();
  }
  return ARGPICK_OK;
}

/// Takes back a pick that nobody has accepted.
inline argpick_status withdraw(state& of) {
  if (!of.is_pending) return ARGPICK_OK;
  of.is_pending = false;
  const argpick_status status = argpick_decoder_undo(of.decoder, 1);
  return status == ARGPICK_OK ? status : (failed(of, status), broken(of));
}

/// Decodes the row at `logits` and leaves the pick pending.
inline argpick_status decode(state& of, const float* logits) {
  const argpick_status status =
      argpick_decode(of.decoder, logits, ARGPICK_F32, of.vocab, nullptr, 0, &of.pick);
  if (status != ARGPICK_OK) return failed(of, status);
  of.is_pending = true;
  return ARGPICK_OK;
}

/// What comes before each row.
inline argpick_status begin(state& of) {
  if (of.is_broken) return of.status;
  const argpick_status status = withdraw(of);
  if (status != ARGPICK_OK) return status;
  of.is_generating = true;
  of.status = ARGPICK_OK;
  of.error[0] = '\0';
  return ARGPICK_OK;
}

inline argpick_status select(state& of, llama_token_data_array& candidates, bool in_order) {
  const argpick_status status = decode(of, of.row);
  if (status != ARGPICK_OK) return status;
  std::size_t index = of.pick.token;
  if (!in_order) {
    for (index = 0; candidates.data[index].id != static_cast<llama_token>(of.pick.token);) ++index;
  }
  candidates.selected = static_cast<std::int64_t>(index);
  return ARGPICK_OK;
}

inline argpick_status filter(state& of, llama_token_data_array& candidates) {
  const argpick_status status = argpick_process(of.decoder, of.row, of.vocab, nullptr, 0);
  if (status != ARGPICK_OK) return failed(of, status);
  std::size_t kept = 0;
  for (std::size_t index = 0; index < candidates.size; ++index) {
    const llama_token_data entry = candidates.data[index];
    const float logit = of.row[static_cast<std::size_t>(entry.id)];
    if (logit != -std::numeric_limits<float>::infinity()) candidates.data[kept++] = {entry.id, logit, entry.p};
  }
  candidates.size = kept;
  candidates.selected = -1;
  candidates.sorted = false;
  return ARGPICK_OK;
}

inline argpick_status accept(state& of, llama_token token) {
  if (of.is_broken) return of.status;
  if (token < 0 || static_cast<std::size_t>(token) >= of.vocab) {
    char text[160];
    std::snprintf(text, sizeof text, "token %ld cannot be accepted; the vocabulary has %zu tokens",
                  static_cast<long>(token), of.vocab);
    failed(of, ARGPICK_ERR_TOKEN_OUT_OF_RANGE, text);
    return broken(of);
  }
  const std::uint32_t id = static_cast<std::uint32_t>(token);
  if (of.is_pending && of.pick.token == id) {
    of.is_pending = false;
    return ARGPICK_OK;
  }
  const argpick_status undone = withdraw(of);
  if (undone != ARGPICK_OK) return undone;
  const argpick_status status = of.is_generating ? argpick_decoder_accept(of.decoder, &id, 1)
                                                 : argpick_decoder_prompt(of.decoder, &id, 1);
  return status == ARGPICK_OK ? status : (failed(of, status), broken(of));
}

// ---- the callbacks --------------------------------------------------------------------------------------------------

inline state& of(const llama_sampler* sampler) noexcept { return *static_cast<state*>(sampler->ctx); }

inline const char* on_name(const llama_sampler*) noexcept { return "argpick"; }

inline void on_accept(llama_sampler* sampler, llama_token token) noexcept { accept(of(sampler), token); }

inline void on_apply(llama_sampler* sampler, llama_token_data_array* candidates) noexcept {
  state& mine = of(sampler);
  bool in_order = false;
  argpick_status status = begin(mine);
  if (status == ARGPICK_OK) status = gather(mine, *candidates, &in_order);
  if (status == ARGPICK_OK) {
    status = mine.what == role::picks ? select(mine, *candidates, in_order) : filter(mine, *candidates);
  }
  if (status != ARGPICK_OK) close(mine, *candidates);
}

inline void on_reset(llama_sampler* sampler) noexcept {
  state& mine = of(sampler);
  mine.is_pending = mine.is_generating = mine.is_broken = false;
  mine.status = ARGPICK_OK;
  mine.error[0] = '\0';
  const argpick_status status = argpick_decoder_reset(mine.decoder, nullptr);
  if (status != ARGPICK_OK) {
    failed(mine, status);
    broken(mine);
  }
}

inline llama_sampler* on_clone(const llama_sampler* sampler) noexcept;
inline void on_free(llama_sampler* sampler) noexcept { delete static_cast<state*>(sampler->ctx); }

/// Everything but the decoder and the role, which the two have in common by then.
inline void copy_marks(const state& from, state& to) noexcept {
  to.pick = from.pick;
  to.is_pending = from.is_pending;
  to.is_generating = from.is_generating;
  to.is_broken = from.is_broken;
  to.status = from.status;
  std::memcpy(to.error, from.error, sizeof to.error);
}

inline void on_copy(const llama_sampler* from, llama_sampler* to) noexcept {
  const state& source = of(from);
  state& target = of(to);
  argpick_decoder* copy = nullptr;
  const argpick_status status = argpick_decoder_clone(source.decoder, &copy);
  if (status != ARGPICK_OK || target.vocab != source.vocab) {
    argpick_decoder_free(copy);
    failed(target, status != ARGPICK_OK ? status : ARGPICK_ERR_WRONG_LENGTH,
           status != ARGPICK_OK ? argpick_last_error() : "the samplers have vocabularies of different sizes");
    broken(target);
    return;
  }
  argpick_decoder_free(target.decoder);
  target.decoder = copy;
  target.what = source.what;
  copy_marks(source, target);
}

/// llama.cpp has had the callback for copies since 2026; before, it clones.
template <class Table>
auto set_copy(Table& table, int) noexcept -> decltype(table.copy_state, void()) {
  table.copy_state = on_copy;
}
template <class Table>
void set_copy(Table&, long) noexcept {}

inline llama_sampler_i* callbacks() noexcept {
  static llama_sampler_i table = [] {
    llama_sampler_i made{};
    made.name = on_name;
    made.accept = on_accept;
    made.apply = on_apply;
    made.reset = on_reset;
    made.clone = on_clone;
    made.free = on_free;
    set_copy(made, 0);
    return made;
  }();
  return &table;
}

inline llama_sampler* on_clone(const llama_sampler* sampler) noexcept {
  const state& source = of(sampler);
  state* const copy = make(source.vocab);
  if (copy == nullptr) std::abort();  // llama.cpp asks nobody whether a clone was made
  copy->what = source.what;
  copy_marks(source, *copy);
  const argpick_status status = argpick_decoder_clone(source.decoder, &copy->decoder);
  if (status != ARGPICK_OK) {
    failed(*copy, status);
    broken(*copy);
  }
  return llama_sampler_init(callbacks(), copy);
}

inline state* find(const llama_sampler* sampler) noexcept {
  return sampler != nullptr && sampler->iface == callbacks() ? static_cast<state*>(sampler->ctx) : nullptr;
}

}  // namespace detail

/// A sampler for rows of `vocab` logits (llama_vocab_n_tokens). NULL if the configuration is refused or memory is short:
/// argpick_last_error() says why. llama_sampler_free ends it, or the chain that it was added to.
inline llama_sampler* create(const argpick_config& config, std::int32_t vocab, role what = role::picks) noexcept {
  argpick_decoder* decoder = nullptr;
  // A vocabulary below 1 is refused there.
  const std::uint32_t tokens = vocab < 0 ? 0 : static_cast<std::uint32_t>(vocab);
  if (argpick_decoder_new(&config, tokens, &decoder) != ARGPICK_OK) return nullptr;
  detail::state* const made = detail::make(tokens);
  if (made == nullptr) {
    argpick_decoder_free(decoder);
    return nullptr;
  }
  made->decoder = decoder;
  made->what = what;
  return llama_sampler_init(detail::callbacks(), made);
}

/// Whether a sampler was made by create().
inline bool is_argpick(const llama_sampler* sampler) noexcept { return detail::find(sampler) != nullptr; }

/// The decoder inside, for argpick_decoder_set_bias and the other lists, argpick_explain and so on; NULL if the sampler is
/// another. What a host records with it directly does not become pending.
inline argpick_decoder* decoder(llama_sampler* sampler) noexcept {
  detail::state* const found = detail::find(sampler);
  return found != nullptr ? found->decoder : nullptr;
}

/// How the last apply or accept ended; ARGPICK_ERR_NULL if the sampler is another.
inline argpick_status status(const llama_sampler* sampler) noexcept {
  const detail::state* const found = detail::find(sampler);
  return found != nullptr ? found->status : ARGPICK_ERR_NULL;
}

/// What was wrong, in full; an empty text if nothing was. Valid until the next apply.
inline const char* error(const llama_sampler* sampler) noexcept {
  const detail::state* const found = detail::find(sampler);
  return found != nullptr ? found->error : "";
}

/// The error of the first argpick in a chain (or the sampler itself) that has one.
inline const char* error_in(llama_sampler* chain) noexcept {
  if (is_argpick(chain)) return error(chain);
  for (int index = 0; index < llama_sampler_chain_n(chain); ++index) {
    const char* const text = error(llama_sampler_chain_get(chain, index));
    if (*text != '\0') return text;
  }
  return "";
}

/// All that was found out about the last pick: margin, entropy, log-probability, rank, as the configuration's metrics ask.
/// NULL if the sampler is another or filters. After a failure it is the pick before.
inline const argpick_pick* pick(const llama_sampler* sampler) noexcept {
  const detail::state* const found = detail::find(sampler);
  return found != nullptr && found->what == role::picks ? &found->pick : nullptr;
}

/// Tokens of a prompt in the middle of a conversation: they enter the history and are not counted as generated; a sequence
/// that an end token or a stop had ended goes on.
inline argpick_status prompt(llama_sampler* sampler, const llama_token* tokens, std::size_t count) noexcept {
  static_assert(sizeof(llama_token) == sizeof(std::uint32_t), "ids have 32 bits");
  detail::state* const found = detail::find(sampler);
  if (found == nullptr) return ARGPICK_ERR_NULL;
  if (found->is_broken) return found->status;
  const argpick_status undone = detail::withdraw(*found);
  if (undone != ARGPICK_OK) return undone;
  // A negative id is one above every vocabulary.
  const argpick_status status =
      argpick_decoder_prompt(found->decoder, reinterpret_cast<const std::uint32_t*>(tokens), count);
  return status == ARGPICK_OK ? status : detail::failed(*found, status);
}

/// One token from output `index` of the last llama_decode, read where llama.cpp has it: no array of candidates is made. For
/// an argpick that picks and stands alone. It accepts the token, too. On failure `token` is not written.
inline argpick_status decode(llama_sampler* sampler, llama_context* context, std::int32_t index, llama_token* token) {
  detail::state* const found = detail::find(sampler);
  if (found == nullptr || found->what != role::picks || token == nullptr) return ARGPICK_ERR_NULL;
  const std::int32_t vocab = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
  argpick_status status = detail::begin(*found);
  if (status != ARGPICK_OK) return status;
  const float* const logits = llama_get_logits_ith(context, index);
  if (logits == nullptr) return detail::failed(*found, ARGPICK_ERR_NULL, "this output of llama_decode has no logits");
  if (static_cast<std::size_t>(vocab) != found->vocab) {
    return detail::failed(*found, ARGPICK_ERR_WRONG_LENGTH, "the sampler was made for a vocabulary of another size");
  }
  status = detail::decode(*found, logits);
  if (status != ARGPICK_OK) return status;
  found->is_pending = false;
  *token = static_cast<llama_token>(found->pick.token);
  return ARGPICK_OK;
}

/// llama_sampler_sample for a chain (or one sampler) with argpick in it, with a status where that ends the program. On
/// failure `token` is not written and nothing is accepted. ARGPICK_ERR_EVERYTHING_MASKED: no sampler has selected a token.
inline argpick_status sample(llama_sampler* chain, llama_context* context, std::int32_t index, llama_token* token) {
  if (chain == nullptr || token == nullptr) return ARGPICK_ERR_NULL;
  const float* const logits = llama_get_logits_ith(context, index);
  if (logits == nullptr) return ARGPICK_ERR_NULL;
  const std::int32_t vocab = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
  thread_local std::vector<llama_token_data> entries;
  entries.resize(static_cast<std::size_t>(vocab));
  for (llama_token id = 0; id < vocab; ++id) entries[static_cast<std::size_t>(id)] = {id, logits[id], 0.0f};
  llama_token_data_array candidates{entries.data(), entries.size(), -1, false};
  llama_sampler_apply(chain, &candidates);
  if (candidates.selected < 0 || static_cast<std::size_t>(candidates.selected) >= candidates.size) {
    if (is_argpick(chain)) return status(chain) != ARGPICK_OK ? status(chain) : ARGPICK_ERR_EVERYTHING_MASKED;
    for (int element = 0; element < llama_sampler_chain_n(chain); ++element) {
      const llama_sampler* const found = llama_sampler_chain_get(chain, element);
      if (is_argpick(found) && status(found) != ARGPICK_OK) return status(found);
    }
    return ARGPICK_ERR_EVERYTHING_MASKED;
  }
  const llama_token picked = candidates.data[candidates.selected].id;
  llama_sampler_accept(chain, picked);
  *token = picked;
  return ARGPICK_OK;
}

}  // namespace llama
}  // namespace argpick

#endif
