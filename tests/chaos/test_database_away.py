"""The worker while PostgreSQL is away or hangs: what it has to say waits in memory and in its spool,
outlives the worker, and is recorded once. Each test ends with the invariants program."""
import os
import resource
import signal
import subprocess
import time

import pytest

from lib import page
from lib.ids import uuid7
from lib.pgproxy import PgProxy
from lib.wait import wait_until


def running(jm):
    return jm.db.value("SELECT count(*) FROM jobs WHERE status = 'running'")


def knows_of(worker, n):
    """Whether so many run as it knows itself: their claim may be committed before it hears of that."""
    return page.metric(worker, "jobmill_queue_jobs", {"queue": "default", "status": "running"}) == n


def spools(directory):
    return sorted(directory.glob("*.spool"))


def spooled_bytes(directory):
    return sum(p.stat().st_size - 28 for p in spools(directory))


@pytest.fixture
def proxy(db_url):
    with PgProxy(db_url) as made:
        yield made


@pytest.fixture
def away(jm, proxy):
    """The usual stack whose programs reach the database through a proxy."""
    jm.proxy = proxy
    jm.spool = jm.dir / "spool"
    jm.env_away = {"JOBMILL_DATABASE_URL": proxy.url(jm.database_url)}
    gated(jm)
    return jm


def start(jm, **config):
    config.setdefault("spool_dir", jm.spool)
    config.setdefault("lease_s", 4)
    return jm.start_worker(env=jm.env_away, **config)


def gated(jm, name="gated", **more):
    """A type whose handler counts its runs and ends when the file `go` is there."""
    script = jm.script(f"{name}.sh", f"""#!/bin/sh
echo run >> {jm.dir}/runs
echo begun >&2
while [ ! -e {jm.dir}/go ]; do sleep 0.05; done
echo ended >&2
echo '{{"answer": 42}}'
""")
    jm.job_type(name, [script], **more)


def runs(jm):
    path = jm.dir / "runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


def run_some(jm, n=5):
    """n jobs that run and wait for `go`."""
    jm.send(*[{"type": "gated"}] * n)
    wait_until(lambda: runs(jm) == n and running(jm) == n, 30, what=f"{n} jobs run")


def go(jm):
    (jm.dir / "go").touch()


def check_ran_once(jm, n):
    assert jm.db.statuses() == {"completed": n}
    assert runs(jm) == n
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    assert jm.db.value("SELECT count(*) FROM jobs WHERE result->>'answer' = '42'") == n
    assert jm.db.value("SELECT count(*) FROM job_logs WHERE message = 'ended'") == n
    assert jm.db.value("SELECT count(*) FROM job_attempts WHERE outcome <> 'completed'") == 0
    jm.wait_offsets()
    jm.check()


def wait_spooled(jm, timeout=30):
    """Waits until something is in a spool and no more is added."""
    seen = [0]

    def still():
        before, seen[0] = seen[0], spooled_bytes(jm.spool)
        return seen[0] and seen[0] == before
    wait_until(still, timeout, 0.4, "reports are in the spool")


def test_jobs_that_end_meanwhile(away, moment):
    """Away for longer than a lease; children end meanwhile: recorded, and nothing is run twice."""
    jm = away
    jm.start_producer(env=jm.env_away)
    worker = start(jm, lease_s=2)
    run_some(jm)
    jm.proxy.away()
    gone = time.monotonic()
    go(jm)
    wait_spooled(jm)
    wait_until(lambda: time.monotonic() - gone > 5, 10, what="two leases have passed")
    assert worker.alive() and running(jm) == 5
    assert page.metric(worker, "jobmill_spool_bytes", {}) > 0
    jm.proxy.away(False)
    jm.wait_ended(5)
    check_ran_once(jm, 5)
    wait_until(lambda: not spooled_bytes(jm.spool), 10, what="the spool is empty")
    assert page.metric(worker, "jobmill_spool_bytes", {}) == 0
    assert page.metric(worker, "jobmill_spool_replayed_total", {}) >= 5


def test_killed_while_away(away, moment):
    """kill -9 while the database is away: another worker records what was spooled, under the fence of
    the one that is gone."""
    jm = away
    jm.topic("other")
    jm.start_producer(env=jm.env_away)
    victim = start(jm)
    other = start(jm, queues="other")
    run_some(jm)
    victim_id = jm.worker_id(victim)
    jm.proxy.away()
    go(jm)
    wait_spooled(jm)
    victim.kill()
    jm.proxy.away(False)
    jm.wait_ended(5)
    assert {w for w, in jm.db.query("SELECT worker_id FROM jobs")} == {victim_id}
    assert "is gone and has left" in other.text()
    check_ran_once(jm, 5)
    wait_until(lambda: len(spools(jm.spool)) == 1, 10, what="the file of the victim is removed")


@pytest.mark.chaos_only
def test_killed_while_replaying(away, moment):
    """The one who records a dead worker's spool dies over it, and so does the next: a third ends it."""
    jm = away
    jm.start_producer(env=jm.env_away)
    victim = start(jm, lease_s=20)
    jm.send(*[{"type": "sleep", "params": {"seconds": 2}} for _ in range(400)])
    wait_until(lambda: knows_of(victim, 400), 30, what="400 jobs run")
    jm.proxy.away()
    wait_until(lambda: knows_of(victim, 0), 30, what="all have ended")
    wait_spooled(jm)
    victim.kill()
    jm.proxy.away(False)
    for _ in range(2):
        some = jm.db.ended() + moment(1, 100)
        next_one = jm.start_worker(wait=False, spool_dir=jm.spool, lease_s=20, batch_rows=20)
        wait_until(lambda: jm.db.ended() >= min(some, 400), 30, 0.005, what="some are recorded")
        next_one.kill()
    start(jm, lease_s=20)
    jm.wait_ended(400)
    assert jm.db.statuses() == {"completed": 400}
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    jm.check(wait=60)  # the claims of the dead go when their lease has lapsed


@pytest.mark.parametrize("how", ["away", "hang"])
@pytest.mark.parametrize("spool", [True, False], ids=["spool", "memory"])
def test_stop_while_away(away, moment, how, spool):
    """SIGTERM ends in time; with a spool nothing is lost and nobody loses an attempt."""
    jm = away
    config = {} if spool else {"spool_dir": ""}
    worker = start(jm, lease_s=10 if spool else 3, shutdown_grace_s=1, **config)
    run_some(jm)
    jm.send(*[{"type": "noop"}] * 20)
    if how == "away":
        jm.proxy.away()
    else:
        jm.proxy.hang()
    began = time.monotonic()
    code = worker.terminate(30)
    took = time.monotonic() - began
    assert took < 1 + 11, f"it took {took:.1f} s"
    assert code == (0 if spool else 1), worker.tail()
    assert ("are in the spool" if spool else "could not be recorded") in worker.text()
    (jm.proxy.away if how == "away" else jm.proxy.hang)(False)
    go(jm)
    start(jm)
    jm.start_producer()
    jm.wait_ended(25, 60)
    assert jm.db.statuses() == {"completed": 25}
    if spool:
        assert jm.db.value("SELECT count(*) FROM job_attempts WHERE outcome = 'returned'") == 5
        assert jm.db.value("SELECT count(*) FROM jobs WHERE type = 'gated' AND "
                           "max_attempts = attempt + 2") == 5
    jm.check()


def test_second_signal_is_immediate(away, moment):
    """Neither the grace nor a handler that ignores SIGTERM nor a database that hangs holds it up."""
    jm = away
    stubborn = jm.script("stubborn.sh", f"""#!/bin/sh
trap '' TERM
echo run >> {jm.dir}/runs
sleep 300 & wait; sleep 300
""")
    jm.job_type("stubborn", [stubborn])
    worker = start(jm, lease_s=10, shutdown_grace_s=60)
    jm.send({"type": "stubborn"})
    wait_until(lambda: runs(jm) == 1 and running(jm) == 1, 20, what="it runs")
    jm.proxy.hang()
    worker.signal(signal.SIGTERM)
    worker.wait_log("stopping")
    began = time.monotonic()
    assert worker.terminate(20) == 0, worker.tail()
    assert time.monotonic() - began < 8
    jm.proxy.hang(False)
    jm.job_type("stubborn", ["/bin/true"])
    start(jm)
    jm.start_producer()
    jm.wait_ended(1, 30)
    assert jm.db.query("SELECT outcome FROM job_attempts WHERE attempt = 1") == [("returned",)]
    jm.check()


def test_full_spool(away, moment):
    """More than the spool holds: log rows go first and are counted; every result is recorded."""
    jm = away
    talks = jm.script("talks.sh", f"""#!/bin/sh
echo run >> {jm.dir}/runs
while [ ! -e {jm.dir}/go ]; do sleep 0.05; done
i=0; while [ $i -lt 300 ]; do echo "line $i ........................................" >&2; i=$((i+1)); done
echo '{{"answer": 42}}'
""")
    jm.job_type("talks", [talks])
    worker = start(jm, spool_max_bytes=65536, waiting_max_bytes=65536, lease_s=20)
    jm.send(*[{"type": "talks"}] * 10)
    wait_until(lambda: runs(jm) == 10 and running(jm) == 10, 30, what="10 jobs run")
    jm.proxy.away()
    go(jm)
    worker.wait_log("the spool takes no more")
    worker.wait_log("log rows are dropped")
    time.sleep(0.5)
    assert worker.text().count("the spool takes no more") == 1
    assert page.metric(worker, "jobmill_logs_dropped_total", {}) > 0
    jm.proxy.away(False)
    jm.wait_ended(10)
    assert jm.db.statuses() == {"completed": 10}
    assert jm.db.value("SELECT count(*) FROM jobs WHERE result->>'answer' = '42'") == 10
    assert jm.db.value("SELECT count(*) FROM job_logs") < 3000
    jm.check()


def can_mount():
    return os.geteuid() == 0


@pytest.fixture
def small_disk(tmp):
    """A directory on a file system of 512 KiB."""
    path = tmp / "disk"
    path.mkdir()
    if not can_mount() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", path],
                                         check=False).returncode:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail("cannot mount a tmpfs")
        pytest.skip("only root may mount a tmpfs")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_full_disk(away, small_disk, moment):
    """ENOSPC in the middle of an outage: one line of it, the worker lives, every result is recorded,
    and what had got to the disk still counts when the worker is killed."""
    jm = away
    jm.spool = small_disk / "spool"
    worker = start(jm, lease_s=20)
    jm.send(*[{"type": "sleep", "params": {"seconds": 2}} for _ in range(moment(200, 400))],
            *[{"type": "sleep", "params": {"seconds": 6}}] * 5)
    sent = jm.kafka.size(jm.topic_name())
    wait_until(lambda: knows_of(worker, sent), 30, what="all run")
    (small_disk / "ballast").write_bytes(b"\0" * (512 * 1024 - 40960))
    jm.proxy.away()
    worker.wait_log("the spool takes no more")
    time.sleep(1)
    assert worker.alive()
    assert worker.text().count("the spool takes no more") == 1
    if moment(0, 1):
        (small_disk / "ballast").unlink()
        worker.wait_log("the spool takes reports again")
    jm.proxy.away(False)
    jm.wait_ended(sent)
    assert jm.db.statuses() == {"completed": sent}
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    jm.check()


def test_unusable_spool_dir(away, moment):
    """It says so, names the key, and works without."""
    jm = away
    (jm.dir / "file").write_text("")
    worker = start(jm, spool_dir=jm.dir / "file" / "spool")
    assert "spool_dir" in worker.text()
    jm.send({"type": "noop"})
    jm.wait_ended(1)
    jm.check()


def test_out_of_descriptors(jm, moment):
    """Children cannot be started for want of descriptors: the error says so, the jobs are tried again,
    the worker lives."""
    jm.start_producer()
    jm.job_type("child", ["/bin/sh", "-c", "sleep 0.3"], max_attempts=50,
                backoff={"initial_s": 0.2, "factor": 1})
    worker = jm.start_worker(concurrency=200)
    limits = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f"/proc/{worker.pid}/fd"))
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (used + 24, limits[1]))
    jm.send(*[{"type": "child"}] * 60)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM job_attempts WHERE error LIKE "
                                   "'%%open files%%'") > 0, 30, what="an attempt says why")
    assert worker.alive()
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, limits)
    jm.wait_ended(60, 60)
    assert jm.db.statuses() == {"completed": 60}
    jm.check()


def test_many_old_weeks(jm, moment):
    """Records of very many weeks at once make their partitions a few a statement, and fewer
    where even those take longer than the server allows."""
    name = jm.db.value("SELECT current_database()")
    jm.db.execute(f"ALTER DATABASE {name} SET statement_timeout = '1s'")
    jm.start_worker()
    now = int(time.time() * 1000)
    weeks = 50
    jm.send(*[{"type": "noop", "id": uuid7(now - w * 7 * 24 * 3600 * 1000)} for w in range(weeks)])
    jm.wait_ended(weeks, 90)
    assert jm.db.value("SELECT count(*) FROM dead_letters") == 0
    jm.db.execute(f"ALTER DATABASE {name} RESET statement_timeout")
    jm.check()
