"""Cases about the HTTP API: submission, lists and counts on a long history, and streams. Each gives
{key of MEASURES: value}. The client is tests/bench/http_client.c, on the same machine."""
import datetime as dt
import json
import re
import subprocess

from behaviour import rss_mb
from bench import quantile
from lib.paths import bin_dir

OPEN = {"http.auth": "off", "http.access_log": "false", "http.max_connections": 4000}
JOB = {"type": "noop"}
BATCH = 1000


def start(stack):
    """A producer that answers, and its address."""
    producer = stack.start_producer(**OPEN)
    producer.wait_log("ready: listening on")
    return producer, re.search(r"ready: listening on (?:http://)?(\S+?);", producer.text()).group(1)


def requests(address, connections, count, method, path, status, body=""):
    done = subprocess.run([bin_dir() / "bench_http_client", "requests", address, str(connections), str(count),
                           method, "/api/v1" + path, str(status)], input=body, capture_output=True, text=True,
                          timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{method} {path}: {done.stderr[:2000]}")
    return json.loads(done.stdout)


def submit(bench, connections, requests_n, body):
    """(what the client saw, CPU of the producer, jobs in the database), on fresh tables."""
    stack = bench.stack()
    producer, address = start(stack)
    requests(address, connections, min(requests_n, 50), "POST", "/jobs", 201, body)  # plans and caches
    before, cpu = stack.db.value("SELECT count(*) FROM jobs"), producer.cpu_s()
    try:
        found = requests(address, connections, requests_n, "POST", "/jobs", 201, body)
    except RuntimeError as e:
        raise RuntimeError(f"{e}\n{producer.tail()}") from None
    cpu = producer.cpu_s() - cpu
    rows = stack.db.value("SELECT count(*) FROM jobs") - before
    bench.drop(stack)
    return found, cpu, rows


def bare(bench, count, batch, connections):
    stack = bench.stack()
    done = subprocess.run([bin_dir() / "bench_bare_submit", stack.database_url, "jobmill", str(count), str(batch),
                           str(connections)], check=True, capture_output=True, text=True, timeout=300)
    bench.drop(stack)
    return float(done.stdout)


def submit_single(bench):
    """One job a request on 256 connections, each answered when it is committed."""
    count = bench.args.submissions
    reference = bare(bench, count // 2, 1, 64)
    found, cpu, rows = submit(bench, 256, count, json.dumps(JOB))
    if rows != count:
        raise RuntimeError(f"{count} jobs were answered, {rows} are there")
    return {"single": count / found["seconds"], "single_p50_ms": found["p50_ms"], "single_p99_ms": found["p99_ms"],
            "single_cpu_us": cpu / count * 1e6, "bare_single": reference}


def submit_batch(bench):
    """1,000 jobs a request on 4 connections."""
    count = bench.args.submissions * 4 // BATCH
    reference = bare(bench, count * BATCH, BATCH, 1)
    found, cpu, rows = submit(bench, 4, count, json.dumps([JOB] * BATCH))
    if rows != count * BATCH:
        raise RuntimeError(f"{count * BATCH} jobs were answered, {rows} are there")
    return {"batched": rows / found["seconds"], "batched_p99_ms": found["p99_ms"],
            "batched_cpu_us": cpu / rows * 1e6, "bare_batched": reference}


# ---- lists on a long history ----

FILLED = """
INSERT INTO jobs (id, type, project, status, outcome, attempt, submitted_by, metadata, created_at, started_at,
                  completed_at, duration_ms, updated_at)
SELECT id, 'type' || i %% 20, 'default', CASE WHEN i %% 100 = 0 THEN 'failed' ELSE 'completed' END,
    CASE WHEN i %% 100 = 0 THEN 'failed' END, 1, 'kafka',
    CASE WHEN i %% 10 = 0 THEN jsonb_build_object('order', 'o' || i) END, at, at, at, i %% 1000, at
FROM (SELECT i, at, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
                     || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid AS id
      FROM (SELECT i, %(now)s::timestamptz - interval '6 days' * (1 - i / %(jobs)s::float8) AS at
            FROM generate_series(%(least)s::bigint, %(most)s::bigint) AS i) AS t) AS g"""
SEARCHABLE = """INSERT INTO job_metadata (job_id, key, value)
SELECT id, 'order', metadata ->> 'order' FROM jobs WHERE metadata IS NOT NULL"""
COUNTED = """INSERT INTO job_stats (hour, project, type, status, jobs, duration_ms, folded)
SELECT date_trunc('hour', completed_at), project, type, status, count(*), sum(duration_ms), true
FROM jobs GROUP BY 1, 2, 3, 4"""


def fill(bench, stack, jobs, chunk=500000):
    """Ended jobs of the last six days: 20 types, 1 of 100 failed, 1 of 10 with metadata that can be searched."""
    with stack.db.connect() as conn:
        conn.execute("SET synchronous_commit = off")
        now = conn.execute("SELECT clock_timestamp()").fetchone()[0]
        for least in range(1, jobs + 1, chunk):
            most = min(jobs, least + chunk - 1)
            conn.execute(FILLED, {"now": now, "jobs": jobs, "least": least, "most": most})
            bench.progress(f"history: {most:,} of {jobs:,} jobs")
        conn.execute(SEARCHABLE)
        conn.execute(COUNTED)
        for table in ("jobs", "job_metadata", "job_stats"):
            conn.execute(f"VACUUM (ANALYZE) {table}")
        conn.execute("CHECKPOINT")
    return now


def lists(bench):
    """Lists, searches and counts, one request at a time."""
    stack, jobs = bench.stack(), bench.args.list_jobs
    now = fill(bench, stack, jobs)
    _, address = start(stack)
    yesterday = (now - dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = {}
    for name, path in {
            "list": "/jobs", "list_failed": "/jobs?status=failed", "list_pending": "/jobs?status=pending",
            "list_running": "/jobs?status=running", "list_type": "/jobs?type=type7",
            "search": f"/jobs/search?key=order&value=o{jobs // 20 * 10}",
            "search_prefix": f"/jobs/search?key=order&value=o{jobs // 20}&match=prefix", "stats": "/jobs/stats",
            "stats_type": "/jobs/stats?type=type7&project=default",
            "stats_range": f"/jobs/stats?from={yesterday}"}.items():
        requests(address, 1, 5, "GET", path, 200)  # plans and caches
        took = requests(address, 1, bench.args.samples, "GET", path, 200)
        found.update({name + "_p50_ms": took["p50_ms"], name + "_p99_ms": took["p99_ms"]})
    bench.drop(stack)
    return found


# ---- streams ----

class Streams:
    """The client's listeners on these paths."""

    def __init__(self, bench, address, paths):
        self.process = bench.process([bin_dir() / "bench_http_client", "listen", address, len(paths)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._say("\n".join("/api/v1" + path for path in paths))
        self._hear()

    def _say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def _hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the listeners ended")
        return line

    def told(self, text):
        """When the first and the last of them have had this text."""
        self._say(text)
        return [float(s) for s in self._hear().split()]

    def close(self):
        self.process.stdin.close()
        if self.process.wait(20):
            raise RuntimeError(f"the listeners ended with {self.process.returncode}")


def ended_at(stack, job):
    return float(stack.db.value("SELECT extract(epoch FROM completed_at) FROM jobs WHERE id = %s", job))


def listeners(bench):
    """1,000 listeners: of everything, then each of a job of its own."""
    n = bench.args.listeners
    stack = bench.stack()
    bench.worker(stack)
    producer, address = start(stack)
    stack.db.execute("SELECT submit('noop')")
    stack.wait_ended(1)  # so that the topic of events is there
    before = rss_mb(producer.pid)
    streams = Streams(bench, address, ["/events"] * n)
    memory = rss_mb(producer.pid)
    times = []
    for _ in range(bench.args.samples // 10):
        job = str(stack.db.value("SELECT submit('noop')"))
        last = streams.told(job)[1]
        times.append((last - ended_at(stack, job)) * 1000)
    streams.close()
    found = {"events_told_p50_ms": quantile(times, 0.5), "events_told_max_ms": max(times),
             "events_kb": (memory - before) * 1024 / n}
    found.update(own_jobs(bench, stack, producer, address, n))
    bench.drop(stack)
    return found


def own_jobs(bench, stack, producer, address, n):
    """Each listens to a job of its own; all end at once."""
    jobs = [str(row[0]) for row in stack.db.query(
        "SELECT submit('noop', '{}', jsonb_build_object('run_at', clock_timestamp() + interval '1 day')) "
        "FROM generate_series(1, %s)", n)]
    streams = Streams(bench, address, [f"/jobs/{job}/events" for job in jobs])
    memory = rss_mb(producer.pid)
    with stack.db.connect() as conn, conn.transaction():
        conn.execute("UPDATE jobs SET status = 'cancelled', outcome = 'cancelled', completed_at = clock_timestamp(), "
                     "updated_at = clock_timestamp() WHERE id = ANY(%s)", (jobs,))
        conn.execute("DELETE FROM pending_jobs WHERE job_id = ANY(%s)", (jobs,))
    ended = float(stack.db.value("SELECT extract(epoch FROM clock_timestamp())"))
    first, last = streams.told("event: end")
    streams.close()
    return {"job_told_first_ms": (first - ended) * 1000, "job_told_last_ms": (last - ended) * 1000,
            "listening_mb": memory}


NAMES = (submit_single, submit_batch, listeners, lists)
