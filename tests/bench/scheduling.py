"""Cases about schedules alone: how many fire a second, how late, and what a million of them cost.
Each gives {key of MEASURES: value}. No worker runs: what counts ends when Kafka has the message."""
import json
import subprocess
import time

from bench import quantile
from lib.paths import bin_dir
from lib.wait import wait_until

UNACKNOWLEDGED = "SELECT count(*) FROM pending_jobs WHERE state = 'unpublished'"


def add(stack, count, every_s, first, spread="0"):
    """Interval schedules; `first` and `spread` (of i, in seconds) say when each is due first."""
    stack.db.execute(
        "INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, next_run_at, overlap, "
        "misfire_grace_seconds) SELECT uuid7(), 's' || i, 'noop', 'interval', %s, t - %s * interval '1 s', t, "
        "'allow', 86400 FROM (SELECT i, " + first + " + (" + spread + ") * interval '1 s' AS t "
        f"FROM generate_series(0, {count - 1}) i) x", every_s, every_s)
    stack.db.execute("VACUUM ANALYZE schedules")


def fire_rate(bench):
    """A backlog of due schedules, by the producer and by the bare SQL loop, each on its own tables."""
    count = bench.args.fires
    stack = bench.stack()
    add(stack, count, 86400, "clock_timestamp() - interval '1 h'", "i * 0.0001")
    bare = float(subprocess.run([bin_dir() / "bench_bare_schedules", stack.database_url, "jobmill", str(count)],
                                check=True, capture_output=True, text=True, timeout=300).stdout)
    bench.drop(stack)
    stack = bench.stack()
    add(stack, count, 86400, "clock_timestamp() - interval '1 h'", "i * 0.0001")
    stack.db.execute("CHECKPOINT")
    producer = stack.start_producer()
    wait_until(lambda: stack.db.value("SELECT count(*) FROM schedule_ticks") == count, 300, 0.2, "all fire")
    wait_until(lambda: not stack.db.value(UNACKNOWLEDGED), 300, 0.2, "all are acknowledged")
    fired, published = stack.db.one(
        "SELECT extract(epoch FROM max(decided_at) - min(decided_at)), extract(epoch FROM clock_timestamp() - "
        "min(decided_at)) FROM schedule_ticks")
    peak = producer.peak_kb() / 1024
    bench.drop(stack)
    return {"fires_alone": count / float(fired), "fires_published": count / float(published),
            "bare_fires": bare, "scheduler_peak_mb": peak}


def lateness(stack, seconds):
    """ms from each instant of the last `seconds` until its row was marked published, by the broker's time."""
    from lib.topics import read_all
    due = dict(stack.db.query("SELECT job_id::text, extract(epoch FROM due_at) * 1000 FROM schedule_ticks "
                              "WHERE due_at > (SELECT max(due_at) FROM schedule_ticks) - %s * interval '1 s'",
                              seconds))
    late = []
    for record in read_all(stack.bootstrap, stack.topic_name()):
        job = (record.headers.get("jobmill-job") or b"").decode()
        if job in due:
            late.append(record.ms - float(due[job]))
    if len(late) < 0.99 * len(due):
        raise RuntimeError(f"{len(due)} instants, {len(late)} records in the topic")
    return late


def steady(bench):
    """100,000 schedules of which 1,000 fire each second, each at an instant of its own."""
    stack = bench.stack()
    add(stack, 100000, 100, "date_trunc('second', clock_timestamp()) + interval '3 s'", "i * 0.001")
    stack.start_producer()
    time.sleep(20)
    stack.db.execute("UPDATE schedules SET paused = true")
    wait_until(lambda: not stack.db.value(UNACKNOWLEDGED), 30)
    late = lateness(stack, 12)
    bench.drop(stack)
    return {"steady_p50_ms": quantile(late, 0.5), "steady_p99_ms": quantile(late, 0.99),
            "steady_max_ms": max(late)}


def burst(bench):
    """10,000 schedules due at one instant: when the broker has the last of them."""
    stack = bench.stack()
    add(stack, 10000, 3600, "date_trunc('second', clock_timestamp()) + interval '4 s'")
    stack.start_producer()
    wait_until(lambda: stack.db.value("SELECT count(*) FROM schedule_ticks") == 10000, 60, 0.2)
    wait_until(lambda: not stack.db.value(UNACKNOWLEDGED), 30)
    late = lateness(stack, 1)
    bench.drop(stack)
    return {"burst_last_ms": max(late)}


def million(bench):
    """1,000,000 schedules, of which 20,000 fire each second for half a minute."""
    stack = bench.stack()
    count, rate, seconds = bench.args.many_schedules, bench.args.fire_rate, 30
    add(stack, count, count // rate, "date_trunc('second', clock_timestamp()) + interval '12 s'", f"i / {rate}.0")
    stack.db.execute("CHECKPOINT")
    producer = stack.start_producer()
    wait_until(lambda: stack.db.value("SELECT max(due_at) > min(due_at) + %s * interval '1 s' FROM "
                                      "(SELECT due_at FROM schedule_ticks ORDER BY decided_at DESC LIMIT 1) a "
                                      "FULL JOIN (SELECT min(due_at) AS due_at FROM schedule_ticks) b USING (due_at)",
                                      seconds), 180, 0.5, "half a minute of instants")
    behind = stack.db.value("SELECT extract(epoch FROM clock_timestamp() - min(next_run_at)) FROM schedules")
    memory = producer.peak_kb() / 1024
    cpu = producer_cpu_s(producer)
    fired = stack.db.value("SELECT count(*) FROM schedule_ticks")
    bench.drop(stack)
    return {"million_mb": memory, "million_behind_s": max(0.0, float(behind)),
            "million_cpu_us": cpu * 1e6 / fired}


def producer_cpu_s(producer):
    from bench import TICKS, stat_of
    fields = stat_of(producer.pid)[1]
    return (int(fields[11]) + int(fields[12])) / TICKS


NAMES = (fire_rate, steady, burst, million)
