#!/usr/bin/env bash
# clang-tidy over one file: tidy.sh FILE STAMP   Says what it found; touches STAMP when that is nothing.
set -uo pipefail
found=$(clang-tidy --quiet -p build/asan "$1" 2>/dev/null)
status=$?
if [ "$status" = 0 ] && [ -z "$found" ]; then
  touch "$2"
else
  printf '%s\n' "$found"
  exit 1
fi
