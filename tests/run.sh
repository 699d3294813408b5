#!/usr/bin/env bash
# ./dev test: everything under ASan + UBSan against a real Kafka and a real PostgreSQL, the threaded parts under TSan.
# tests/run.sh [test|chaos [--short]]   Results go to build/results/. JOBMILL_TEST_JOBS: tests at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=compose/local/lib.sh
. compose/local/lib.sh
# shellcheck source=compose/local/kafka.sh
. compose/local/kafka.sh
JM_SAY='test'
python=/usr/bin/python3
results=build/results
jobs=${JOBMILL_TEST_JOBS:-$(($(nproc) + 2))}
parts=()

prepare() {
  mkdir -p "$results"
  compose/local/packages.sh build test postgres kcat
  # Tests that need it are skipped without; in CI that is a failure.
  compose/local/promtool.sh >/dev/null || say "no promtool: its test is skipped"
  if [ -z "${JOBMILL_KAFKA_BOOTSTRAP_SERVERS:-}${KAFKA_HOME:-}" ]; then
    if ! { compose/local/packages.sh kafka && (kafka_libs >/dev/null); }; then
      [ "${CI:-}" != true ] || die "no Kafka broker: in CI that is a failure"
      say "no Kafka broker: tests that need one are skipped"
    fi
  fi
}

# part NAME RESULT-FILE COMMAND...: runs it, keeps its verdict, and goes on.
part() {
  local name=$1 file=$2 began=$SECONDS
  shift 2
  parts+=("$file")
  rm -f "$file"
  say "$name ..."
  if "$@"; then
    say "$name: passed ($((SECONDS - began)) s)"
  else
    say "$name: FAILED ($((SECONDS - began)) s)"
    # A part that broke before it could report is a failure, too.
    [ -s "$file" ] || echo "not ok $name" >"${file%.xml}.txt"
    [ -s "$file" ] || parts[-1]=${file%.xml}.txt
  fi
}

unit() { # unit PRESET
  ctest --test-dir "build/$1" -j "$(nproc)" --output-on-failure --no-tests=error --output-junit "$PWD/$results/unit-$1.xml" \
    >"$results/unit-$1.log" 2>&1 || { cat "$results/unit-$1.log" >&2; return 1; }
  tail -n 5 "$results/unit-$1.log" | grep 'tests passed' >&2
}

pytests() { # pytests PRESET RESULT-NAME ARGUMENT...
  local preset=$1 name=$2
  shift 2
  JOBMILL_BIN_DIR=$PWD/build/$preset/bin PYTHONDONTWRITEBYTECODE=1 \
    "$python" -m pytest -c tests/pytest.ini --rootdir tests -q -n "$jobs" --junitxml "$results/$name.xml" "$@" >&2
}

run_tests() {
  compose/local/build.sh asan
  part "unit tests (ASan, UBSan)" "$results/unit-asan.xml" unit asan
  part "integration and black-box tests (ASan, UBSan)" "$results/system-asan.xml" \
    pytests asan system-asan tests/integration tests/blackbox
  if [ -d tests/chaos ]; then
    part "faults, once each (ASan, UBSan)" "$results/faults-asan.xml" pytests asan faults-asan tests/chaos --count 1
  fi
  compose/local/build.sh tsan
  part "unit tests (TSan)" "$results/unit-tsan.xml" unit tsan
  part "threaded programs (TSan)" "$results/system-tsan.xml" \
    pytests tsan system-tsan tests/integration tests/blackbox -m tsan
}

run_chaos() {
  local count=${JOBMILL_CHAOS_COUNT:-20}
  local which=()
  if [ "${1:-}" = --short ]; then
    count=${JOBMILL_CHAOS_COUNT:-3}
    which=(-m 'not chaos_only')
  fi
  compose/local/build.sh asan
  part "faults, $count times each" "$results/chaos.xml" pytests asan chaos tests/chaos --count "$count" "${which[@]}"
  if [ "${1:-}" != --short ]; then
    export JOBMILL_FUZZ_REQUESTS=100000
    part "requests that are wrong" "$results/chaos-api.xml" pytests asan chaos-api tests/blackbox/test_api_fuzz.py
  fi
}

what=${1:-test}
[ $# -eq 0 ] || shift
prepare
# Without CI's flags a test would be skipped where the programs of a sanitizer print what they always print.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=0}
case $what in
  test) run_tests ;;
  chaos) run_chaos "$@" ;;
  *) die "no such part: $what" ;;
esac
verdict=0
account=$("$python" tests/count.py "${parts[@]}") || verdict=1
printf '%s\n' "${parts[@]}" >"$results/$what.parts"
echo "$account"
exit "$verdict"
