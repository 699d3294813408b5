#!/usr/bin/python3
"""The benchmark: real servers, release programs, and beside them the bare loop, in one run.

    run.py [--runs N] [--jobs N] [--only ROW…] [--json FILE] [--write-docs]

Uses the servers that JOBMILL_DATABASE_URL and JOBMILL_KAFKA_BOOTSTRAP_SERVERS name, or starts its
own. Rows are measured in turn, N times over, and the median is reported with the spread.
"""
import argparse
import datetime as dt
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib.paths import ROOT  # noqa: E402

os.environ.setdefault("JOBMILL_BIN_DIR", str(ROOT / "build" / "bin"))

from lib.database import Server  # noqa: E402
from lib.ids import uuid7  # noqa: E402
from lib.paths import bin_dir  # noqa: E402
from lib.servers import Kafka, Postgres, kafka_available  # noqa: E402
from lib.stack import Stack  # noqa: E402
from lib.topics import read_all  # noqa: E402
from lib.wait import wait_until  # noqa: E402

NOOP = '{"type":"noop"}'
PARTITIONS = 6


class Bench:
    def __init__(self, directory, args):
        self.dir = directory
        self.args = args
        self.servers = []
        self.stacks = []
        self.n = 0
        self.databases = None

    def start(self):
        """Servers, unless the environment names some."""
        directory = self.dir
        self.url = os.environ.get("JOBMILL_DATABASE_URL")
        if not self.url:
            self.servers.append(Postgres(directory / "postgres").create().start())
            self.url = self.servers[-1].url
        self.bootstrap = os.environ.get("JOBMILL_KAFKA_BOOTSTRAP_SERVERS")
        if not self.bootstrap:
            if not kafka_available():
                sys.exit("no Kafka broker: run `./dev up` first, or name one")
            self.servers.append(Kafka(directory / "kafka").create().start())
            self.bootstrap = self.servers[-1].bootstrap
        os.environ.setdefault("JOBMILL_TEST_RUN", "bench" + uuid.uuid4().hex[:4])
        self.databases = Server(self.url, directory)

    def stack(self):
        """A fresh database, topic and directory."""
        self.n += 1
        path = self.dir / f"run{self.n}"
        path.mkdir()
        stack = Stack(path, self.databases.create(), self.bootstrap)
        self.stacks.append(stack)
        stack.topic(partitions=PARTITIONS)
        return stack

    def drop(self, stack):
        self.stacks.remove(stack)
        wrong = stack.finish()
        stack.kafka.delete()
        self.databases.drop(stack.database_url)
        shutil.rmtree(stack.dir, ignore_errors=True)
        if wrong:
            sys.exit("\n".join(wrong))

    def close(self):
        for stack in self.stacks:
            stack.finish()
        if self.databases:
            self.databases.drop_run()
        for server in self.servers:
            server.destroy()

    def load(self, stack, count, value=NOOP):
        subprocess.run([bin_dir() / "bench_load", self.bootstrap, stack.topic_name(), str(count),
                        value], check=True)

    # Rows. Each gives {name: value}.

    def whole_path(self):
        """Jobs already in the topic → rows committed and offsets committed."""
        stack = self.stack()
        count = self.args.jobs
        self.load(stack, count)
        worker = stack.start_worker(concurrency_async=self.args.async_slots)
        cpu, peak = self.finish_load(stack, count, worker)
        stack.wait_offsets(timeout=60)
        rate = self.rate(stack, count)
        self.drop(stack)
        return {"whole_path": rate, "worker_cpu_us": cpu / count * 1e6, "worker_peak_mb": peak}

    def rate(self, stack, count):
        """From the accepting of the first to the recording of the last."""
        seconds = stack.db.value("SELECT extract(epoch FROM max(updated_at) - min(created_at)) "
                                 "FROM jobs WHERE type = 'noop'")
        return count / float(seconds)

    def finish_load(self, stack, count, worker):
        """Waits for the end without asking much of the database; (CPU seconds, peak MB)."""
        def done():
            return stack.db.value("SELECT coalesce(sum(jobs), 0) FROM job_stats") >= count
        wait_until(done, 600, 0.2, f"{count} jobs")
        states = stack.db.statuses()
        if states != {"completed": count}:
            sys.exit(f"expected {count} completed jobs, found {states}\n{worker.tail()}")
        for table in ("job_steps", "job_logs"):
            if stack.db.value(f"SELECT count(*) FROM {table}") != count:
                sys.exit(f"{table} has not one row a job")
        return worker.cpu_s(), worker.peak_kb() / 1024

    def bare_loop(self):
        stack = self.stack()
        count = self.args.jobs
        self.load(stack, count)
        done = subprocess.run([bin_dir() / "bench_bare_loop", self.bootstrap, stack.topic_name(),
                               "bare", stack.database_url, str(count)], check=True,
                              capture_output=True, text=True)
        said = json.loads(done.stdout)
        assert stack.db.statuses() == {"completed": count} and said["jobs"] == count
        rate = self.rate(stack, count)
        self.drop(stack)
        return {"bare_loop": rate, "bare_cpu_us": said["cpu_s"] / count * 1e6}

    def scheduler(self):
        """Schedules that are all due at one instant → jobs recorded, by way of Kafka."""
        stack = self.stack()
        count = self.args.schedules
        stack.db.execute(
            "INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, next_run_at,"
            " misfire_grace_seconds) SELECT uuid7(), 's' || i, 'noop', 'interval', 86400, "
            "date_trunc('second', clock_timestamp()) - interval '1 day', "
            f"date_trunc('second', clock_timestamp()), 3600 FROM generate_series(1, {count}) i")
        stack.db.execute("ANALYZE schedules")
        worker = stack.start_worker(concurrency_async=self.args.async_slots)
        producer = stack.start_producer()
        self.finish_load(stack, count, worker)
        rate = self.rate(stack, count)
        fired = stack.db.value("SELECT extract(epoch FROM max(decided_at) - min(decided_at)) "
                               "FROM schedule_ticks")
        peak = producer.peak_kb() / 1024
        self.drop(stack)
        return {"through_scheduler": rate, "fires": count / max(float(fired), 0.001),
                "producer_peak_mb": peak}

    def idle_latency(self):
        """One job at a time: from the broker's acknowledgement until another connection sees the
        job recorded as completed (asked without a pause, so this is an upper bound)."""
        stack = self.stack()
        stack.start_worker()
        stack.send({"type": "noop"})
        stack.wait_ended(1)
        seen, recorded = [], []
        producer = stack.kafka.producer()
        conn = stack.db.connect()
        for _ in range(self.args.samples):
            job_id = uuid7()
            acknowledged = []
            producer.produce(stack.topic_name(), json.dumps({"type": "noop", "id": job_id}),
                             on_delivery=lambda e, m: acknowledged.append(
                                 None if e else time.time()))
            while not acknowledged:
                producer.poll(0.05)
            deadline = time.time() + 30
            while conn.execute("SELECT status FROM jobs WHERE id = %s", (job_id,), prepare=True
                               ).fetchone() != ("completed",):
                if time.time() > deadline:
                    sys.exit("an idle job was not recorded within 30 s")
            seen.append((time.time() - acknowledged[0]) * 1000)
            at, = conn.execute("SELECT extract(epoch FROM updated_at) FROM jobs WHERE id = %s",
                               (job_id,)).fetchone()
            recorded.append((float(at) - acknowledged[0]) * 1000)
            time.sleep(0.01 + (len(seen) % 7) / 500)  # the next arrives at no fixed beat
        conn.close()
        idle = stack.programs[0].peak_kb() / 1024
        self.drop(stack)
        return {"idle_p50_ms": quantile(seen, 0.5), "idle_p99_ms": quantile(seen, 0.99),
                "idle_max_ms": max(seen), "idle_statement_p50_ms": quantile(recorded, 0.5),
                "worker_idle_mb": idle}

    def due(self):
        """A schedule's instant → the time at which the broker appended its record."""
        stack = self.stack()
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
        due = {str(i): d.timestamp() * 1000 for i, d, c in
               stack.db.query("SELECT id, due_at, created_at FROM jobs") if d is not None}
        delays = []
        for record in read_all(self.bootstrap, stack.topic_name()):
            job = (record.headers.get("jobmill-job") or b"").decode()
            if job in due:
                delays.append(record.ms - due[job])
        delays = delays[20:] or delays  # the first instants are from before the producer was up
        self.drop(stack)
        if not delays:
            sys.exit("no record of a schedule was found in the topic")
        return {"due_p50_ms": quantile(delays, 0.5), "due_p99_ms": quantile(delays, 0.99),
                "due_max_ms": max(delays)}


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


MEASURES = {
    # key: (what, unit, digits)
    "whole_path": ("whole path: in the topic → job, step, log rows and offsets committed", "jobs/s", 0),
    "bare_loop": ("bare loop: the least that any program could do", "jobs/s", 0),
    "ratio": ("whole path / bare loop, of the same round", "", 2),
    "through_scheduler": ("due schedules → through Kafka → rows committed", "jobs/s", 0),
    "fires": ("of which the scheduler: ticks, jobs and pending rows committed", "fires/s", 0),
    "idle_p50_ms": ("idle: acknowledged → seen recorded, p50", "ms", 1),
    "idle_p99_ms": ("the same, p99", "ms", 1),
    "idle_max_ms": ("the same, max", "ms", 1),
    "idle_statement_p50_ms": ("idle: acknowledged → recording statement began, p50", "ms", 1),
    "due_p50_ms": ("due → appended by the broker, p50", "ms", 0),
    "due_p99_ms": ("the same, p99", "ms", 0),
    "due_max_ms": ("the same, max", "ms", 0),
    "worker_cpu_us": ("CPU of the worker a job", "µs", 1),
    "bare_cpu_us": ("CPU of the bare loop a job", "µs", 1),
    "worker_peak_mb": ("peak memory of the worker at full load", "MB", 0),
    "worker_idle_mb": ("peak memory of an idle worker", "MB", 0),
    "producer_peak_mb": ("peak memory of the producer", "MB", 0),
}
ROWS = ["bare_loop", "whole_path", "scheduler", "idle_latency", "due"]


def machine(bench):
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), platform.machine())
    memory = int(open("/proc/meminfo").readline().split()[1]) / 1048576
    with bench.databases._admin() as conn:
        settings = {name: conn.execute(f"SHOW {name}").fetchone()[0] for name in
                    ("server_version", "fsync", "synchronous_commit", "shared_buffers")}
    revision = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
                              capture_output=True, text=True, check=False).stdout.strip()
    return {"date": dt.date.today().isoformat(), "revision": revision, "cpu": cpu,
            "cores": os.cpu_count(), "memory_gb": round(memory),
            "system": f"{platform.system()} {platform.release()}",
            "postgresql": settings, "kafka": "one real broker, KRaft",
            "all_on_one_machine": True}


def summary(results):
    """{key: {median, min, max, n}}"""
    out = {}
    for key in MEASURES:
        values = [r[key] for r in results if key in r]
        if values:
            out[key] = {"median": statistics.median(values), "min": min(values),
                        "max": max(values), "n": len(values)}
    return out


def table(found, where):
    lines = [f"| what | median of {max(v['n'] for v in found.values())} | least to most |",
             "|---|---|---|"]
    for key, value in found.items():
        what, unit, digits = MEASURES[key]

        def number(x, digits=digits):
            return f"{x:,.{digits}f}"
        lines.append(f"| {what} | {number(value['median'])} {unit}".rstrip()
                     + f" | {number(value['min'])} – {number(value['max'])} |")
    pg = where["postgresql"]
    lines += ["", f"{where['date']}, revision {where['revision']}, on {where['cpu']}, "
              f"{where['cores']} cores, {where['memory_gb']} GB, {where['system']}; PostgreSQL "
              f"{pg['server_version']} (fsync {pg['fsync']}, synchronous_commit "
              f"{pg['synchronous_commit']}, shared_buffers {pg['shared_buffers']}), "
              f"{where['kafka']}; servers and programs on that one machine."]
    return "\n".join(lines)


HEAD = """# Benchmarks

`./dev bench` builds the release programs, starts a real Kafka and a real PostgreSQL with default
durability, and prints this table and a JSON file. Rows are measured in turn, five times over; the
median counts. The bare loop (tests/bench/bare_loop.c) is there for comparison only: it reads the
topic, writes the same rows to the same tables with the same fence, and does nothing else: no
parsing, no job types, no retries, no statistics.

"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=200000)
    parser.add_argument("--schedules", type=int, default=30000)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--async-slots", type=int, default=10000)
    parser.add_argument("--only", nargs="*", choices=ROWS, default=ROWS)
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--write-docs", action="store_true", help="writes docs/benchmarks.md")
    parser.add_argument("--note", default="", help="a sentence to stand below the table")
    args = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-bench-"))
    directory.chmod(0o755)
    bench = Bench(directory, args)
    results = []
    try:
        bench.start()
        where = machine(bench)
        for i in range(args.runs):
            one = {}
            for row in ROWS:
                if row in args.only:
                    one.update(getattr(bench, row)())
                    print(f"round {i + 1}: {row}: " + ", ".join(
                        f"{k} {v:,.1f}" for k, v in one.items()
                        if k in MEASURES and MEASURES[k]), file=sys.stderr)
            if "whole_path" in one and "bare_loop" in one:
                one["ratio"] = one["whole_path"] / one["bare_loop"]
            results.append(one)
        found = summary(results)
    finally:
        bench.close()
        shutil.rmtree(directory, ignore_errors=True)
    text = table(found, where) + (f" {args.note}" if args.note else "")
    print(text)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"machine": where, "summary": found, "rounds": results},
                                    indent=2) + "\n")
    print(f"\n{args.json}", file=sys.stderr)
    if args.write_docs:
        (ROOT / "docs" / "benchmarks.md").write_text(HEAD + text + "\n")


if __name__ == "__main__":
    main()
