#!/usr/bin/python3
"""The benchmark: real servers, release programs, and beside them the bare loop, in one run.

Uses the servers that JOBMILL_DATABASE_URL and JOBMILL_KAFKA_BOOTSTRAP_SERVERS name, or starts its
own. Cases are measured in turn, N times over, and the median is reported with the spread. The
table is written to build/results/benchmarks.md and all figures to build/results/benchmarks.json.
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

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib.paths import ROOT  # noqa: E402

os.environ.setdefault("JOBMILL_BIN_DIR", str(ROOT / "build" / "bin"))

import api  # noqa: E402
import behaviour  # noqa: E402
import peers  # noqa: E402
import scheduling  # noqa: E402
import speed  # noqa: E402
from bench import Bench, Missing, say  # noqa: E402

RESULTS = ROOT / "build" / "results"
DOCS = ROOT / "docs" / "benchmarks.md"
MARKS = "<!-- results: written by ./dev bench --write-docs -->", "<!-- end of results -->"

CASES = {case.__name__: case for case in (*speed.NAMES, *behaviour.NAMES, *scheduling.NAMES, *api.NAMES,
                                     *peers.NAMES)}
EXTRA = {"history", "lists"}  # takes long to set up: only when asked for
PEERS = {case.__name__ for case in peers.NAMES}

MEASURES = {
    # key: (what, unit, digits, goal)
    "whole_path": ("whole path: in the topic → job, step, log rows and offsets committed", "jobs/s", 0, None),
    "bare_loop": ("bare loop: the least that any program could do", "jobs/s", 0, None),
    "ratio": ("whole path / bare loop, of the same round", "", 2, (">=", 0.85)),
    "with_events": ("whole path with an event published for each job, as by default", "jobs/s", 0, None),
    "events_ratio": ("the same / bare loop", "", 2, None),
    "two_workers": ("whole path with two workers", "jobs/s", 0, None),
    "two_ratio": ("two workers / one, of the same round", "", 2, None),
    "river": ("River: InsertManyFast, 500 workers, fetch cooldown 2 ms", "jobs/s", 0, None),
    "pgboss": ("pg-boss: batches of 500 by 2", "jobs/s", 0, None),
    "bullmq": ("BullMQ: concurrency 100, Redis with appendfsync always", "jobs/s", 0, None),
    "peer_ratio": ("whole path / the best of these, of the same round", "", 2, (">=", 1.8)),
    "exec_true": ("exec of /bin/true", "jobs/s", 0, (">=", 1500)),
    "exec_loop": ("exec in loop mode, a Python handler of three lines", "jobs/s", 0, (">=", 8000)),
    "http": ("http to a local server", "jobs/s", 0, (">=", 10000)),
    "pending": ("a backlog in pending_jobs", "jobs/s", 0, (">=", 25000)),
    "ordered": ("ordered by key, 1,000 keys", "jobs/s", 0, (">=", 10000)),
    "history": ("whole path on a history of {history_jobs:,} jobs", "jobs/s", 0, None),
    "history_ratio": ("the same / on empty tables, of the same round", "", 2, (">=", 0.85)),
    "through_scheduler": ("due schedules → through Kafka → rows committed", "jobs/s", 0, None),
    "fires": ("of which the scheduler: ticks, jobs and pending rows committed", "fires/s", 0, None),
    "idle_p50_ms": ("idle: acknowledged → seen recorded, p50", "ms", 1, ("<=", 5)),
    "idle_p99_ms": ("the same, p99", "ms", 1, ("<=", 15)),
    "idle_max_ms": ("the same, max", "ms", 1, None),
    "idle_statement_p50_ms": ("idle: acknowledged → recording statement began, p50", "ms", 1, None),
    "due_p50_ms": ("due → appended by the broker, p50", "ms", 0, None),
    "due_p99_ms": ("the same, p99", "ms", 0, None),
    "due_max_ms": ("the same, max", "ms", 0, None),
    "fires_alone": ("a backlog of {fires:,} due schedules, no worker: ticks, jobs and pending rows committed", "fires/s", 0, (">=", 20000)),
    "fires_published": ("the same, all acknowledged by Kafka", "fires/s", 0, None),
    "bare_fires": ("bare SQL loop: the same rows by one statement, nothing computed or published", "fires/s", 0, None),
    "fires_ratio": ("the scheduler / the bare SQL loop, of the same round", "", 2, None),
    "steady_p50_ms": ("100,000 schedules, 1,000 fire a second: due → appended by the broker, p50", "ms", 1, ("<=", 5)),
    "steady_p99_ms": ("the same, p99", "ms", 1, ("<=", 20)),
    "steady_max_ms": ("the same, max", "ms", 1, None),
    "burst_last_ms": ("10,000 schedules due at one instant: the last appended by the broker", "ms", 0, ("<=", 400)),
    "million_mb": ("peak memory of a producer, {many_schedules:,} schedules, {fire_rate:,} fire a second", "MB", 0, ("<=", 64)),
    "million_behind_s": ("the same: how far behind after half a minute", "s", 1, ("<=", 1)),
    "million_cpu_us": ("the same: CPU of the producer a fire", "µs", 1, None),
    "single": ("POST /jobs, one job a request on 256 connections, answered when committed", "jobs/s", 0, (">=", 5000)),
    "single_p50_ms": ("the same: answered after, p50", "ms", 0, None),
    "single_p99_ms": ("the same, p99", "ms", 0, None),
    "single_cpu_us": ("the same: CPU of the producer a job", "µs", 1, None),
    "bare_single": ("bare SQL loop: the same rows, one job a transaction on 64 connections", "jobs/s", 0, None),
    "batched": ("POST /jobs, 1,000 jobs a request on 4 connections", "jobs/s", 0, (">=", 30000)),
    "batched_p99_ms": ("the same: answered after, p99", "ms", 0, None),
    "batched_cpu_us": ("the same: CPU of the producer a job", "µs", 1, None),
    "bare_batched": ("bare SQL loop: the same rows, 1,000 a transaction on one connection", "jobs/s", 0, None),
    "single_ratio": ("one job a request / the bare SQL loop, of the same round", "", 2, None),
    "batched_ratio": ("1,000 jobs a request / the bare SQL loop, of the same round", "", 2, None),
    "events_told_p50_ms": ("{listeners:,} listeners of all events: job recorded → the last is told, p50", "ms", 0, None),
    "events_told_max_ms": ("the same, max", "ms", 0, None),
    "events_kb": ("memory of the producer a listener of all events", "KB", 0, None),
    "job_told_first_ms": ("{listeners:,} listeners, each of a job of its own, all ended at once: the first is told", "ms", 0, None),
    "job_told_last_ms": ("the same: the last is told", "ms", 0, None),
    "listening_mb": ("memory of the producer with {listeners:,} listeners", "MB", 0, None),
    "list_p50_ms": ("on {list_jobs:,} jobs: GET /jobs, p50", "ms", 1, None),
    "list_p99_ms": ("the same, p99", "ms", 1, None),
    "list_failed_p50_ms": ("on {list_jobs:,} jobs: GET /jobs?status=failed, p50", "ms", 1, None),
    "list_failed_p99_ms": ("the same, p99", "ms", 1, None),
    "list_pending_p50_ms": ("on {list_jobs:,} jobs: GET /jobs?status=pending, p50", "ms", 1, None),
    "list_pending_p99_ms": ("the same, p99", "ms", 1, None),
    "list_running_p50_ms": ("on {list_jobs:,} jobs: GET /jobs?status=running, p50", "ms", 1, None),
    "list_running_p99_ms": ("the same, p99", "ms", 1, None),
    "list_type_p50_ms": ("on {list_jobs:,} jobs: GET /jobs?type=…, p50", "ms", 1, None),
    "list_type_p99_ms": ("the same, p99", "ms", 1, None),
    "search_p50_ms": ("on {list_jobs:,} jobs: GET /jobs/search?key=…&value=…, p50", "ms", 1, None),
    "search_p99_ms": ("the same, p99", "ms", 1, None),
    "search_prefix_p50_ms": ("on {list_jobs:,} jobs: the same search by prefix, p50", "ms", 1, None),
    "search_prefix_p99_ms": ("the same, p99", "ms", 1, None),
    "stats_p50_ms": ("on {list_jobs:,} jobs: GET /jobs/stats, p50", "ms", 1, ("<=", 50)),
    "stats_p99_ms": ("the same, p99", "ms", 1, None),
    "stats_type_p50_ms": ("on {list_jobs:,} jobs: GET /jobs/stats of a type and a project, p50", "ms", 1, ("<=", 50)),
    "stats_type_p99_ms": ("the same, p99", "ms", 1, None),
    "stats_range_p50_ms": ("on {list_jobs:,} jobs: GET /jobs/stats of a day, p50", "ms", 1, ("<=", 50)),
    "stats_range_p99_ms": ("the same, p99", "ms", 1, None),
    "restart_dip": ("rolling restart of three workers at {steady_rate:,} jobs/s: the least completed in a second, of the rate", "%", 0, None),
    "restart_p50_ms": ("the same: in the topic → completed, p50", "ms", 0, None),
    "restart_p99_ms": ("the same, p99", "ms", 0, None),
    "restart_max_ms": ("the same, max", "ms", 0, None),
    "sleeping_mb": ("memory of a worker with 5,000 sleeping jobs in flight", "MB", 0, ("<=", 200)),
    "worker_peak_mb": ("peak memory of the worker at full load", "MB", 0, None),
    "worker_idle_mb": ("peak memory of an idle worker", "MB", 0, None),
    "producer_peak_mb": ("peak memory of the producer", "MB", 0, None),
    "worker_cpu_us": ("CPU of the worker a job", "µs", 1, None),
    "events_cpu_us": ("the same with events", "µs", 1, None),
    "bare_cpu_us": ("CPU of the bare loop a job", "µs", 1, None),
    "worker_server_us": ("CPU of PostgreSQL a job, whole path", "µs", 1, None),
    "bare_server_us": ("CPU of PostgreSQL a job, bare loop", "µs", 1, None),
    "worker_wal_bytes": ("WAL a job, whole path", "bytes", 0, None),
    "bare_wal_bytes": ("WAL a job, bare loop", "bytes", 0, None),
    "sql_bare_accept": ("statement bare loop's accept, alone, a job", "µs", 1, None),
    "sql_accept_plain": ("statement accept_plain", "µs", 1, None),
    "sql_bare_claim": ("statement bare loop's claim", "µs", 1, None),
    "sql_accept_claim": ("statement accept_claim", "µs", 1, None),
    "sql_bare_record": ("statement bare loop's record", "µs", 1, None),
    "sql_record_plain": ("statement record_plain", "µs", 1, None),
    "sql_record_completed": ("statement record_completed", "µs", 1, None),
}


def add_ratios(one):
    """Ratios within a round, so that what disturbs a round falls on both."""
    def ratio(name, a, b):
        if a in one and b in one:
            one[name] = one[a] / one[b]
    ratio("ratio", "whole_path", "bare_loop")
    ratio("events_ratio", "with_events", "bare_loop")
    ratio("two_ratio", "two_workers", "whole_path")
    ratio("history_ratio", "history", "whole_path")
    ratio("single_ratio", "single", "bare_single")
    ratio("batched_ratio", "batched", "bare_batched")
    ratio("fires_ratio", "fires_alone", "bare_fires")
    best = max((one[p] for p in PEERS if p in one), default=None)
    if best and "whole_path" in one:
        one["peer_ratio"] = one["whole_path"] / best


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
            "load_before": os.getloadavg(), "all_on_one_machine": True}


def summary(results):
    """{key: {median, min, max, n}}"""
    out = {}
    for key in MEASURES:
        values = [r[key] for r in results if key in r]
        if values:
            out[key] = {"median": statistics.median(values), "min": min(values),
                        "max": max(values), "n": len(values)}
    return out


def verdict(key, value):
    """The goal and, where the median misses it, by how much."""
    goal = MEASURES[key][3]
    if not goal:
        return ""
    sign, bound = goal
    text = f"{'≥' if sign == '>=' else '≤'} {bound:,}"
    met = value >= bound if sign == ">=" else value <= bound
    return text if met else f"{text}: missed by {abs(value - bound) / bound:.0%}"


def table(found, where, missing, args):
    lines = [f"| what | median of {max(v['n'] for v in found.values())} | least to most | goal |",
             "|---|---|---|---|"]
    for key, value in found.items():
        what, unit, digits, _ = MEASURES[key]
        number = f"{{:,.{digits}f}}".format
        lines.append(f"| {what.format(**vars(args))} | {number(value['median'])} {unit}".rstrip()
                     + f" | {number(value['min'])} – {number(value['max'])} "
                     f"| {verdict(key, value['median'])} |")
    pg = where["postgresql"]
    lines += [""] + [f"Not measured: {name}: {why}" for name, why in missing.items()]
    before, after = where["load_before"][0], where["load_after"][0]
    lines += ["", f"{where['date']}, revision {where['revision']}, on {where['cpu']}, "
              f"{where['cores']} cores, {where['memory_gb']} GB, {where['system']}; PostgreSQL "
              f"{pg['server_version']} (fsync {pg['fsync']}, synchronous_commit "
              f"{pg['synchronous_commit']}, shared_buffers {pg['shared_buffers']}), "
              f"{where['kafka']}; servers and programs on that one machine. Load average before "
              f"{before:.1f}, at the end {after:.1f}." + (f" {args.note}" if args.note else "")]
    return "\n".join(lines)


def measure(bench, name, one, missing):
    """One case; what fails or is missing does not end the run."""
    began = time.monotonic()
    try:
        found = CASES[name](bench)
    except Missing as e:
        missing[name] = str(e)
    except (RuntimeError, AssertionError, subprocess.SubprocessError, OSError) as e:
        missing[name] = "failed: " + (str(e).strip().splitlines() or [type(e).__name__])[0]
        say(f"{name}: {e}")
    else:
        one.update(found)
        bench.progress(", ".join(f"{k} {v:,.1f}" for k, v in found.items())
                       + f" ({time.monotonic() - began:.0f} s)")
    if name in missing:
        bench.progress(f"not measured: {missing[name]}")
        bench.drop_all()


def rounds(bench, names, args):
    results, missing = [], {}
    for i in range(args.runs):
        one = {}
        for k, name in enumerate(names):
            bench.progress = lambda text, i=i, k=k, name=name: say(
                f"round {i + 1}/{args.runs}, {k + 1}/{len(names)} {name}: {text}")
            if name not in missing:
                measure(bench, name, one, missing)
        add_ratios(one)
        results.append(one)
        write(bench, results, missing, args)  # whoever stops it early keeps what there is
    return results, missing


def write(bench, results, missing, args):
    """build/results/benchmarks.{json,md}; the table."""
    bench.where["load_after"] = os.getloadavg()
    found = summary(results)
    if not found:
        return "nothing was measured\n" + "\n".join(f"{n}: {w}" for n, w in missing.items())
    text = table(found, bench.where, missing, args)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "benchmarks.md").write_text(text + "\n")
    (RESULTS / "benchmarks.json").write_text(json.dumps(
        {"machine": bench.where, "summary": found, "missing": missing, "rounds": results},
        indent=2) + "\n")
    return text


def write_docs(text):
    whole = DOCS.read_text()
    head, rest = whole.split(MARKS[0], 1)
    tail = rest.split(MARKS[1], 1)[1]
    DOCS.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{tail}")


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(CASES), metavar="CASE",
                        help="of: " + " ".join(CASES))
    parser.add_argument("--peers", action="store_true",
                        help="installs River, pg-boss and BullMQ under build/peers and runs them too")
    parser.add_argument("--history", action="store_true",
                        help="also on a long history, which takes a while to make")
    parser.add_argument("--jobs", type=int, default=400000)
    parser.add_argument("--peer-jobs", type=int, default=100000)
    parser.add_argument("--history-jobs", type=int, default=10000000)
    parser.add_argument("--schedules", type=int, default=30000)
    parser.add_argument("--fires", type=int, default=200000)
    parser.add_argument("--many-schedules", type=int, default=1000000)
    parser.add_argument("--fire-rate", type=int, default=20000)
    parser.add_argument("--submissions", type=int, default=50000)
    parser.add_argument("--list-jobs", type=int, default=10000000)
    parser.add_argument("--listeners", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--steady-rate", type=int, default=2000)
    parser.add_argument("--async-slots", type=int, default=10000)
    parser.add_argument("--write-docs", action="store_true",
                        help="puts the table into docs/benchmarks.md")
    parser.add_argument("--note", default="", help="a sentence to stand below the table")
    return parser.parse_args()


def chosen(args):
    if args.only:
        return [name for name in CASES if name in args.only]
    return [name for name in CASES if (name not in EXTRA or args.history)
            and (name not in PEERS or args.peers)]


def main():
    args = options()
    names = chosen(args)
    if args.peers or PEERS & set(names):
        peers.install()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-bench-"))
    directory.chmod(0o755)
    bench = Bench(directory, args)
    try:
        bench.start()
        bench.where = machine(bench)
        results, missing = rounds(bench, names, args)
        text = write(bench, results, missing, args)
    finally:
        bench.close()
        shutil.rmtree(directory, ignore_errors=True)
    print(text)
    say(f"\n{RESULTS}/benchmarks.md, .json")
    if args.write_docs:
        write_docs(text)
    return 1 if any(why.startswith("failed") for why in missing.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
