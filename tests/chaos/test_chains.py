"""Duplicates, dependencies, cancels and callbacks while workers are killed. Each test ends with the
invariants program."""
import os

from lib.ids import uuid7
from lib.receiver import Receiver
from lib.wait import wait_until


def test_duplicates_over_two_workers(jm, moment, request):
    """10,000 records of 500 keys (1,000 where each test runs once); one worker is killed meanwhile."""
    many = (request.config.getoption("--count") or int(os.environ.get("JOBMILL_CHAOS_COUNT", "1"))) > 1
    records, keys = (10000, 500) if many else (1000, 100)
    jm.start_producer()
    victim = jm.start_worker(lease_s=2)
    jm.start_worker(lease_s=2)
    for part in range(4):
        jm.send(*[{"type": "noop", "dedup_key" if i % 2 else "id": f"k{i % keys}", "params": {"k": i % keys}}
                  for i in range(records // 4)], partition=part)
    some = moment(1, keys // 2)
    wait_until(lambda: jm.db.ended() >= some, 30, 0.01, what="some have ended")
    victim.kill()
    jm.start_worker(lease_s=2)
    jm.wait_offsets(timeout=90)
    jm.wait_ended(keys, 60)
    assert jm.db.statuses() == {"completed": keys}
    assert jm.db.value("SELECT count(*) FROM dead_letters") == 0
    jm.check()


def test_chains_with_cancels_and_callbacks(jm, moment):
    """20 chains of four, each job with a callback; some are cancelled, and a worker is killed."""
    receiver = Receiver()
    options = {"lease_s": 2, "http_allow_private": "true"}
    jm.start_producer(parent_wait_s=5)
    workers = [jm.start_worker(**options) for _ in range(2)]
    chains = [[uuid7() for _ in range(4)] for _ in range(20)]
    for chain in chains:
        jm.send(*[{"type": "sleep", "id": job, "params": {"seconds": moment(0, 3) / 10}, "max_attempts": 20,
                   "callback_url": receiver.url(), "depends_on": chain[max(0, n - 1):n]}
                  for n, job in enumerate(chain)])
    some = moment(5, 40)
    wait_until(lambda: jm.db.ended("callback_of IS NULL") >= some, 60, 0.02, what="some have ended")
    workers[0].kill()
    jm.start_worker(wait=False, **options)
    for _ in range(3):
        chosen = chains[moment(0, 19)][moment(0, 3)]
        jm.db.execute("UPDATE jobs SET cancel_requested = '{\"by\": \"chance\"}' WHERE id = %s", chosen)
    jm.wait_ended(160, 120)
    assert set(jm.db.statuses()) <= {"completed", "cancelled"}
    for chain in chains:
        ends = [jm.db.job(job)["status"] for job in chain]
        assert ends == sorted(ends, reverse=True), ends  # once cancelled, cancelled to its end
    reported = {job for chain in chains for job in chain if receiver.of(job)}
    receiver.close()
    assert len(reported) == 80
    jm.check()
