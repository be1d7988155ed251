// Fibers for shim.h: ucontext starts them, setjmp and longjmp switch between them (swapcontext would ask the kernel for the
// signal mask at each switch). Under AddressSanitizer, which has to know of each switch, swapcontext does it all.
#undef _FORTIFY_SOURCE
#include "shim.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <ucontext.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW_SWITCH 1
#else
#define SLOW_SWITCH 0
#endif

namespace argpick {
namespace shim {

uint32_t thread, threads, block;
unsigned char *shared;

namespace {

constexpr size_t STACK_BYTES = size_t(1) << 16;
constexpr uint32_t MAX_THREADS = 1024;

struct Fiber {
  ucontext_t context;
  jmp_buf state;
  bool begun;
};

struct Warp {
  uint64_t values[2][32];
  uint32_t arrived, kind;
  uint32_t turn;
};

Fiber fibers[MAX_THREADS];
Warp warps[MAX_THREADS / 32];
uint32_t ready[MAX_THREADS];
uint32_t ready_count, at_barrier, living;
#if SLOW_SWITCH
ucontext_t scheduler;
#else
jmp_buf scheduler_state;
#endif
Body body;
uint64_t chance = 0x9e3779b97f4a7c15u;
std::mutex one_launch;

uint32_t draw(uint32_t below) {
  chance ^= chance << 13;
  chance ^= chance >> 7;
  chance ^= chance << 17;
  return static_cast<uint32_t>((chance >> 32) * below >> 32);
}

[[noreturn]] void fail(const char *what) {
  std::fprintf(stderr, "shim: block %u, thread %u: %s\n", block, thread, what);
  std::abort();
}

void leave() {
#if SLOW_SWITCH
  swapcontext(&fibers[thread].context, &scheduler);
#else
  if (_setjmp(fibers[thread].state) == 0) {
    _longjmp(scheduler_state, 1);
  }
#endif
}

void begin() {
  body.run(body.argument);
  --living;
#if SLOW_SWITCH
  setcontext(&scheduler);
#else
  _longjmp(scheduler_state, 1);
#endif
}

void enter() {
#if SLOW_SWITCH
  swapcontext(&scheduler, &fibers[thread].context);
#else
  if (_setjmp(scheduler_state) == 0) {
    if (fibers[thread].begun) {
      _longjmp(fibers[thread].state, 1);
    }
    fibers[thread].begun = true;
    setcontext(&fibers[thread].context);
  }
#endif
}

void run_block(std::vector<unsigned char> &stacks) {
  for (uint32_t i = 0; i < threads; ++i) {
    Fiber &fiber = fibers[i];
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stacks.data() + size_t(i) * STACK_BYTES;
    fiber.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.uc_link = nullptr;
    fiber.begun = false;
    makecontext(&fiber.context, begin, 0);
    ready[i] = i;
  }
  for (uint32_t i = 0; i < threads / 32; ++i) {
    warps[i].arrived = 0;
    warps[i].turn = 0;
  }
  ready_count = living = threads;
  at_barrier = 0;
  while (living != 0) {
    if (ready_count == 0) {
      fail("the block hangs: its threads wait for each other at different places");
    }
    const uint32_t chosen = draw(ready_count);
    thread = ready[chosen];
    ready[chosen] = ready[--ready_count];
    enter();
  }
}

} // namespace

void wait_for_block() {
  if (++at_barrier < threads) {
    leave();
    return;
  }
  at_barrier = 0;
  for (uint32_t i = 0; i < threads; ++i) {
    if (i != thread) {
      ready[ready_count++] = i;
    }
  }
}

uint32_t count_in_block(bool holds) {
  static uint32_t count = 0;
  count += holds ? 1 : 0;
  wait_for_block();
  const uint32_t found = count;
  wait_for_block();
  if (thread == 0) {
    count = 0;
  }
  wait_for_block();
  return found;
}

const uint64_t *exchange(Kind kind, uint64_t value) {
  Warp &warp = warps[thread / 32];
  // Two buffers in turns: nobody is two exchanges ahead of a lane that still reads.
  const uint32_t turn = warp.turn & 1;
  uint64_t *values = warp.values[turn];
  if (warp.arrived != 0 && warp.kind != kind) {
    fail("the lanes of a warp exchange at different places");
  }
  warp.kind = kind;
  values[thread % 32] = value;
  if (++warp.arrived < 32) {
    leave();
    return values;
  }
  warp.arrived = 0;
  ++warp.turn;
  const uint32_t first = thread / 32 * 32;
  for (uint32_t i = first; i < first + 32; ++i) {
    if (i != thread) {
      ready[ready_count++] = i;
    }
  }
  return values;
}

void launch(uint32_t blocks, uint32_t threads_of_block, uint32_t shared_bytes, Body what) {
  const std::lock_guard<std::mutex> guard(one_launch);
  static std::vector<unsigned char> stacks(size_t(MAX_THREADS) * STACK_BYTES);
  if (threads_of_block % 32 != 0 || threads_of_block > MAX_THREADS) {
    fail("a block has whole warps and at most 1024 threads");
  }
  // Exactly so many bytes, so that a sanitizer sees what is past them.
  void *memory = nullptr;
  if (posix_memalign(&memory, 16, shared_bytes == 0 ? 16 : shared_bytes) != 0) {
    fail("no memory");
  }
  shared = static_cast<unsigned char *>(memory);
  threads = threads_of_block;
  body = what;
  for (block = 0; block < blocks; ++block) {
    std::memset(shared, 0xa5, shared_bytes);
    run_block(stacks);
  }
  std::free(memory);
}

} // namespace shim
} // namespace argpick
