#!/usr/bin/env bash
# Sees to it that the packages of the named groups are installed: packages.sh GROUP...   (build postgres kafka java kcat test lint fuzz redis go npm)
# On Debian, as root or with sudo, it installs what is missing; elsewhere it names what is missing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=compose/local/lib.sh
. "$here/lib.sh"

# package, and how to see that it is there on a system that has other names for packages:
# cmd:PROGRAM, hdr:C HEADER, pc:PKG-CONFIG NAME, py:PYTHON MODULE, file:PATH, pg: (server programs of PostgreSQL)
group() {
  case $1 in
    build) cat <<'END' ;;
gcc cmd:cc
libc6-dev cmd:cc
cmake cmd:cmake
ninja-build cmd:ninja
pkg-config cmd:pkg-config
librdkafka-dev pc:rdkafka
libpq-dev pc:libpq
libjansson-dev pc:jansson
libsmartcols-dev pc:smartcols
libinih-dev pc:inih
libsystemd-dev pc:libsystemd
libssl-dev pc:libcrypto
libcurl4-openssl-dev pc:libcurl
libmicrohttpd-dev pc:libmicrohttpd
libical-dev pc:libical
zlib1g-dev pc:zlib
uthash-dev hdr:uthash.h
tzdata file:/usr/share/zoneinfo/UTC
scdoc cmd:scdoc
END
    postgres) cat <<'END' ;;
postgresql pg:
END
    kafka) cat <<'END' ;;
default-jre-headless cmd:java
maven cmd:mvn
END
    java) cat <<'END' ;;
default-jre-headless cmd:java
END
    kcat) cat <<'END' ;;
kcat cmd:kcat
END
    test) cat <<'END' ;;
check pc:check
g++ cmd:c++
libcctz-dev file:/usr/include/cctz/time_zone.h
python3 cmd:python3
python3-pytest py:pytest
python3-pytest-xdist py:xdist
python3-psycopg py:psycopg
python3-confluent-kafka py:confluent_kafka
python3-jsonschema py:jsonschema
python3-yaml py:yaml
python3-croniter py:croniter
faketime cmd:faketime
zsh cmd:zsh
fish cmd:fish
nodejs cmd:node
json-schema-test-suite file:/usr/share/json-schema-test-suite/tests/draft7
END
    lint) cat <<'END' ;;
check pc:check
g++ cmd:c++
libcctz-dev file:/usr/include/cctz/time_zone.h
clang-format cmd:clang-format
clang-tidy cmd:clang-tidy
cppcheck cmd:cppcheck
shellcheck cmd:shellcheck
python3 cmd:python3
python3-yaml py:yaml
END
    fuzz) cat <<'END' ;;
clang cmd:clang
libclang-rt-dev cmd:clang
python3 cmd:python3
END
    redis) cat <<'END' ;;
redis-tools cmd:redis-check-rdb
END
    go) cat <<'END' ;;
golang-go cmd:go
END
    npm) cat <<'END' ;;
npm cmd:npm
END
    *) die "no group of packages is called $1" ;;
  esac
}

present() {
  case $1 in
    hdr:*) echo "#include <${1#hdr:}>" | cc -E -x c - >/dev/null 2>&1 ;;
    cmd:*) have "${1#cmd:}" ;;
    pc:*) pkg-config --exists "${1#pc:}" 2>/dev/null ;;
    py:*) /usr/bin/python3 -c "import ${1#py:}" 2>/dev/null ;;
    file:*) [ -e "${1#file:}" ] ;;
    pg:) have initdb || have pg_config && [ -x "$(pg_config --bindir)/initdb" ] ;;
  esac
}

on_debian() { [ -e /etc/debian_version ] && have apt-get && have dpkg-query; }

# Prints the packages that are missing, in one line.
missing() {
  local name check
  if on_debian; then
    local installed
    # shellcheck disable=SC2046
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $(cut -d' ' -f1 <<<"$wanted") 2>/dev/null || true)
    while read -r name check; do
      grep -qx "$name installed" <<<"$installed" || echo "$name"
    done <<<"$wanted"
  else
    while read -r name check; do
      present "$check" || echo "$name"
    done <<<"$wanted"
  fi | sort -u | xargs
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -qq "$@"
}

wanted=$(for g in "$@"; do group "$g"; done)
lack=$(missing)
[ -n "$lack" ] || exit 0
on_debian || die "these are missing, by the names that Debian gives them: $lack"
if [ "$(id -u)" != 0 ] && ! have sudo; then
  die "these packages are missing: $lack (as root: apt-get install --no-install-recommends $lack)"
fi
say "installing packages: $lack"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package of the server would make a cluster and start it; we want the programs alone.
case " $lack " in
  *' postgresql '*)
    hold=/etc/postgresql-common/createcluster.d/jobmill-none.conf
    as_root mkdir -p "${hold%/*}"
    echo 'create_main_cluster = false' | as_root tee "$hold" >/dev/null
    trap 'rm -f "$log"; as_root rm -f "$hold"' EXIT
    ;;
esac
# man pages of Java's alternatives have nowhere to go on a minimal Debian
as_root mkdir -p /usr/share/man/man1
if [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2>/dev/null)" ]; then
  apt update >"$log" 2>&1 || say "apt-get update failed; trying with the lists that are here"
fi
# shellcheck disable=SC2086
if ! apt install --no-install-recommends -y $lack >"$log" 2>&1 </dev/null; then
  apt update >"$log" 2>&1 || true
  apt install --no-install-recommends -y $lack >"$log" 2>&1 </dev/null || { cat "$log" >&2; die "could not install $lack"; }
fi
