"""Cases about latency, memory and restarts. Each gives {key of MEASURES: value}."""
import json
import pathlib
import subprocess
import time

from bench import quantile
from lib.ids import uuid7
from lib.topics import read_all
from lib.wait import wait_until


def scheduler(bench):
    """Schedules that are all due at one instant → jobs recorded, by way of Kafka."""
    stack = bench.stack()
    count = bench.args.schedules
    stack.db.execute(
        "INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, next_run_at,"
        " misfire_grace_seconds) SELECT uuid7(), 's' || i, 'noop', 'interval', 86400, "
        "date_trunc('second', clock_timestamp()) - interval '1 day', "
        f"date_trunc('second', clock_timestamp()), 3600 FROM generate_series(1, {count}) i")
    stack.db.execute("ANALYZE schedules")
    bench.worker(stack)
    producer = stack.start_producer()
    bench.wait_done(stack, count)
    bench.check_all_completed(stack, count)
    rate = bench.rate(stack, count)
    fired = stack.db.value("SELECT extract(epoch FROM max(decided_at) - min(decided_at)) "
                           "FROM schedule_ticks")
    peak = producer.peak_kb() / 1024
    bench.drop(stack)
    return {"through_scheduler": rate, "fires": count / max(float(fired), 0.001),
            "producer_peak_mb": peak}


def one_idle_job(conn, producer, topic):
    """(ms from the acknowledgement until seen as completed, ms until its statement began)."""
    job_id = uuid7()
    acknowledged = []
    producer.produce(topic, json.dumps({"type": "noop", "id": job_id}),
                     on_delivery=lambda e, m: acknowledged.append(None if e else time.time()))
    while not acknowledged:
        producer.poll(0.05)
    deadline = time.time() + 30
    while conn.execute("SELECT status FROM jobs WHERE id = %s", (job_id,), prepare=True
                       ).fetchone() != ("completed",):
        if time.time() > deadline:
            raise RuntimeError("an idle job was not recorded within 30 s")
    seen = (time.time() - acknowledged[0]) * 1000
    at, = conn.execute("SELECT extract(epoch FROM updated_at) FROM jobs WHERE id = %s",
                       (job_id,)).fetchone()
    return seen, (float(at) - acknowledged[0]) * 1000


def idle_latency(bench):
    """One job at a time: from the broker's acknowledgement until another connection sees the
    job recorded as completed (asked without a pause, so this is an upper bound)."""
    stack = bench.stack()
    worker = stack.start_worker()
    stack.send({"type": "noop"})
    stack.wait_ended(1)
    found = []
    producer = stack.kafka.producer()
    with stack.db.connect() as conn:
        for i in range(bench.args.samples):
            found.append(one_idle_job(conn, producer, stack.topic_name()))
            time.sleep(0.01 + (i % 7) / 500)  # the next arrives at no fixed beat
    idle = worker.peak_kb() / 1024
    bench.drop(stack)
    seen, recorded = zip(*found)
    return {"idle_p50_ms": quantile(seen, 0.5), "idle_p99_ms": quantile(seen, 0.99),
            "idle_max_ms": max(seen), "idle_statement_p50_ms": quantile(recorded, 0.5),
            "worker_idle_mb": idle}


def due(bench):
    """A schedule's instant → the time at which the broker appended its record."""
    stack = bench.stack()
    for i in range(20):
        stack.db.execute(
            "INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, "
            "next_run_at, overlap) SELECT uuid7(), %s, 'noop', 'interval', 1, t, t + interval "
            "'2 seconds', 'allow' FROM (SELECT date_trunc('second', clock_timestamp()) + "
            "%s * interval '47 ms' AS t) x", f"s{i}", i)
    stack.start_worker()
    stack.start_producer()
    wait_until(lambda: stack.db.value("SELECT count(*) FROM schedule_ticks") >= 160, 60)
    stack.db.execute("UPDATE schedules SET paused = true")
    wait_until(lambda: not stack.db.value("SELECT count(*) FROM pending_jobs"), 30)
    due_ms = {str(i): d.timestamp() * 1000 for i, d in
              stack.db.query("SELECT id, due_at FROM jobs WHERE due_at IS NOT NULL")}
    delays = []
    for record in read_all(bench.bootstrap, stack.topic_name()):
        job = (record.headers.get("jobmill-job") or b"").decode()
        if job in due_ms:
            delays.append(record.ms - due_ms[job])
    delays = delays[20:] or delays  # the first instants are from before the producer was up
    bench.drop(stack)
    if not delays:
        raise RuntimeError("no record of a schedule was found in the topic")
    return {"due_p50_ms": quantile(delays, 0.5), "due_p99_ms": quantile(delays, 0.99),
            "due_max_ms": max(delays)}


def rss_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def sleeping(bench):
    """Resident memory of a worker with 5,000 sleeping jobs in flight."""
    stack = bench.stack()
    count, seconds = 5000, 12
    worker = bench.worker(stack, concurrency_async=count)
    bench.load(stack, count, json.dumps({"type": "sleep", "params": {"seconds": seconds}}))
    wait_until(lambda: stack.db.value("SELECT count(*) FROM jobs WHERE status = 'running'")
               == count, seconds, 0.1, "5,000 jobs run")
    memory = rss_mb(worker.pid)
    bench.wait_done(stack, count)
    bench.check_all_completed(stack, count)
    bench.drop(stack)
    return {"sleeping_mb": memory}


def rolling_restart(bench):
    """Three workers under a steady load are restarted one after the other."""
    stack = bench.stack()
    rate, seconds = bench.args.steady_rate, 24
    count = rate * seconds
    workers = [bench.worker(stack) for _ in range(3)]
    load = bench.process(bench.load_argv(stack, count, rate=rate), stderr=subprocess.PIPE)
    wait_until(lambda: stack.db.value("SELECT count(*) FROM jobs") > rate * 3, 30, what="load")
    for worker in workers:
        code = worker.terminate(60)
        if code:
            raise RuntimeError(f"a worker ended with {code}")
        stack.programs.remove(worker)
        bench.worker(stack)
        time.sleep(2)  # a pace, as of whoever restarts a fleet
    if load.wait(120):
        raise RuntimeError("the load failed: " + load.stderr.read())
    bench.wait_done(stack, count)
    bench.check_all_completed(stack, count)
    # Ids carry the broker's time of the record. The first and last second of the load are left out.
    seconds_of = stack.db.query(
        "SELECT floor(extract(epoch FROM completed_at - (SELECT min(uuid7_time(id)) FROM jobs)))::int, "
        "count(*) FROM jobs GROUP BY 1 ORDER BY 1")
    by_second = dict(seconds_of)
    waits = [float(w) * 1000 for w, in stack.db.query(
        "SELECT extract(epoch FROM completed_at - uuid7_time(id)) FROM jobs")]
    bench.drop(stack)
    return {"restart_dip": 100 * min(by_second.get(s, 0) for s in range(1, seconds - 1)) / rate,
            "restart_p50_ms": quantile(waits, 0.5), "restart_p99_ms": quantile(waits, 0.99),
            "restart_max_ms": max(waits)}


NAMES = (scheduler, idle_latency, due, sleeping, rolling_restart)
