// A whole small trainer: it learns a story word by word, tells how well, keeps what it has learnt and talks.
//
//   trainer [--seed N] [--epochs N] [--save FILE]     learns, prints how it goes, answers three questions
//   trainer --load FILE --chat                        talks about what it has learnt, line by line
//   trainer --check                                   five seeds, each has to learn; exit status 0 if all do
//
// The model is a sparse head, z = b + W a: a few active features choose columns of W, argpick adds them up, and
// argpick trains them (softmax cross-entropy, one example after the other). The features of a place in the text are the
// last three words, the last two as a pair (hashed), and the words of the sentence so far; older and vaguer ones are less
// active.
//
// There are two decoders, because there are two questions. The judge is greedy: is the word held to be the best the right
// one? That is the accuracy to train by. The voice samples: it is what the reader hears, and its accuracy is lower by
// construction, so it would hide what the head has learnt. Both are printed side by side, for sentences that were held out.
#include "../argpick.hpp"
#include "trainer_text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using token = std::uint32_t;

// ---- text -----------------------------------------------------------------------------------------------------------

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  auto finish = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (const char c : text) {
    if (c >= 'a' && c <= 'z') {
      word += c;
    } else if (c >= 'A' && c <= 'Z') {
      word += static_cast<char>(c - 'A' + 'a');
    } else {
      finish();
      if (c == '.' || c == ',') words.emplace_back(1, c);
    }
  }
  finish();
  return words;
}

struct corpus {
  std::vector<std::string> names;      // of the tokens; 0 is the full stop, which also stands before the beginning
  std::map<std::string, token> ids;
  std::vector<std::vector<token>> sentences;

  corpus() {
    add(".");
    std::vector<token> sentence;
    for (const std::string& word : words_of(trainer_text)) {
      sentence.push_back(add(word));
      if (sentence.back() == 0) sentences.push_back(std::exchange(sentence, {}));
    }
  }
  token add(const std::string& word) {
    const auto [place, fresh] = ids.emplace(word, static_cast<token>(names.size()));
    if (fresh) names.push_back(word);
    return place->second;
  }
  std::uint32_t vocab() const { return static_cast<std::uint32_t>(names.size()); }
};

// ---- features -------------------------------------------------------------------------------------------------------

constexpr std::uint32_t pairs = 2048;

struct features {
  std::vector<std::uint32_t> columns;
  std::vector<float> values;

  static std::uint32_t count(std::uint32_t vocab) { return 4 * vocab + pairs; }

  // The features of the place after `before`, the words of the sentence so far.
  void describe(const std::vector<token>& before, std::uint32_t vocab) {
    columns.clear();
    values.clear();
    const auto back = [&](std::size_t n) { return n <= before.size() ? before[before.size() - n] : token{0}; };
    add(back(1), 1.0f);
    add(vocab + back(2), 0.7f);
    add(2 * vocab + back(3), 0.5f);
    add(4 * vocab + (back(1) * 40503u + back(2) * 9973u) % pairs, 1.0f);
    for (const token word : before) add(3 * vocab + word, 0.2f);
  }
  void add(std::uint32_t column, float value) {
    columns.push_back(column);
    values.push_back(value);
  }
  argpick::activations input() const { return {columns, values}; }
};

// ---- learning -------------------------------------------------------------------------------------------------------

struct example {
  std::vector<token> before;
  token next;
};

// How the head does on examples: argpick's diagnosis of their rows, and how often the voice said the right word.
struct report {
  argpick_diagnosis rows;
  double sampled;
};

class trainer {
 public:
  trainer(const corpus& text, std::uint64_t seed)
      : text_(text), seed_(seed), row_(text.vocab()),
        head_(argpick::weights::create(text.vocab(), features::count(text.vocab()))) {
    split();
    argpick::config config;
    config.seed = seed;
    config.mode = ARGPICK_MODE_GREEDY;
    judge_ = argpick::decoder::create(config, text.vocab());
    voice_ = argpick::decoder::create(voice_config(), text.vocab());
  }

  const std::vector<example>& learned_from() const { return train_; }
  const std::vector<example>& held_out() const { return held_out_; }
  const argpick::weights& head() const { return head_; }

  // The most frequent word, and how often it would be right.
  std::pair<token, double> baseline() const {
    std::vector<std::size_t> counts(text_.vocab());
    for (const example& one : train_) counts[one.next]++;
    const token best = static_cast<token>(std::max_element(counts.begin(), counts.end()) - counts.begin());
    const auto right = std::count_if(held_out_.begin(), held_out_.end(), [&](auto& one) { return one.next == best; });
    return {best, static_cast<double>(right) / static_cast<double>(held_out_.size())};
  }

  // Learns from every example once, in an order of its own.
  void learn(std::uint32_t epoch) {
    std::vector<std::size_t> order(train_.size());
    for (std::size_t i = 0; i < order.size(); i++) order[i] = i;
    for (std::size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[next_random() % i]);
    const float rate = 0.3f / (1.0f + 0.15f * static_cast<float>(epoch));
    for (const std::size_t i : order) {
      active_.describe(train_[i].before, text_.vocab());
      head_.train(active_.input(), train_[i].next, rate, row_);
    }
  }

  // What the decoders make of the examples. Nothing is recorded: each draw is that of its own position.
  report look_at(const std::vector<example>& examples) {
    std::vector<float> matrix(examples.size() * text_.vocab());
    std::vector<token> targets;
    std::size_t heard = 0, seen = 0;
    for (std::size_t i = 0; i < examples.size(); i++) {
      const argpick::view<float> row(matrix.data() + i * text_.vocab(), text_.vocab());
      active_.describe(examples[i].before, text_.vocab());
      head_.logits(active_.input(), row);
      targets.push_back(examples[i].next);
      voice_.seek(i);
      heard += voice_.evaluate(row).token == targets.back();
      seen += judge_.evaluate(row).token == targets.back();
    }
    const argpick_diagnosis rows = voice_.diagnose(argpick::rows(matrix, text_.vocab()), targets);
    // The diagnosis counts what a greedy decoder picks.
    if (std::fabs(rows.greedy_accuracy * static_cast<double>(examples.size()) - static_cast<double>(seen)) > 0.5) {
      throw std::logic_error("the diagnosis and the judge do not agree");
    }
    return {rows, static_cast<double>(heard) / static_cast<double>(examples.size())};
  }

  // Goes on from what was said, for two sentences or thirty words.
  std::string talk(const std::string& said, const argpick::weights& head, std::uint64_t stream) {
    std::vector<token> before;
    for (const std::string& word : words_of(said)) {
      const auto known = text_.ids.find(word);
      if (known != text_.ids.end()) before.push_back(known->second);
    }
    argpick_config config = voice_config();
    config.stream = stream;
    config.max_tokens = 30;
    config.no_repeat_window = 1;
    argpick::decoder speaker = argpick::decoder::create(config, text_.vocab());
    speaker.prompt(before);
    std::string line;
    for (const token word : before) say(line, word);
    int sentences = 0;
    for (argpick_pick pick{}; sentences < 2 && pick.finish == ARGPICK_FINISH_NONE;) {
      active_.describe(before, text_.vocab());
      pick = speaker.decode(head, active_.input());
      say(line, pick.token);
      before.push_back(pick.token);
      if (pick.token == 0) {
        sentences++;
        before.clear();
      }
    }
    return line;
  }

 private:
  argpick::config voice_config() const {
    argpick::config config;
    config.seed = seed_;
    config.temperature = 0.8f;
    config.top_k = 5;
    return config;
  }

  // Every fifth sentence or so is held out; the seed says which.
  void split() {
    state_ = seed_ * 0x9E3779B97F4A7C15u + 1;
    for (const auto& sentence : text_.sentences) {
      std::vector<example>& to = next_random() % 5 == 0 ? held_out_ : train_;
      for (std::size_t i = 0; i < sentence.size(); i++) {
        to.push_back({{sentence.begin(), sentence.begin() + static_cast<std::ptrdiff_t>(i)}, sentence[i]});
      }
    }
  }
  std::uint64_t next_random() {  // for the order of examples only
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ >> 11;
  }
  void say(std::string& line, token word) const {
    const bool point = text_.names[word] == "." || text_.names[word] == ",";
    if (!line.empty() && !point) line += ' ';
    line += text_.names[word];
  }

  const corpus& text_;
  std::uint64_t seed_, state_ = 1;
  std::vector<example> train_, held_out_;
  std::vector<float> row_;
  features active_;
  argpick::weights head_;
  argpick::decoder judge_, voice_;
};

// ---- the program ----------------------------------------------------------------------------------------------------

// Learns, and tells whether the head is any good: on sentences it has not seen, greedily right at least twice as often as
// the most frequent word is, and more often than the voice is.
bool learn(trainer& who, const corpus& text, std::uint64_t seed, std::uint32_t epochs) {
  const auto [word, baseline] = who.baseline();
  std::printf("seed %llu: %u words of vocabulary, %zu places to learn from, %zu held out; always \"%s\": %.1f %%\n",
              static_cast<unsigned long long>(seed), static_cast<unsigned>(text.vocab()), who.learned_from().size(),
              who.held_out().size(), text.names[word].c_str(), 100 * baseline);
  std::printf("epoch | learning: loss  greedy | held out: loss  greedy   top 5  expected  sampled | flat  saturated\n");
  report held{};
  for (std::uint32_t epoch = 0; epoch <= epochs; epoch++) {
    if (epoch > 0) who.learn(epoch - 1);  // before, nothing is learnt: that is what flat looks like
    if (epoch > 3 && epoch % 5 != 0 && epoch != epochs) continue;
    const argpick_diagnosis learning = who.look_at(who.learned_from()).rows;
    held = who.look_at(who.held_out());
    std::printf("%5u | %14.3f %5.1f %% | %14.3f %5.1f %%  %4.1f %%    %4.1f %%   %4.1f %% | %3.0f %%     %3.0f %%\n",
                static_cast<unsigned>(epoch), static_cast<double>(learning.loss), 100.0 * learning.greedy_accuracy,
                static_cast<double>(held.rows.loss), 100.0 * held.rows.greedy_accuracy, 100.0 * held.rows.top_k_accuracy,
                100.0 * held.rows.expected_accuracy, 100 * held.sampled, 100.0 * held.rows.flat,
                100.0 * held.rows.saturated);
  }
  const double greedy = held.rows.greedy_accuracy;
  const bool good = greedy >= 2 * baseline && greedy > held.sampled && greedy > held.rows.expected_accuracy;
  std::printf("greedy %.1f %% of what it has never seen, %.1f times the baseline; sampled %.1f %%: %s\n", 100 * greedy,
              greedy / baseline, 100 * held.sampled, good ? "learnt" : "NOT learnt");
  return good;
}

// What was saved is what was learnt, bit for bit.
bool same(const argpick::weights& a, const argpick::weights& b, const corpus& text) {
  std::vector<float> left(text.vocab()), right(text.vocab());
  features active;
  for (const auto& sentence : text.sentences) {
    active.describe(sentence, text.vocab());
    a.logits(active.input(), left);
    b.logits(active.input(), right);
    if (std::memcmp(left.data(), right.data(), left.size() * sizeof(float)) != 0) return false;
  }
  return true;
}

bool check(const corpus& text) {
  bool good = true;
  for (std::uint64_t seed = 1; seed <= 5; seed++) {
    trainer who(text, seed);
    good = learn(who, text, seed, 20) && good;
  }
  return good;
}

int run(int count, char** arguments) {
  std::uint64_t seed = 1;
  std::uint32_t epochs = 20;
  std::string save, load;
  bool checking = false, chatting = false;
  for (int i = 1; i < count; i++) {
    const std::string option = arguments[i];
    const bool last = i + 1 == count;
    if (option == "--check") {
      checking = true;
    } else if (option == "--chat") {
      chatting = true;
    } else if (option == "--seed" && !last) {
      seed = std::strtoull(arguments[++i], nullptr, 10);
    } else if (option == "--epochs" && !last) {
      epochs = static_cast<std::uint32_t>(std::strtoul(arguments[++i], nullptr, 10));
    } else if (option == "--save" && !last) {
      save = arguments[++i];
    } else if (option == "--load" && !last) {
      load = arguments[++i];
    } else {
      std::fprintf(stderr, "usage: trainer [--seed N] [--epochs N] [--save FILE] [--load FILE] [--chat] [--check]\n");
      return 2;
    }
  }
  const corpus text;
  if (checking) return check(text) ? 0 : 1;

  trainer who(text, seed);
  argpick::weights loaded;
  if (load.empty()) {
    if (!learn(who, text, seed, epochs)) return 1;
  } else {
    loaded = argpick::weights::open(load.c_str());
    const auto shape = loaded.shape();
    if (shape.vocab != text.vocab() || shape.features != features::count(text.vocab())) {
      std::fprintf(stderr, "%s: these weights are %u x %u; the story needs %u x %u\n", load.c_str(),
                   static_cast<unsigned>(shape.vocab), static_cast<unsigned>(shape.features),
                   static_cast<unsigned>(text.vocab()), static_cast<unsigned>(features::count(text.vocab())));
      return 1;
    }
  }
  const argpick::weights& head = load.empty() ? who.head() : loaded;
  if (!save.empty()) {
    head.save(save.c_str());
    if (!same(head, argpick::weights::open(save.c_str()), text)) {
      std::fprintf(stderr, "%s: what was saved is not what was learnt\n", save.c_str());
      return 1;
    }
    std::printf("saved to %s and read back: the same bits\n", save.c_str());
  }
  std::uint64_t stream = 0;
  if (chatting) {
    for (std::string line; std::getline(std::cin, line);) std::printf("> %s\n", who.talk(line, head, stream++).c_str());
  } else {
    for (const char* said : {"The dog", "When the fog comes", "The woman"}) {
      std::printf("> %s\n", who.talk(said, head, stream++).c_str());
    }
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
