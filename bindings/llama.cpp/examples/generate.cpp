// A small program of llama.cpp with argpick at the end of its chain.
//
//   generate MODEL.gguf [--prompt TEXT] [--tokens N] [--temperature T] [--top-k K] [--top-p P] [--min-p M] [--seed S]
//            [--repetition-penalty R] [--grammar GBNF] [--steps]
//
// The text goes to stdout. --steps writes a line for each token to stderr: how far ahead the best token was, how uncertain
// the model, how likely the pick. With --grammar, llama.cpp's grammar sampler stands before argpick and masks.
#include "../argpick_llama.hpp"

#include <cerrno>
#include <string>
#include <thread>

namespace {

struct options {
  std::string model, prompt = "The sea and the sky", grammar;
  int tokens = 64;
  bool steps = false;
  argpick_config config{};
};

[[noreturn]] void usage(const char* what) {
  std::fprintf(stderr, "generate: %s\nusage: generate MODEL.gguf [--prompt TEXT] [--tokens N] [--temperature T] [--top-k K]"
                       " [--top-p P] [--min-p M] [--seed S] [--repetition-penalty R] [--grammar GBNF] [--steps]\n", what);
  std::exit(2);
}

double number(const char* name, const char* text) {
  char* end = nullptr;
  errno = 0;
  const double value = std::strtod(text, &end);
  if (end == text || *end != '\0' || errno != 0) usage((std::string(name) + " wants a number, not " + text).c_str());
  return value;
}

/// A whole number that fits: argpick says itself what is out of its range.
std::uint32_t whole(const char* name, const char* text) {
  const double value = number(name, text);
  if (value < 0 || value > 4294967295.0 || value != std::floor(value)) {
    usage((std::string(name) + " wants a whole number from 0 on, not " + text).c_str());
  }
  return static_cast<std::uint32_t>(value);
}

options read(int count, char** arguments) {
  options found;
  argpick_config_init(&found.config, sizeof found.config);
  found.config.metrics = ARGPICK_METRIC_CONFIDENCE | ARGPICK_METRIC_LOGPROB | ARGPICK_METRIC_KEPT;
  for (int index = 1; index < count; ++index) {
    const std::string name = arguments[index];
    if (name == "--steps") {
      found.steps = true;
      continue;
    }
    if (name.rfind("--", 0) != 0) {
      found.model = name;
      continue;
    }
    if (++index == count) usage((name + " wants a value").c_str());
    const char* const value = arguments[index];
    argpick_config& config = found.config;
    if (name == "--prompt") found.prompt = value;
    else if (name == "--grammar") found.grammar = value;
    else if (name == "--tokens") found.tokens = static_cast<int>(whole("--tokens", value) & 0xFFFF);
    else if (name == "--temperature") config.temperature = static_cast<float>(number("--temperature", value));
    else if (name == "--top-k") config.top_k = whole("--top-k", value);
    else if (name == "--top-p") config.top_p = static_cast<float>(number("--top-p", value));
    else if (name == "--min-p") config.min_p = static_cast<float>(number("--min-p", value));
    else if (name == "--seed") config.seed = whole("--seed", value);
    else if (name == "--repetition-penalty") config.repetition_penalty = static_cast<float>(number(arguments[index - 1], value));
    else usage(("there is no option " + name).c_str());
  }
  if (found.model.empty()) usage("no model");
  return found;
}

std::string piece_of(const llama_vocab* vocab, llama_token token) {
  char text[256];
  const int length = llama_token_to_piece(vocab, token, text, sizeof text, 0, true);
  return std::string(text, length < 0 ? 0 : static_cast<std::size_t>(length));
}

int fail(const char* what, const char* why) {
  std::fprintf(stderr, "generate: %s: %s\n", what, why);
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  const options chosen = read(count, arguments);
  llama_log_set([](ggml_log_level level, const char* text, void*) {
    if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
  }, nullptr);
  llama_backend_init();
  llama_model_params model_parameters = llama_model_default_params();
  model_parameters.use_extra_bufts = false;  // the repacked (AMX) routines crash on some machines
  llama_model* const model = llama_model_load_from_file(chosen.model.c_str(), model_parameters);
  if (model == nullptr) return fail(chosen.model.c_str(), "cannot be loaded");
  const llama_vocab* const vocab = llama_model_get_vocab(model);

  std::vector<llama_token> tokens(chosen.prompt.size() + 16);
  const int length = llama_tokenize(vocab, chosen.prompt.data(), static_cast<int>(chosen.prompt.size()), tokens.data(),
                                    static_cast<int>(tokens.size()), true, true);
  if (length < 1) return fail("the prompt", "it has no tokens");
  tokens.resize(static_cast<std::size_t>(length));

  llama_context_params context_parameters = llama_context_default_params();
  context_parameters.n_ctx = static_cast<std::uint32_t>(length + chosen.tokens + 1);
  context_parameters.n_batch = static_cast<std::uint32_t>(length + 1);
  const unsigned threads = std::thread::hardware_concurrency();
  context_parameters.n_threads = context_parameters.n_threads_batch = threads > 1 ? static_cast<int>(threads) : 1;
  llama_context* const context = llama_init_from_model(model, context_parameters);
  if (context == nullptr) return fail(chosen.model.c_str(), "no context");

  llama_sampler* const chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
  if (!chosen.grammar.empty()) {
    llama_sampler* const grammar = llama_sampler_init_grammar(vocab, chosen.grammar.c_str(), "root");
    if (grammar == nullptr) return fail("--grammar", "cannot be parsed");
    llama_sampler_chain_add(chain, grammar);
  }
  llama_sampler* const argpick = argpick::llama::create(chosen.config, llama_vocab_n_tokens(vocab));
  if (argpick == nullptr) return fail("argpick", argpick_last_error());
  llama_sampler_chain_add(chain, argpick);
  if (argpick::llama::prompt(argpick, tokens.data(), tokens.size()) != ARGPICK_OK) {
    return fail("the prompt", argpick::llama::error(argpick));
  }

  std::fputs(chosen.prompt.c_str(), stdout);
  if (chosen.steps) std::fprintf(stderr, "step   token  margin  entropy  logprob    kept  text\n");
  llama_batch batch = llama_batch_get_one(tokens.data(), length);
  llama_token token = LLAMA_TOKEN_NULL;
  for (int step = 0; step < chosen.tokens; ++step) {
    if (llama_decode(context, batch) != 0) return fail("llama_decode", "failed");
    if (argpick::llama::sample(chain, context, -1, &token) != ARGPICK_OK) {
      return fail("argpick", argpick::llama::error_in(chain));
    }
    const std::string piece = piece_of(vocab, token);
    if (chosen.steps) {
      const argpick_pick& pick = *argpick::llama::pick(argpick);
      std::fprintf(stderr, "%4d %7u %7.3f %8.3f %8.3f %7u  %s\n", step, pick.token, pick.margin, pick.entropy, pick.logprob,
                   pick.kept, piece == "\n" ? "\\n" : piece.c_str());
    }
    if (llama_vocab_is_eog(vocab, token)) break;
    std::fputs(piece.c_str(), stdout);
    std::fflush(stdout);
    batch = llama_batch_get_one(&token, 1);
  }
  std::fputs("\n", stdout);
  llama_sampler_free(chain);
  llama_free(context);
  llama_model_free(model);
  llama_backend_free();
  return 0;
}
