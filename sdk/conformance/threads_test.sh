#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What plugins do in several threads, as the kit sees it; meant for builds under the thread sanitizer.
#   threads_test.sh KIT PLUGIN...
set -uo pipefail
kit=$1
shift
failed=0
unset INSTAR_REFERENCE

run() { # ARGUMENT...
  local log=${TEST_TMPDIR:-/tmp}/threads.log
  if "$kit" --time-factor 20 --rule L3 --rule N9 --rule W3 --rule C8 "$@" >"$log" 2>&1; then
    grep -E '^(Passed|Warning|Skipped)' "$log"
  else
    cat "$log"
    failed=1
  fi
}

for plugin; do
  case $plugin in
    */qcow2.so) run -o '' -o compression_type=zstd,cluster_size=4k -o extended_l2=on "$plugin" ;;
    */throttle.so) run --object throttle-group,id=g0 -o throttle-group=g0 "$plugin" ;;
    *) run "$plugin" ;;
  esac
done
exit $failed
