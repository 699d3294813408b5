# shellcheck shell=bash
# What the local scripts share: messages, free ports, and processes that are known for sure to be ours.

say() { printf '%s: %s\n' "${JM_SAY:-dev}" "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# A TCP port of 127.0.0.1 on which nobody listens, below the range from which the kernel gives out ports by itself.
# Somebody may take it before we do: who starts a server tries again with another.
free_port() {
  local port
  while :; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    port_open "$port" || { echo "$port"; return; }
  done
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# keep_port FILE TRY: leaves in FILE the port to use now: last time's, so that whoever knows it finds the server again,
# unless it is the third try or somebody else has it.
keep_port() {
  local end=$((SECONDS + 5))
  if [ -s "$1" ] && [ "$2" -lt 3 ]; then
    while port_open "$(cat "$1")"; do
      if [ "$SECONDS" -ge "$end" ]; then
        say "port $(cat "$1") is taken by somebody else"
        free_port >"$1"
      fi
      sleep 0.1
    done
  else
    free_port >"$1"
  fi
}

# When a process started, in clock ticks since boot: with its number, this names a process for ever.
proc_start() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# save_pid FILE PID: remember a process that we started.
save_pid() { printf '%s %s\n' "$2" "$(proc_start "$2")" >"$1"; }

# our_pid FILE: prints the number of the process that was saved there, if it is still that very process.
our_pid() {
  local pid started state
  { read -r pid started <"$1"; } 2>/dev/null || return 1
  [ -n "$started" ] && [ "$(proc_start "$pid")" = "$started" ] || return 1
  state=$(sed 's/^.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f1)
  [ "$state" != Z ] || return 1
  echo "$pid"
}

# await_exit FILE SECONDS: waits until the process saved in FILE is gone.
await_exit() {
  local end=$((SECONDS + $2))
  while our_pid "$1" >/dev/null; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}
