// A program that is compiled without exceptions altogether (-fno-exceptions), and need not say so by a macro.
#include "../argpick.hpp"
#include "check.hpp"

int check_results(const char* folder);

int main(int count, char** arguments) {
  CHECK(count == 2);
  static_assert(std::is_same_v<argpick::outcome<int>, argpick::result<int>>);
  const argpick::result<argpick::decoder> none = argpick::decoder::create(argpick::config(), 0);
  CHECK(!none && none.error().status == ARGPICK_ERR_INVALID_PARAMETER);
  return check_results(arguments[1]);
}
