#!/usr/bin/env bash
# Leaves Debian's promtool at build/promtool/usr/bin/promtool and prints its path. It is taken out of the package prometheus,
# which would start a server if it were installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=compose/local/lib.sh
. compose/local/lib.sh
tool=$PWD/build/promtool/usr/bin/promtool
if [ ! -x "$tool" ]; then
  if have promtool; then
    command -v promtool
    exit
  fi
  if ! have apt-get || ! have dpkg-deb; then die "no promtool, and this is no Debian to get it from"; fi
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  # _apt, to which apt-get gives its rights up, must be able to write there.
  chmod 777 "$dir"
  (cd "$dir" && apt-get -qq download prometheus >&2) || die "cannot download the package prometheus"
  dpkg-deb --fsys-tarfile "$dir"/prometheus_*.deb | tar -x -C "$dir" ./usr/bin/promtool
  mkdir -p "${tool%/*}"
  mv "$dir/usr/bin/promtool" "$tool"
fi
echo "$tool"
