"""Jobs that hold a lock, through kills, rebalances and a worker that is cut off from the database."""
import pathlib
import time

from lib.pgproxy import PgProxy
from lib.wait import wait_until

BEATS = """#!/usr/bin/python3
import json, os, signal, sys, time
job = json.loads(sys.stdin.readline())["job"]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
out = os.environ["OUT"]
with open(f"{out}/{job['attempt']}", "w", buffering=1) as f:
    until = time.monotonic() + (60 if job["attempt"] == 1 else 0.1)
    while time.monotonic() < until:
        f.write(f"{time.monotonic_ns()}\\n")
        time.sleep(0.005)
"""

ORDERED = """#!/usr/bin/python3
import json, os, sys
out = os.fdopen(3, "w", buffering=1)
for line in sys.stdin:
    job = json.loads(line)["job"]
    n, attempt = job["params"]["n"], job["attempt"]
    code = 75 if n % 11 == 0 and attempt == 1 else 65 if n % 17 == 0 else 0
    out.write(json.dumps({"end": {"exit": code}}) + "\\n")
"""


def beats(directory, attempt):
    path = pathlib.Path(directory) / str(attempt)
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_worker_that_is_cut_off_stops_what_holds_a_lock(jm, moment):
    """Its child, deaf to SIGTERM, is dead before another worker starts the job."""
    out = jm.dir / "out"
    out.mkdir()
    out.chmod(0o777)
    jm.job_type("beats", {"name": "run", "exec": {"argv": [jm.script("beats", BEATS)],
                                                  "env": {"OUT": str(out)}}})
    jm.start_producer()
    with PgProxy(jm.database_url) as proxy:
        cut_off = jm.start_worker(env={"JOBMILL_DATABASE_URL": proxy.url(jm.database_url)}, lease_s=2)
        jm.send({"type": "beats", "exclusive": "only one"})
        wait_until(lambda: beats(out, 1), 30, what="the first attempt runs")
        jm.start_worker(lease_s=2)
        time.sleep(moment(0, 700) / 1000)  # anywhere between two renewals
        if moment(0, 1):
            proxy.hang()
        else:
            proxy.away()
        jm.wait_ended(1, 40)
        first, second = beats(out, 1), beats(out, 2)
        assert second and first[-1] < second[0], "both ran at once"
        assert jm.db.statuses() == {"completed": 1}
        proxy.hang(False)
        proxy.away(False)
        wait_until(lambda: jm.db.value("SELECT outcome FROM job_attempts WHERE attempt = 1 "
                                       "AND outcome <> 'lost'"), 30, what="it tells its end")
    assert "cut off from the database" in jm.db.value(
        "SELECT error FROM job_attempts WHERE attempt = 1")
    cut_off.terminate()
    jm.check()


def test_order_survives_kills_and_rebalances(jm, moment, request):
    """Keys in order, with failures, retries, kill -9 and workers that come and go."""
    rounds = int(request.config.getoption("--count") or 1)
    jobs, keys = (10000, 100) if rounds > 1 else (1500, 50)
    jm.job_type("ordered", {"name": "run", "exec": {"argv": [jm.script("ordered", ORDERED)],
                                                    "mode": "loop"}},
                ordering="key", backoff={"initial_s": 0.1, "jitter": 0})
    jm.start_producer()
    workers = [jm.start_worker(lease_s=2, concurrency=4) for _ in range(2)]
    jm.send(*[{"type": "ordered", "key": f"k{n % keys}", "params": {"n": n}} for n in range(jobs)],
            key=[f"k{n % keys}" for n in range(jobs)])
    for kill in range(3 if rounds == 1 else 10):
        share = moment(1, 25) + 25 * kill if rounds == 1 else moment(1, 9) + 9 * kill
        wait_until(lambda: jm.db.ended() >= jobs * share // 100, 120, 0.02, what="some have ended")
        workers.pop(0).kill()
        workers.append(jm.start_worker(lease_s=2, concurrency=4, wait=False))
    jm.wait_ended(jobs, 300)
    assert jm.db.statuses("(params ->> 'n')::int % 17 = 0") == {"failed": len(range(0, jobs, 17))}
    assert jm.db.statuses("(params ->> 'n')::int % 17 <> 0") == {
        "completed": jobs - len(range(0, jobs, 17))}
    # By the tokens of their last attempts, which only grow.
    wrong = jm.db.query("""
        SELECT ordering_key, n, before FROM (
            SELECT ordering_key, (params ->> 'n')::int AS n,
                lag((params ->> 'n')::int) OVER (PARTITION BY ordering_key ORDER BY lock_token) AS before
            FROM jobs) j WHERE before > n""")
    assert not wrong, wrong[:10]
    assert jm.db.value("SELECT count(*) FROM pending_jobs") == 0
    assert jm.db.value("SELECT count(*) FROM locks") == 0
    jm.check()
