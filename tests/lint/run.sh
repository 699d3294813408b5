#!/usr/bin/env bash
# ./dev lint: every check that needs no running program. lint/run.sh [CHECK]...   All are run, then the verdict is given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=compose/local/lib.sh
. compose/local/lib.sh
JM_SAY=lint
python=/usr/bin/python3
results=build/results
mkdir -p "$results"

ours() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r f; do [ ! -f "$f" ] || echo "$f"; done; }
shells() {
  ours '*.sh'
  ours dev .ci tests compose | while read -r f; do
    case $f in *.sh | *.py | *.c | *.h) ;; *) [ ! -f "$f" ] || { head -n 1 "$f" | grep -aqE '^#!.*\b(ba)?sh\b' && echo "$f"; } || true ;; esac
  done
}

check_format() { ours '*.c' '*.h' | xargs clang-format --dry-run -Werror; }
check_shellcheck() { shells | sort -u | xargs shellcheck -x -e SC2317; }
check_house() { "$python" tests/lint/house.py; }
# From the list of fields, and from the tables of configuration and commands.
check_generated() {
  local bad=0 option file
  "$python" schema/generate.py --check || bad=1
  compose/local/build.sh asan jobmill || return 1
  while read -r option file; do
    build/asan/bin/jobmill "$option" | cmp - "$file" || { echo "$file is out of date: build/asan/bin/jobmill $option >$file"; bad=1; }
  done <<'END'
--print-config-markdown docs/configuration.md
--print-config-sample compose/jobmill.conf.sample
--print-cli-markdown docs/cli.md
END
  return "$bad"
}
check_documents() {
  local names
  mapfile -t names < <(ours '*.yaml' '*.yml' '*.json')
  "$python" - "${names[@]}" <<'END'
import json, sys, yaml
bad = 0
for name in sys.argv[1:]:
    if "/corpus/" in name or "/invalid" in name:
        continue
    try:
        text = open(name, encoding="utf-8").read()
        list(yaml.safe_load_all(text)) if name.endswith(("yaml", "yml")) else json.loads(text)
    except Exception as e:
        bad = 1
        print(f"{name}: {e}")
sys.exit(bad)
END
}
# Every file that a page of ours links to is there.
check_links() {
  local page link bad=0
  while read -r page; do
    while read -r link; do
      [ -e "$(dirname "$page")/$link" ] || { echo "$page: links to $link, which is not there"; bad=1; }
    done < <(grep -oE '\]\([^):#]+[)#]' "$page" | sed 's/^](//;s/[)#]$//')
  done < <(ours '*.md')
  return "$bad"
}
check_cppcheck() {
  local names
  mapfile -t names < <(ours 'common/*.c' 'producer/*.c' 'worker/*.c' 'compose/*.c')
  cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,performance,portability -j "$(nproc)" \
    --library=posix --suppress=missingIncludeSystem --suppress=missingInclude --suppress=normalCheckLevelMaxBranches \
    --suppress=unknownMacro --suppress=varFuncNullUB --suppress=readdirCalled --suppress=getpwnamCalled -D_GNU_SOURCE '-DJM_VERSION="0"' '-DJM_SOURCE_DIR="."' -I . -I build/asan/schema/gen \
    "${names[@]}"
}
# The tests' own C is left to the compiler and the sanitizers: Check's macros make the analyzer see ghosts.
check_clang_tidy() {
  # What was clean stays clean until it, or any header, or the configuration changes.
  local stamps=build/results/tidy file newest stamp
  mkdir -p "$stamps"
  newest=$(ours '*.h' .clang-tidy | xargs ls -t | head -n 1)
  ours 'common/*.c' 'producer/*.c' 'worker/*.c' 'compose/*.c' | while read -r file; do
    stamp=$stamps/${file//\//_}
    [ "$stamp" -nt "$file" ] && [ "$stamp" -nt "$newest" ] || echo "$file $stamp"
  done | xargs -P "$(nproc)" -L 1 tests/lint/tidy.sh
}

prepare() {
  compose/local/packages.sh build lint
  [ -e build/asan/build.ninja ] || compose/local/build.sh asan jm_sql
  cmake --preset asan >/dev/null # sources may have come since
  ninja -C build/asan jm_sql >/dev/null
}

prepare
checks=("$@")
[ ${#checks[@]} -gt 0 ] || checks=(format shellcheck house generated documents links cppcheck clang_tidy)
: >"$results/lint.txt"
failed=0
for check in "${checks[@]}"; do
  began=$SECONDS
  if "check_$check" >"$results/lint-$check.log" 2>&1; then
    echo "ok $check" >>"$results/lint.txt"
    say "$check: passed ($((SECONDS - began)) s)"
  else
    echo "not ok $check" >>"$results/lint.txt"
    failed=$((failed + 1))
    cat "$results/lint-$check.log" >&2
    say "$check: FAILED ($((SECONDS - began)) s)"
  fi
done
[ "$failed" = 0 ]
