#!/usr/bin/env bash
# ./dev demo [--seconds N]: jobmill at work on this machine, with an embedded broker and a PostgreSQL made for it. Shows a
# live picture on a terminal and plain lines elsewhere; ends by Ctrl-C or after N seconds, and leaves nothing behind.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=compose/local/lib.sh
. "$root/compose/local/lib.sh"
JM_SAY=demo

seconds=0
case ${1:-} in
  '') ;;
  --seconds)
    [[ ${2:-} =~ ^[1-9][0-9]{0,5}$ ]] || { say "--seconds needs a number"; exit 2; }
    seconds=$2
    ;;
  *) say "usage: ./dev demo [--seconds N]"; exit 2 ;;
esac

# What the shell has set for other servers is not meant for these.
unset "${!JOBMILL_@}"
bin=$root/build/bin
programs=()
stop=0
picture=0

start() { # start NAME PROGRAM [ARGUMENT]...: in a session of its own, so that Ctrl-C reaches this script alone
  local name=$1
  shift
  (exec setsid "$@" >"$dir/$name.log" 2>&1 </dev/null) &
  save_pid "$dir/$name.pid" $!
  programs+=("$name")
}

await_ready() { # await_ready NAME SECONDS: until it says that it is ready
  local end=$((SECONDS + $2))
  until grep -q ready "$dir/$1.log" 2>/dev/null; do
    our_pid "$dir/$1.pid" >/dev/null || give_up "$1"
    [ "$SECONDS" -lt "$end" ] || give_up "$1"
    sleep 0.05
  done
}

give_up() {
  say "$1 did not get ready; the end of its log:"
  tail -n 20 "$dir/$1.log" >&2
  exit 1
}

halt() { # halt SIGNAL: every program, in the reverse order of their start
  local name pid
  for name in $(printf '%s\n' "${programs[@]}" | tac); do
    pid=$(our_pid "$dir/$name.pid") || continue
    kill -s "$1" "$pid" 2>/dev/null || true
    await_exit "$dir/$name.pid" 10 || kill -KILL "$pid" 2>/dev/null || true
  done
}

restore_terminal() {
  [ "$picture" = 0 ] || printf '\e[?25h\e[?1049l'
  picture=0
}

clean_up() {
  local code=$?
  trap '' INT TERM
  restore_terminal
  halt TERM
  [ -z "${dir:-}" ] || "$root/compose/local/stack.sh" remove "$dir/servers"
  rm -rf "${dir:-}"
  exit "$code"
}

sql() { psql -X -q -t -A -v ON_ERROR_STOP=1 -d "$JOBMILL_DATABASE_URL" "$@"; }

set_up() {
  "$root/compose/local/packages.sh" build postgres kcat
  "$root/compose/local/build.sh" release
  mkdir -p "$root/build"
  dir=$(mktemp -d "$root/build/demo.XXXXXX")
  chmod 755 "$dir"
  trap clean_up EXIT
  trap 'exit 130' INT TERM
  say "starting a PostgreSQL and an embedded broker"
  start broker "$bin/jobmill-broker" --partitions 4 --topic jobmill.jobs.default --port-file "$dir/broker"
  setsid -w "$root/compose/local/stack.sh" start "$dir/servers" postgres
  await_ready broker 10
  eval "$("$root/compose/local/stack.sh" env "$dir/servers" postgres)"
  JOBMILL_KAFKA_BOOTSTRAP_SERVERS=$(cat "$dir/broker")
  export JOBMILL_KAFKA_BOOTSTRAP_SERVERS
  # The embedded broker answers a fetch only when this time is over.
  export JOBMILL_KAFKA_FETCH_WAIT_MAX_MS=10
  # And it holds a group that a second worker joins for the session's time less a second.
  export JOBMILL_KAFKA_SESSION_TIMEOUT_MS=3000 JOBMILL_KAFKA_HEARTBEAT_INTERVAL_MS=300
  mkdir "$dir/jobs.d" "$dir/spool"
  local type
  for type in "$here"/jobs.d/*.json; do
    sed "s|@HANDLERS@|$here/handlers|" "$type" >"$dir/jobs.d/${type##*/}"
  done
  export JOBMILL_WORKER_JOBS_DIR=$dir/jobs.d JOBMILL_WORKER_SPOOL_DIR=$dir/spool JOBMILL_HTTP_LISTEN=127.0.0.1:0
  "$bin/jobmill" schema init >"$dir/schema.log" 2>&1 || { cat "$dir/schema.log" >&2; exit 1; }
  say "starting a producer and two workers"
  start producer "$bin/jobmill-producer"
  start worker-1 "$bin/jobmill-worker"
  start worker-2 "$bin/jobmill-worker"
  await_ready producer 20
  await_ready worker-1 20
  await_ready worker-2 20
}

submit() {
  "$bin/jobmill" schedule add minute --type report --cron '* * * * *' --timezone Europe/Berlin >/dev/null
  "$bin/jobmill" schedule add pulse --type noop --every 2s >/dev/null
  "$bin/jobmill" schedule add report --type report --every 7s >/dev/null
  "$bin/jobmill" schedule add flaky --type flaky --every 9s >/dev/null
  ids=$("$bin/jobmill" job submit --type hello --params '{"who":"the command line"}')
  external=demo-1
  echo '{"type":"hello","id":"demo-1","params":{"who":"kcat"}}' \
    | kcat -P -b "$JOBMILL_KAFKA_BOOTSTRAP_SERVERS" -t jobmill.jobs.default 2>/dev/null
}

where_to_look() {
  cat <<END
While it runs, in another terminal:
  export JOBMILL_DATABASE_URL='$JOBMILL_DATABASE_URL' JOBMILL_KAFKA_BOOTSTRAP_SERVERS='$JOBMILL_KAFKA_BOOTSTRAP_SERVERS'
  build/bin/jobmill job list        build/bin/jobmill schedule list        psql "\$JOBMILL_DATABASE_URL"
  echo '{"type":"hello","params":{"who":"you"}}' | kcat -P -b \$JOBMILL_KAFKA_BOOTSTRAP_SERVERS -t jobmill.jobs.default
END
}

draw() {
  local size lines cols
  size=$(stty size 2>/dev/null </dev/tty || true)
  lines=${size% *} cols=${size#* }
  # A terminal that does not know its size says 0.
  [ "${lines:-0}" -gt 10 ] || lines=24
  [ "${cols:-0}" -gt 20 ] || cols=80
  {
    printf '\e[H\e[1mjobmill\e[0m  %s s, %s\e[K\n' "$((SECONDS - began))" "${doing:-Ctrl-C ends it}"
    sql -v lines="$lines" -v cols="$cols" -f "$here/picture.sql"
    printf '\e[K\n'
    where_to_look | cut -c "1-$cols" | sed 's/$/\x1b[K/'
    printf '\e[J'
  } >"$dir/picture" 2>/dev/null
  head -n "$((lines - 1))" "$dir/picture"
}

declare -A said
tell() {
  local key line
  while IFS=$'\t' read -r key line; do
    if [ -z "$key" ] || [ -n "${said[$key]:-}" ]; then continue; fi
    said[$key]=1
    printf '%s\n' "$line"
  done < <(sql -f "$here/events.sql")
}

show() { if [ "$picture" = 1 ]; then draw; else tell; fi; }

alive() { # every program still runs
  local name
  for name in "${programs[@]}"; do
    our_pid "$dir/$name.pid" >/dev/null || { restore_terminal; say "$name has ended; the end of its log:"; tail -n 20 "$dir/$name.log" >&2; exit 1; }
  done
}

watch_jobs() {
  began=$SECONDS
  while [ "$stop" = 0 ] && { [ "$seconds" = 0 ] || [ $((SECONDS - began)) -lt "$seconds" ]; }; do
    show
    alive
    sleep 0.5 || true
  done
}

drain() { # nothing new is fired; what has begun may end
  local end=$((SECONDS + 30))
  doing='letting the jobs end'
  sql -c 'UPDATE jobmill.schedules SET paused = true' >/dev/null
  while [ "$stop" -lt 2 ] && [ "$SECONDS" -lt "$end" ]; do
    show
    [ "$(sql -c "SELECT count(*) FROM jobmill.jobs WHERE completed_at IS NULL")" != 0 ] || break
    sleep 0.3 || true
  done
  show
}

set_up
submit
# Once lets the jobs end and gives the account; twice ends it here and now.
trap 'stop=$((stop + 1)); [ "$stop" -lt 2 ] || exit 130' INT TERM
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
  picture=1
  printf '\e[?1049h\e[?25l\e[2J'
else
  where_to_look
fi
watch_jobs
drain
restore_terminal
read -r fired completed failed retried lost < <(sql -F ' ' -v ids="$ids" -v external="$external" -f "$here/account.sql")
echo "fired $fired, completed $completed, failed $failed, retried $retried, lost $lost"
if [ "$completed" = 0 ] || [ "$lost" != 0 ]; then
  for name in producer worker-1 worker-2; do
    say "the end of the log of $name:"
    tail -n 20 "$dir/$name.log" >&2
  done
  exit 1
fi
