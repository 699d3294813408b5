# shellcheck shell=bash
# Runs a PostgreSQL of our own, in a directory of its own, on a free port of 127.0.0.1; sourced by stack.sh.
# Its durability is PostgreSQL's default: fsync=on, synchronous_commit=on.

pg_bindir() {
  local dir
  for dir in $(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 2>/dev/null | sort -t/ -k5 -rn); do
    [ -x "$dir/bin/initdb" ] && { echo "$dir/bin"; return; }
  done
  have initdb && { dirname "$(command -v initdb)"; return; }
  have pg_config && pg_config --bindir
}

# The server refuses to run as root: then it runs as the user that the package made for it.
pg_user() {
  [ "$(id -u)" = 0 ] || return 0
  if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

pg_exec() {
  local user
  user=$(pg_user)
  [ -n "$user" ] || exec "$@"
  exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- env HOME=/ "$@"
}

as_pg_user() { (pg_exec "$@"); }

# pg_data DIR: where the data is. It is in DIR unless the server's user cannot get there (a checkout in /root).
pg_data() { cat "$1/where" 2>/dev/null || echo "$1/data"; }

pg_place() {
  local dir=$1 user
  user=$(pg_user)
  mkdir -p "$dir/data"
  [ -z "$user" ] || chown "$user" "$dir/data"
  if as_pg_user test -x "$dir/data" && as_pg_user test -w "$dir/data"; then
    rm -f "$dir/where"
  else
    rmdir "$dir/data"
    mktemp -d /var/tmp/jobmill-postgres.XXXXXX >"$dir/where"
    chown "$user" "$(cat "$dir/where")"
    say "PostgreSQL's user cannot enter $dir; its data is in $(cat "$dir/where")"
  fi
}

pg_init() {
  local dir=$1 bin=$2
  pg_place "$dir"
  (cd / && as_pg_user "$bin/initdb" -D "$(pg_data "$dir")" -U postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
    --no-sync --no-instructions) >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; return 1; }
  # What pg_init sets is in a file that whoever owns the directory may add to; see JOBMILL_PG_OPTIONS for one start.
  as_pg_user tee -a "$(pg_data "$dir")/postgresql.conf" >/dev/null <<'END'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
END
}

pg_url() { echo "postgresql://postgres@127.0.0.1:$(cat "$1/port")/jobmill"; }

pg_running() { our_pid "$1/pid" >/dev/null; }

pg_answers() { "$2/psql" -X -q -t -d "postgresql://postgres@127.0.0.1:$(cat "$1/port")/postgres" -c 'select 1' >/dev/null 2>&1; }

# One attempt to start on the port in DIR/port; 1 when it did not come up.
pg_launch() {
  local dir=$1 bin=$2 end
  (
    # exec all the way, so that the number of this subshell becomes the server's
    exec >>"$dir/log" 2>&1 </dev/null 9>&-
    cd /
    # shellcheck disable=SC2086
    set -- "$bin/postgres" -D "$(pg_data "$dir")" -p "$(cat "$dir/port")" ${JOBMILL_PG_OPTIONS:-}
    pg_exec setsid "$@"
  ) &
  save_pid "$dir/pid" $!
  end=$((SECONDS + 60))
  until pg_answers "$dir" "$bin"; do
    pg_running "$dir" && [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

pg_start() {
  local dir=$1 bin try
  pg_running "$dir" && return 0
  bin=$(pg_bindir)
  [ -n "$bin" ] || die "PostgreSQL's server programs are not installed"
  mkdir -p "$dir"
  if [ ! -e "$dir/initialised" ]; then
    rm -rf "$dir/data"
    pg_init "$dir" "$bin"
    touch "$dir/initialised"
  fi
  for try in 1 2 3; do
    keep_port "$dir/port" "$try"
    if pg_launch "$dir" "$bin"; then
      "$bin/psql" -X -q -d "postgresql://postgres@127.0.0.1:$(cat "$dir/port")/postgres" -v ON_ERROR_STOP=1 >/dev/null <<'END'
SELECT 'CREATE DATABASE jobmill' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'jobmill') \gexec
END
      return 0
    fi
  done
  tail -n 20 "$dir/log" >&2
  return 1
}

# pg_stop DIR fast|immediate
pg_stop() {
  local dir=$1 pid signal=INT
  [ "$2" = fast ] || signal=QUIT
  if pid=$(our_pid "$dir/pid"); then
    kill -s "$signal" "$pid" 2>/dev/null || true
    await_exit "$dir/pid" 60 || return 1
  fi
  rm -f "$dir/pid"
}

pg_remove() {
  [ ! -e "$1/where" ] || rm -rf "$(cat "$1/where")"
  rm -rf "$1"
}
