#!/usr/bin/env bash
# Installs what ./dev bench --peers compares with, under build/peers/: River, pg-boss and BullMQ, with the Go and the
# Node.js that they need, and Redis. Quick when nothing has changed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../../.."
# shellcheck source=compose/local/lib.sh disable=SC1091
. compose/local/lib.sh
to=$PWD/build/peers
mkdir -p "$to"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() { timeout 600 "$@" >"$log" 2>&1 </dev/null || { cat "$log" >&2; die "failed: $*"; }; }

groups=redis
have go || groups+=' go'
have npm || groups+=' npm'
# shellcheck disable=SC2086
compose/local/packages.sh $groups

# An older Go cannot read River's go.mod: the toolchain that it names comes as a Go module.
go_for_river() {
  local wanted dir
  wanted=$(sed -n 's/^go //p' "$here/river/go.mod")
  if [ "$(printf '%s\n' "$wanted" "$(go env GOVERSION | sed 's/^go//')" | sort -V | head -1)" = "$wanted" ]; then
    command -v go
    return
  fi
  dir=$to/go
  if [ ! -x "$dir/bin/go" ]; then
    say "fetching Go $wanted"
    local module
    module=$(cd "$to" && GOFLAGS='' go mod download -json \
      "golang.org/toolchain@v0.0.1-go$wanted.$(go env GOOS)-$(go env GOARCH)" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    [ -d "$module" ] || die "could not fetch Go $wanted"
    rm -rf "$dir.new"
    cp -r "$module" "$dir.new"
    chmod -R u+w "$dir.new"
    # Modules carry no modes and no nested go.mod.
    find "$dir.new" -name _go.mod -execdir mv _go.mod go.mod \;
    chmod +x "$dir.new"/bin/* "$dir.new"/pkg/tool/*/*
    mv "$dir.new" "$dir"
  fi
  echo "$dir/bin/go"
}

river() {
  local go
  go=$(go_for_river)
  [ -x "$to/river" ] && [ -z "$(find "$here/river" -newer "$to/river" -print -quit)" ] && return
  say "building River's program"
  # shellcheck disable=SC2016 # expanded by the inner shell
  GOTOOLCHAIN=local quietly sh -c 'cd "$1" && "$2" build -o "$3" .' sh "$here/river" "$go" "$to/river"
}

node_peers() {
  if ! cmp -s "$here/node/package.json" "$to/node/package.json" || [ ! -e "$to/node/installed" ]; then
    say "installing pg-boss and BullMQ"
    rm -rf "$to/node"
    mkdir -p "$to/node"
    cp "$here/node/package.json" "$to/node/"
    quietly npm install --prefix "$to/node" --no-audit --no-fund --no-package-lock --ignore-scripts
    touch "$to/node/installed"
  fi
  cp "$here"/node/*.js "$to/node/"
}

# Debian's redis-tools holds the server under the name of its checker; its package redis-server would start one.
redis() {
  local server
  server=$(command -v redis-server || command -v redis-check-rdb) || die "no Redis server was found"
  ln -sf "$server" "$to/redis-server"
}

river
node_peers
redis
