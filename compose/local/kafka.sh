# shellcheck shell=bash
# Runs a real single-node Kafka (KRaft) in a directory of its own, on free ports of 127.0.0.1; sourced by stack.sh.
# The jars come from Maven Central once and are shared by all directories; KAFKA_HOME names an unpacked Kafka instead.

kafka_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Prints the class path's directory; fetches the jars the first time.
kafka_libs() {
  if [ -n "${KAFKA_HOME:-}" ]; then
    [ -d "$KAFKA_HOME/libs" ] || die "KAFKA_HOME=$KAFKA_HOME has no libs/"
    echo "$KAFKA_HOME/libs"
    return
  fi
  local libs=$kafka_root/build/kafka/libs want
  want=$(cksum <"$kafka_root/compose/kafka/pom.xml")
  if [ "$(cat "$libs/.complete" 2>/dev/null)" != "$want" ]; then
    have mvn || die "mvn is needed to fetch Kafka (or KAFKA_HOME)"
    mkdir -p "$kafka_root/build/kafka"
    exec 8>"$kafka_root/build/kafka/lock"
    flock 8
    if [ "$(cat "$libs/.complete" 2>/dev/null)" != "$want" ]; then
      say "fetching Kafka's server from Maven Central"
      rm -rf "$libs"
      mvn -q -B -f "$kafka_root/compose/kafka/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$libs" >"$kafka_root/build/kafka/mvn.log" 2>&1 8>&- \
        || { tail -n 20 "$kafka_root/build/kafka/mvn.log" >&2; die "could not fetch Kafka"; }
      echo "$want" >"$libs/.complete"
    fi
    exec 8>&-
  fi
  echo "$libs"
}

kafka_properties() {
  local dir=$1 port controller
  port=$(cat "$dir/port")
  controller=$(cat "$dir/controller-port")
  cat >"$dir/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/data
default.replication.factor=1
min.insync.replicas=1
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=1500
log.message.timestamp.type=LogAppendTime
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=8388608
auto.create.topics.enable=true
unclean.leader.election.enable=false
END
}

kafka_java() {
  local dir=$1 libs
  libs=$(kafka_libs)
  shift
  # shellcheck disable=SC2086
  exec setsid java ${KAFKA_HEAP_OPTS:--Xms128m -Xmx512m} -cp "$libs/*" -Dkafka.logs.dir="$dir" \
    -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.dateTimeFormat="yyyy-MM-dd HH:mm:ss.SSS" \
    -Djava.net.preferIPv4Stack=true "$@"
}

kafka_bootstrap() { cat "$1/external" 2>/dev/null || echo "127.0.0.1:$(cat "$1/port")"; }

kafka_running() { [ -e "$1/external" ] || our_pid "$1/pid" >/dev/null; }

# A broker that somebody else runs; the addresses we gave out ourselves do not count, they live on in people's shells.
kafka_external() {
  local dir=$1 preset=${JOBMILL_KAFKA_BOOTSTRAP_SERVERS:-}
  [ -n "$preset" ] && [ "$preset" != "127.0.0.1:$(cat "$dir/port" 2>/dev/null)" ] || return 1
  echo "$preset"
}

# One attempt to start on the ports in DIR; 1 when it did not come up.
kafka_launch() {
  local dir=$1 end
  kafka_properties "$dir"
  if [ ! -e "$dir/formatted" ]; then
    rm -rf "$dir/data"
    (kafka_java "$dir" kafka.tools.StorageTool format -t "$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')" \
      -c "$dir/server.properties") >"$dir/format.log" 2>&1 || { cat "$dir/format.log" >&2; return 1; }
    touch "$dir/formatted"
  fi
  [ ! -e "$dir/log" ] || mv "$dir/log" "$dir/log.1"
  (
    exec >"$dir/log" 2>&1 </dev/null 9>&-
    cd "$dir" || exit 1
    kafka_java "$dir" kafka.Kafka "$dir/server.properties"
  ) &
  save_pid "$dir/pid" $!
  end=$((SECONDS + 90))
  until grep -q 'Kafka Server started' "$dir/log" && port_open "$(cat "$dir/port")"; do
    kafka_running "$dir" && [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

kafka_start() {
  local dir=$1 try preset
  mkdir -p "$dir"
  if preset=$(kafka_external "$dir"); then
    kafka_stop "$dir" fast
    echo "$preset" >"$dir/external"
    return 0
  fi
  rm -f "$dir/external"
  kafka_running "$dir" && return 0
  have java || die "java is needed to run Kafka"
  kafka_libs >/dev/null
  for try in 1 2 3; do
    keep_port "$dir/port" "$try"
    # The controller's port is part of the quorum's identity only by the properties: it may change between starts.
    free_port >"$dir/controller-port"
    kafka_launch "$dir" && return 0
    kafka_stop "$dir" immediate
  done
  tail -n 20 "$dir/log" >&2
  return 1
}

# kafka_stop DIR fast|immediate
kafka_stop() {
  local dir=$1 pid
  rm -f "$dir/external"
  if pid=$(our_pid "$dir/pid"); then
    [ "$2" = immediate ] || { kill -TERM "$pid" 2>/dev/null || true; await_exit "$dir/pid" 15 || true; }
    if pid=$(our_pid "$dir/pid"); then
      kill -KILL "$pid" 2>/dev/null || true
      await_exit "$dir/pid" 15 || return 1
    fi
  fi
  rm -f "$dir/pid"
}

kafka_remove() { rm -rf "$1"; }
