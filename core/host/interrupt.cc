// SPDX-License-Identifier: Apache-2.0
#include "core/host/interrupt.hpp"

#include <csignal>
#include <initializer_list>

namespace instar::host {

namespace {

static_assert(__atomic_always_lock_free(sizeof(int32_t), nullptr));
int32_t caught_signal = 0;

void on_signal(int number) {
  __atomic_store_n(&caught_signal, number, __ATOMIC_RELAXED);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    sigaction(number, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);
  }
  // It asks how far the work is: commands that can't tell must not end by it.
  signal(SIGUSR1, SIG_IGN);
}

void outlive_readers() {
  signal(SIGPIPE, SIG_IGN);
}

const int32_t* interrupted() {
  return &caught_signal;
}

void end_if_interrupted() {
  const int number = __atomic_load_n(&caught_signal, __ATOMIC_RELAXED);
  if (number == 0) return;
  signal(number, SIG_DFL);
  raise(number);
}

}  // namespace instar::host
