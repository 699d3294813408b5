"""Cases about how fast jobs are recorded. Each gives {key of MEASURES: value}."""
import json
import subprocess

from lib.paths import ROOT, bin_dir

LOOP_HANDLER = """import jobmill
jobmill.handler(lambda job: {"ok": True})
jobmill.run()
"""


NO_EVENTS = {"events.publish": "none"}  # as the bare loop and the peers, which publish nothing


def run_load(bench, stack, count, workers=1, config=NO_EVENTS):
    """Records in the topic first, then the workers; (jobs a second, workers' CPU s, peak MB)."""
    before = stack.db.value("SELECT coalesce(sum(jobs), 0) FROM job_stats")
    began = stack.db.value("SELECT clock_timestamp()")
    bench.load(stack, count)
    started = [bench.worker(stack, **config) for _ in range(workers)]
    bench.wait_done(stack, before + count)
    cpu = sum(w.cpu_s() for w in started)
    peak = max(w.peak_kb() for w in started) / 1024
    rate = bench.rate(stack, count, f"created_at >= '{began}'")
    return rate, cpu, peak


def whole_path(bench):
    """Jobs already in the topic → rows committed and offsets committed."""
    stack = bench.stack()
    count = bench.args.jobs
    server = bench.server_cpu_s()
    lsn = stack.db.value("SELECT pg_current_wal_insert_lsn()")
    rate, cpu, peak = run_load(bench, stack, count)
    found = {"whole_path": rate, "worker_cpu_us": cpu / count * 1e6, "worker_peak_mb": peak}
    found.update(server_share(bench, stack, count, server, lsn, "worker"))
    bench.check_all_completed(stack, count)
    for table in ("job_steps", "job_logs"):
        if stack.db.value(f"SELECT count(*) FROM {table}") != count:
            raise RuntimeError(f"{table} has not one row a job")
    stack.wait_offsets(timeout=60)
    bench.drop(stack)
    return found


def with_events(bench):
    """The whole path as it is by default: an event is published for each job that ends."""
    stack = bench.stack()
    count = bench.args.jobs
    rate, cpu, _ = run_load(bench, stack, count, config={})
    bench.check_all_completed(stack, count)
    bench.drop(stack)
    return {"with_events": rate, "events_cpu_us": cpu / count * 1e6}


def server_share(bench, stack, count, cpu_before, lsn, name):
    """What a job cost PostgreSQL: CPU of all its processes, bytes of WAL."""
    found = {f"{name}_wal_bytes": float(stack.db.value(
        "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", lsn)) / count}
    if cpu_before is not None:
        found[f"{name}_server_us"] = (bench.server_cpu_s() - cpu_before) / count * 1e6
    return found


def bare_loop(bench):
    stack = bench.stack()
    count = bench.args.jobs
    bench.load(stack, count)
    server = bench.server_cpu_s()
    lsn = stack.db.value("SELECT pg_current_wal_insert_lsn()")
    done = subprocess.run([bin_dir() / "bench_bare_loop", bench.bootstrap, stack.topic_name(),
                           "bare", stack.database_url, str(count)], check=True,
                          capture_output=True, text=True, timeout=300)
    said = json.loads(done.stdout)
    found = {"bare_loop": bench.rate(stack, count), "bare_cpu_us": said["cpu_s"] / count * 1e6}
    found.update(server_share(bench, stack, count, server, lsn, "bare"))
    bench.check_all_completed(stack, count)
    bench.drop(stack)
    return found


def statements(bench):
    """Each statement of the hot path alone, 1,000 jobs at a time, beside the bare loop's."""
    stack = bench.stack()
    done = subprocess.run([bin_dir() / "bench_statements", stack.database_url, "100"], check=True,
                          capture_output=True, text=True, timeout=300)
    bench.drop(stack)
    return {"sql_" + name: us for name, us in json.loads(done.stdout).items()}


def two_workers(bench):
    stack = bench.stack()
    count = bench.args.jobs
    rate, _, _ = run_load(bench, stack, count, workers=2)
    bench.check_all_completed(stack, count)
    bench.drop(stack)
    return {"two_workers": rate}


def of_type(bench, stack, message, count, what, **config):
    """Jobs a second of a type that is tried with one job first. The worker runs already: these
    jobs cost more than loading them."""
    bench.worker(stack, **config)
    bench.probe(stack, message, what)
    began = stack.db.value("SELECT clock_timestamp()")
    bench.load(stack, count, json.dumps(message))
    bench.wait_done(stack, count + 1)
    bench.check_all_completed(stack, count + 1)
    return bench.rate(stack, count, f"created_at >= '{began}'", "started_at")


def exec_true(bench):
    stack = bench.stack()
    stack.job_type("true", ["/bin/true"])
    rate = of_type(bench, stack, {"type": "true"}, bench.args.jobs // 40, "exec")
    bench.drop(stack)
    return {"exec_true": rate}


def exec_loop(bench):
    stack = bench.stack()
    script = stack.dir / "handler.py"
    script.write_text(LOOP_HANDLER)
    stack.job_type("looped", {"name": "run", "exec": {
        "argv": ["/usr/bin/python3", str(script)], "mode": "loop",
        "env": {"PYTHONPATH": str(ROOT / "worker" / "sdk")}}})
    # Slots are what is accepted at once; far fewer processes are started.
    rate = of_type(bench, stack, {"type": "looped"}, bench.args.jobs // 8,
                   'exec with "mode": "loop"', concurrency=256)
    bench.drop(stack)
    return {"exec_loop": rate}


def http(bench):
    stack = bench.stack()
    server = bench.process([bin_dir() / "bench_http_server"], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE)
    port = int(server.stdout.readline())
    stack.job_type("call", {"name": "run", "http": {
        "method": "GET", "url": f"http://127.0.0.1:{port}/"}})
    rate = of_type(bench, stack, {"type": "call"}, bench.args.jobs // 8, "http",
                   http_allow_private="true", concurrency_async=5000)
    server.stdin.close()
    bench.end_processes()
    bench.drop(stack)
    return {"http": rate}


def pending(bench):
    """A backlog of jobs whose run_at has come, all ready in pending_jobs."""
    stack = bench.stack()
    count = bench.args.jobs // 4
    stack.db.execute(
        "WITH new AS (INSERT INTO jobs (id, type, submitted_by, run_at) SELECT uuid7(), 'noop', "
        f"'sql', clock_timestamp() FROM generate_series(1, {count}) RETURNING id) "
        "INSERT INTO pending_jobs (job_id, state, queue, type, project, reason) "
        "SELECT id, 'ready', 'default', 'noop', 'default', 'run_at' FROM new ORDER BY id")
    stack.db.execute("ANALYZE jobs, pending_jobs")
    bench.worker(stack)
    bench.wait_done(stack, count)
    bench.check_all_completed(stack, count)
    rate = bench.rate(stack, count, column="started_at")
    bench.drop(stack)
    return {"pending": rate}


def ordered(bench):
    """Jobs of a type that orders, over 1,000 keys."""
    stack = bench.stack()
    count = bench.args.jobs // 8
    stack.job_type("ordered", {"name": "run", "noop": {}}, ordering="key")
    bench.worker(stack)
    bench.probe(stack, {"type": "ordered", "key": "k0"}, "a type with ordering")
    began = stack.db.value("SELECT clock_timestamp()")
    bench.load(stack, count, json.dumps({"type": "ordered"}), keys=1000)
    bench.wait_done(stack, count + 1)
    bench.check_all_completed(stack, count + 1)
    rate = bench.rate(stack, count, f"created_at >= '{began}'")
    bench.drop(stack)
    return {"ordered": rate}


HISTORY = """
INSERT INTO {table} ({columns})
SELECT {values} FROM (
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
            || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid AS id, at
    FROM (SELECT i, clock_timestamp() - interval '6 days' * (1 - i / {jobs}::float8) AS at
          FROM generate_series({from_i}, {to_i}) AS i) AS x) AS g"""
HISTORY_TABLES = (
    ("jobs", "id, type, status, attempt, submitted_by, created_at, started_at, completed_at, "
     "duration_ms, updated_at", "id, 'history', 'completed', 1, 'kafka', at, at, at, 0, at"),
    ("job_steps", "job_id, attempt, seq, name, status, created_at, started_at, completed_at, "
     "duration_ms", "id, 1, 1, 'run', 'success', at, at, at, 0"),
    ("job_logs", "job_id, attempt, seq, step, ts, level, message",
     "id, 1, 1, 'run', at, 'INFO', 'step run: success in 0 ms'"))


def make_history(bench):
    """Ended jobs with their steps and logs, of the last six days, in one database for all rounds."""
    stack = bench.stack()
    bench.history_stack = stack
    jobs, chunk = bench.args.history_jobs, 500000
    with stack.db.connect() as conn:
        conn.execute("SET synchronous_commit = off")
        for from_i in range(1, jobs + 1, chunk):
            at = conn.execute("SELECT clock_timestamp()").fetchone()[0]
            for table, columns, values in HISTORY_TABLES:
                sql = HISTORY.format(table=table, columns=columns, values=values, jobs=jobs,
                                     from_i=from_i, to_i=min(jobs, from_i + chunk - 1))
                conn.execute(sql.replace("clock_timestamp()", f"'{at}'::timestamptz"))
            bench.progress(f"history: {min(jobs, from_i + chunk - 1):,} of {jobs:,} jobs")
        conn.execute("VACUUM (ANALYZE) jobs")
        conn.execute("VACUUM (ANALYZE) job_steps")
        conn.execute("VACUUM (ANALYZE) job_logs")
        conn.execute("CHECKPOINT")
    return stack


def history(bench):
    """The whole path on a database that holds a long history."""
    stack = bench.history_stack or make_history(bench)
    count = bench.args.jobs
    rate, _, _ = run_load(bench, stack, count)
    for worker in stack.programs:
        worker.terminate()
    stack.programs.clear()
    stack.wait_offsets(timeout=60)
    states = stack.db.statuses("type = 'noop'")
    if set(states) != {"completed"}:
        raise RuntimeError(f"expected completed jobs only, found {states}")
    return {"history": rate}


NAMES = (bare_loop, whole_path, with_events, statements, two_workers, exec_true, exec_loop, http,
         pending, ordered, history)
