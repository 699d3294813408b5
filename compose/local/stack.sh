#!/usr/bin/env bash
# A real Kafka and a real PostgreSQL without containers, kept in a directory of your choice. ./dev up uses it for
# build/local; tests that break servers use it for servers of their own.
#
#   stack.sh start DIR [kafka|postgres]...     start what does not run; prints nothing on stdout; again is harmless
#   stack.sh env DIR [kafka|postgres]...       print export lines (JOBMILL_DATABASE_URL, JOBMILL_KAFKA_BOOTSTRAP_SERVERS)
#                                              of what runs; exit 1 and nothing printed when one of them is down
#   stack.sh stop DIR [kafka|postgres]...      orderly stop (PostgreSQL: fast; Kafka: SIGTERM, then SIGKILL after 15 s)
#   stack.sh kill DIR [kafka|postgres]...      immediate stop (PostgreSQL: SIGQUIT, so it has to recover; Kafka: SIGKILL)
#   stack.sh restart DIR [kafka|postgres]...   kill, then start on the same port with the same data
#   stack.sh pid DIR kafka|postgres            print the server's process id; exit 1 when it is down
#   stack.sh remove DIR                        immediate stop, and delete DIR
#
# With none named, both are meant. Each server keeps its port between starts as long as that is free. Ports are on
# 127.0.0.1 only. The packages must be there (./dev up sees to that). Environment: KAFKA_HOME (an unpacked Kafka instead
# of jars from Maven Central), JOBMILL_KAFKA_BOOTSTRAP_SERVERS (an existing broker: none is started), KAFKA_HEAP_OPTS,
# JOBMILL_PG_OPTIONS (options of `postgres` for this start, e.g. "-c fsync=off").
# Logs: DIR/kafka/log, DIR/postgres/log. Processes are stopped only if they are the very ones that were started here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=compose/local/lib.sh
. "$here/lib.sh"
# shellcheck source=compose/local/postgres.sh
. "$here/postgres.sh"
# shellcheck source=compose/local/kafka.sh
. "$here/kafka.sh"

[ $# -ge 2 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
verb=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
shift 2
[ $# -gt 0 ] || set -- postgres kafka

each() { # each FUNCTION-SUFFIX [ARGUMENT]: for every server named on the command line
  local server
  for server in $servers; do
    case $server in
      kafka) "kafka_$1" "$dir/kafka" "${@:2}" ;;
      postgres) "pg_$1" "$dir/postgres" "${@:2}" ;;
    esac
  done
}

servers=$*
for server in $servers; do
  case $server in kafka | postgres) ;; *) die "no server is called $server" ;; esac
done

start() {
  local pid='' failed=0
  # PostgreSQL comes up while Kafka does.
  case " $servers " in
    *' postgres '*) pg_start "$dir/postgres" & pid=$! ;;
  esac
  case " $servers " in
    *' kafka '*) kafka_start "$dir/kafka" || failed=1 ;;
  esac
  [ -z "$pid" ] || wait "$pid" || failed=1
  [ "$failed" = 0 ] || die "a server did not start; see $dir/*/log"
}

print_env() {
  local server out=''
  for server in $servers; do
    case $server in
      postgres)
        pg_running "$dir/postgres" || exit 1
        out+="export JOBMILL_DATABASE_URL='$(pg_url "$dir/postgres")'"$'\n'
        ;;
      kafka)
        kafka_running "$dir/kafka" || exit 1
        out+="export JOBMILL_KAFKA_BOOTSTRAP_SERVERS='$(kafka_bootstrap "$dir/kafka")'"$'\n'
        ;;
    esac
  done
  printf '%s' "$out"
}

if [ "$verb" != env ] && [ "$verb" != pid ]; then
  exec 9>"$dir/lock"
  flock 9
fi
case $verb in
  start) start ;;
  stop) each stop fast ;;
  kill) each stop immediate ;;
  restart) each stop immediate; start ;;
  env) print_env ;;
  pid) our_pid "$dir/$servers/pid" ;;
  remove)
    servers='kafka postgres'
    each stop immediate
    each remove
    rm -rf "$dir"
    ;;
  *) die "no such command: $verb" ;;
esac
