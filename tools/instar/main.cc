// SPDX-License-Identifier: Apache-2.0
#include "core/host/main.hpp"

int main(int argc, char** argv) {
  return instar::host::run(argc, argv);
}
