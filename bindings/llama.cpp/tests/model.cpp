// argpick in chains of llama.cpp behind a real model, given as a .gguf file.
//
//   model MODEL.gguf
//
// Compared with decoders driven through the C ABI on llama_get_logits, and timed beside the chain of llama.cpp's own.
#include "../argpick_llama.hpp"

#include "../../cpp/tests/check.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <string>

namespace {

llama_context* context = nullptr;
const llama_vocab* vocabulary = nullptr;
std::int32_t vocab = 0;
std::vector<llama_token> prompt;

argpick_config config_of() {
  argpick_config config;
  CHECK(argpick_config_init(&config, sizeof config) == ARGPICK_OK);
  config.temperature = 0.8f;
  config.top_k = 40;
  config.top_p = 0.95f;
  config.min_p = 0.05f;
  config.repetition_penalty = 1.1f;
  config.seed = 11;
  config.metrics = ARGPICK_METRIC_ALL;
  return config;
}

void feed(llama_token* tokens, std::size_t count) {
  CHECK(llama_decode(context, llama_batch_get_one(tokens, static_cast<std::int32_t>(count))) == 0);
}

void begin() {
  llama_memory_clear(llama_get_memory(context), true);
  feed(prompt.data(), prompt.size());
}

llama_sampler* chain_of(std::initializer_list<llama_sampler*> samplers) {
  llama_sampler* const chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
  for (llama_sampler* sampler : samplers) {
    CHECK(sampler != nullptr);
    llama_sampler_chain_add(chain, sampler);
  }
  return chain;
}

using step_function = llama_token (*)(llama_sampler*);

std::vector<llama_token> generate(llama_sampler* chain, int count, step_function step) {
  begin();
  for (llama_token token : prompt) llama_sampler_accept(chain, token);
  std::vector<llama_token> found;
  for (int index = 0; index < count; ++index) {
    llama_token token = step(chain);
    found.push_back(token);
    feed(&token, 1);
  }
  return found;
}

llama_token by_llama(llama_sampler* chain) { return llama_sampler_sample(chain, context, -1); }
llama_token by_sample(llama_sampler* chain) {
  llama_token token = LLAMA_TOKEN_NULL;
  CHECK(argpick::llama::sample(chain, context, -1, &token) == ARGPICK_OK);
  return token;
}
llama_token by_decode(llama_sampler* sampler) {
  llama_token token = LLAMA_TOKEN_NULL;
  CHECK(argpick::llama::decode(sampler, context, -1, &token) == ARGPICK_OK);
  return token;
}

void all_ways_give_the_tokens_of_the_decoder() {
  constexpr int count = 48;
  argpick_decoder* decoder = nullptr;
  argpick_pick pick{};
  pick.struct_size = sizeof pick;
  const argpick_config config = config_of();
  CHECK(argpick_decoder_new(&config, static_cast<std::uint32_t>(vocab), &decoder) == ARGPICK_OK);
  begin();
  for (llama_token token : prompt) {
    const std::uint32_t id = static_cast<std::uint32_t>(token);
    CHECK(argpick_decoder_prompt(decoder, &id, 1) == ARGPICK_OK);
  }
  std::vector<llama_token> expected;
  for (int index = 0; index < count; ++index) {
    CHECK(argpick_decode(decoder, llama_get_logits_ith(context, -1), ARGPICK_F32, static_cast<std::size_t>(vocab), nullptr, 0,
                         &pick) == ARGPICK_OK);
    llama_token token = static_cast<llama_token>(pick.token);
    expected.push_back(token);
    feed(&token, 1);
  }
  argpick_decoder_free(decoder);
  llama_sampler* const chain = chain_of({argpick::llama::create(config, vocab)});
  CHECK(generate(chain, count, by_llama) == expected);
  llama_sampler_reset(chain);
  CHECK(generate(chain, count, by_sample) == expected);
  llama_sampler_free(chain);
  llama_sampler* const alone = argpick::llama::create(config, vocab);
  CHECK(generate(alone, count, by_decode) == expected);
  llama_sampler_reset(alone);
  CHECK(generate(alone, count, by_sample) == expected);
  llama_sampler_free(alone);
}

void a_grammar_before_it_is_obeyed() {
  const char* const digits = "root ::= [0-9] [0-9] [0-9] \"-\" (\"yes\" | \"no\")";
  for (const argpick::llama::role what : {argpick::llama::role::picks, argpick::llama::role::filters}) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      argpick_config config = config_of();
      config.seed = seed;
      config.repetition_penalty = 1.0f;
      llama_sampler* const chain =
          chain_of({llama_sampler_init_grammar(vocabulary, digits, "root"), argpick::llama::create(config, vocab, what)});
      if (what == argpick::llama::role::filters) {
        llama_sampler_chain_add(chain, llama_sampler_init_dist(static_cast<std::uint32_t>(seed)));
      }
      begin();
      std::string text;
      for (int index = 0; index < 12; ++index) {
        llama_token token = LLAMA_TOKEN_NULL;
        CHECK(argpick::llama::sample(chain, context, -1, &token) == ARGPICK_OK);
        if (llama_vocab_is_eog(vocabulary, token)) break;
        char piece[64];
        const int length = llama_token_to_piece(vocabulary, token, piece, sizeof piece, 0, true);
        CHECK(length > 0);
        text.append(piece, static_cast<std::size_t>(length));
        feed(&token, 1);
      }
      CHECK(text.size() == 7 || text.size() == 6);
      for (std::size_t index = 0; index < 3; ++index) CHECK(text[index] >= '0' && text[index] <= '9');
      CHECK(text.substr(3) == "-yes" || text.substr(3) == "-no");
      std::printf("grammar: %s\n", text.c_str());
      llama_sampler_free(chain);
    }
  }
}

void a_failure_is_a_status_here_and_ends_the_program_there() {
  const llama_logit_bias poison{5, std::nanf("")};
  llama_sampler* const ours = argpick::llama::create(config_of(), vocab);
  llama_sampler* const chain = chain_of({llama_sampler_init_logit_bias(vocab, 1, &poison), ours});
  begin();
  llama_token token = 77;
  CHECK(argpick::llama::sample(chain, context, -1, &token) == ARGPICK_ERR_INVALID_LOGIT && token == 77);
  CHECK(std::strstr(argpick::llama::error_in(chain), "token 5 is NaN") != nullptr);
  std::fflush(stdout);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    setenv("GGML_NO_BACKTRACE", "1", 1);
    CHECK(std::freopen("/dev/null", "w", stderr) != nullptr);
    const llama_token invented = llama_sampler_sample(chain, context, -1);
    _exit(invented < 0 ? 3 : 4);
  }
  int outcome = 0;
  CHECK(waitpid(child, &outcome, 0) == child);
  CHECK(WIFSIGNALED(outcome) && WTERMSIG(outcome) == SIGABRT);
  llama_sampler_free(chain);
  // A model with another vocabulary.
  llama_sampler* const narrow = argpick::llama::create(config_of(), vocab - 1);
  CHECK(argpick::llama::decode(narrow, context, -1, &token) == ARGPICK_ERR_WRONG_LENGTH && token == 77);
  CHECK(argpick::llama::sample(narrow, context, -1, &token) == ARGPICK_ERR_TOKEN_OUT_OF_RANGE && token == 77);
  llama_sampler_free(narrow);
}

/// The fastest and the median time of a step, in microseconds, on the logits after the prompt.
void measure(const char* name, llama_sampler* chain, step_function step) {
  std::vector<double> times;
  for (int round = 0; round < 60; ++round) {
    llama_sampler_reset(chain);
    const auto start = std::chrono::steady_clock::now();
    step(chain);
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  std::printf("%-52s %9.1f %9.1f\n", name, times.front(), times[times.size() / 2]);
  llama_sampler_free(chain);
}

void times() {
  begin();
  argpick_config config = config_of();
  config.repetition_penalty = 1.0f;
  config.metrics = 0;
  std::printf("%-52s %9s %9s   (%d logits, us a token)\n", "top-k 40, top-p 0.95, min-p 0.05, temperature 0.8",
              "fastest", "median", vocab);
  const auto own = [] {
    return chain_of({llama_sampler_init_top_k(40), llama_sampler_init_top_p(0.95f, 1), llama_sampler_init_min_p(0.05f, 1),
                     llama_sampler_init_temp(0.8f), llama_sampler_init_dist(1)});
  };
  measure("llama.cpp's own chain", own(), by_llama);
  measure("argpick in a chain", chain_of({argpick::llama::create(config, vocab)}), by_llama);
  measure("argpick alone, argpick::llama::decode", argpick::llama::create(config, vocab), by_decode);
  config.top_k = 0;
  config.min_p = 0.0f;
  std::printf("top-p 0.95 alone, temperature 0.8\n");
  measure("llama.cpp's own chain",
          chain_of({llama_sampler_init_top_p(0.95f, 1), llama_sampler_init_temp(0.8f), llama_sampler_init_dist(1)}),
          by_llama);
  measure("argpick in a chain", chain_of({argpick::llama::create(config, vocab)}), by_llama);
  measure("argpick alone, argpick::llama::decode", argpick::llama::create(config, vocab), by_decode);
}

}  // namespace

int main(int count, char** arguments) {
  CHECK(count == 2);
  llama_log_set([](ggml_log_level level, const char* text, void*) {
    if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
  }, nullptr);
  llama_backend_init();
  llama_model_params parameters = llama_model_default_params();
  parameters.use_extra_bufts = false;
  llama_model* const model = llama_model_load_from_file(arguments[1], parameters);
  CHECK(model != nullptr);
  vocabulary = llama_model_get_vocab(model);
  vocab = llama_vocab_n_tokens(vocabulary);
  llama_context_params context_parameters = llama_context_default_params();
  context_parameters.n_ctx = 256;
  context_parameters.n_threads = context_parameters.n_threads_batch = 1;  // waiting threads spin, which costs the others
  context = llama_init_from_model(model, context_parameters);
  CHECK(context != nullptr);
  const std::string text = "It was a bright cold day in April, and the old lighthouse keeper climbed the stairs to";
  prompt.resize(64);
  const int length = llama_tokenize(vocabulary, text.data(), static_cast<int>(text.size()), prompt.data(), 64, true, true);
  CHECK(length > 0);
  prompt.resize(static_cast<std::size_t>(length));

  all_ways_give_the_tokens_of_the_decoder();
  a_grammar_before_it_is_obeyed();
  a_failure_is_a_status_here_and_ends_the_program_there();
  times();
  std::puts("chains behind a model: all as it should be");
  llama_free(context);
  llama_model_free(model);
  return 0;
}
