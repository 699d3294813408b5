#!/usr/bin/env bash
# Configures and builds a preset: build.sh PRESET [TARGET]...   Quick when there is nothing to do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=compose/local/lib.sh
. compose/local/lib.sh
preset=$1
shift
options=()
# The release build needs none of what the tests need.
[ "$preset" != release ] || options+=(-DJOBMILL_TESTS="${JOBMILL_TESTS:-OFF}")
if have ccache; then options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache); fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Configured with other options, or never: then again. (-DNAME=VALUE is NAME:TYPE=VALUE in the cache.)
configured=1
for option in "${options[@]}"; do
  option=${option#-D}
  grep -q "^${option%%=*}:[A-Z]*=${option#*=}$" "build/$preset/CMakeCache.txt" 2>/dev/null || configured=0
done
if [ "$configured" = 0 ] || [ ! -e "build/$preset/build.ninja" ]; then
  say "configuring build/$preset"
  cmake --preset "$preset" "${options[@]}" >"$log" 2>&1 || { cat "$log" >&2; die "could not configure build/$preset"; }
fi
if ! ninja -C "build/$preset" -n "$@" 2>/dev/null | grep -q 'no work to do'; then
  say "building build/$preset"
fi
ninja -C "build/$preset" "$@" >"$log" 2>&1 || { cat "$log" >&2; die "the build of build/$preset failed"; }
