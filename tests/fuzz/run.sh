#!/usr/bin/env bash
# ./dev fuzz [SECONDS]: each fuzz target under libFuzzer for SECONDS (60). What it finds stays under build/fuzz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=${1:-60}
compose/local/packages.sh build test fuzz
cmake -S . -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DJOBMILL_FUZZ=ON \
  -DCMAKE_C_FLAGS='-O1 -fno-sanitize-recover=all' -DJOBMILL_SANITIZE=address,undefined,fuzzer-no-link >/dev/null
ninja -C build/fuzz fuzzers
failed=0
for source in tests/fuzz/fuzz_*.c; do
  name=$(basename "$source" .c)
  what=${name#fuzz_}
  mkdir -p "build/fuzz/corpus/$what" "build/fuzz/found/$what"
  # The cases of the tests are seeds too: those that are text, each a file.
  case $what in
    job_message)
      /usr/bin/python3 - "build/fuzz/corpus/$what" <<'END'
import base64, hashlib, json, pathlib, sys
for line in pathlib.Path("tests/corpus/message/cases.jsonl").read_text().splitlines():
    case = json.loads(line)
    seed = base64.b64decode(case["base64"]) if "base64" in case else (case.get("value") or "").encode()
    (pathlib.Path(sys.argv[1]) / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
END
      ;;
  esac
  dictionary=()
  [ ! -e "tests/fuzz/$what.dict" ] || dictionary=("-dict=tests/fuzz/$what.dict")
  echo "$name: $seconds s"
  if ! "build/fuzz/bin/$name" -max_total_time="$seconds" -timeout=10 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/found/$what/" "${dictionary[@]}" \
    "build/fuzz/corpus/$what" "tests/fuzz/corpus/$what" 2>"build/fuzz/$name.log"; then
    failed=1
    tail -n 40 "build/fuzz/$name.log" >&2
  fi
  grep -E 'number_of_executed_units|new_units_added' "build/fuzz/$name.log" || true
done
exit "$failed"
