// What a call throws.
#ifndef THROWN_HPP
#define THROWN_HPP

#include "../argpick.hpp"
#include "check.hpp"

#include <cstring>

// The status that a call throws, and that its text tells more than the status does.
template <class Call>
inline argpick_status thrown(Call call) {
  try {
    call();
  } catch (const argpick::exception& error) {
    CHECK(std::strlen(error.what()) > std::strlen("argpick"));
    CHECK(error.status() == error.why().status);
    return error.status();
  }
  return ARGPICK_OK;
}

#endif
