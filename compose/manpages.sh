#!/usr/bin/env bash
# Man pages and completion scripts as they are installed: manpages.sh JOBMILL DIRECTORY
# Pages come from the program's tables and from docs/man/; without scdoc there are only the scripts.
set -euo pipefail
jobmill=$1 to=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rm -rf "$to"
mkdir -p "$to/bash-completion/completions" "$to/zsh/site-functions" "$to/fish/vendor_completions.d"
"$jobmill" --print-completion bash >"$to/bash-completion/completions/jobmill"
"$jobmill" --print-completion zsh >"$to/zsh/site-functions/_jobmill"
"$jobmill" --print-completion fish >"$to/fish/vendor_completions.d/jobmill.fish"
command -v scdoc >/dev/null || exit 0
page() { mkdir -p "$to/man/man${1##*.}" && scdoc >"$to/man/man${1##*.}/$1"; }
"$jobmill" --print-man | while read -r name; do "$jobmill" --print-man "$name" | page "$name"; done
for source in "$here"/../docs/man/*.scd; do
  name=${source##*/}
  page "${name%.scd}" <"$source"
done
