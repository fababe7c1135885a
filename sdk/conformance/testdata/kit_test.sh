#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kit finds every fault that the format "fragile" can have, and none where there is none.
#   kit_test.sh KIT PLUGIN
set -uo pipefail
kit=$1 plugin=$2
unset INSTAR_REFERENCE
failed=0

# FAULT RULE RESULT: with that fault, that rule has that result.
expect() {
  local got
  got=$(FRAGILE=$1 "$kit" --time-factor "${4:-1}" --rule "$2" "$plugin" | head -1)
  if [[ $got == "$3 "* ]]; then
    echo "ok     $1: $got"
  else
    echo "FAILED $1: expected $3 of $2, got: $got"
    failed=1
  fi
}

if FRAGILE='' "$kit" "$plugin" >"${TEST_TMPDIR:-/tmp}/sound.log"; then
  echo "ok     without a fault"
else
  echo "FAILED without a fault:"
  grep -v ^Passed "${TEST_TMPDIR:-/tmp}/sound.log"
  failed=1
fi

expect other-name L3 Failed
expect needs-registry L4 Failed
expect overwrite L4 Failed
expect any-interface L5 Failed
expect no-open L6 Failed
expect size N1 Failed
expect no-extent N2 Failed
expect empty-extent N2 Failed
expect beyond N2 Failed
expect moody N2 Failed
expect false-zero N3 Failed
expect false-offset N3 Failed
expect pieces N4 Failed
expect tail N5 Failed
expect read-only N7 Failed
expect no-json N8 Failed
expect race N9 Failed
expect rubbish W1 Failed
expect lost W2 Failed
expect lost W3 Failed
expect cache W4 Failed
expect deaf F1 Failed
expect header F2 Failed
expect no-flush F3 Failed
expect header F5 Failed
expect cache F5 Failed
expect cancel F6 Failed
expect optimist F7 Failed
expect hoarder F8 Failed
expect crash H1 Crashed
expect hang H2 Hung 0.02
expect memory H2 Failed
expect silent H2 Failed

exit $failed
