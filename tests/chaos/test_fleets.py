"""Fleets: workers that are killed at random, restarted in turn, know different types, run very long or
very many jobs. Each test ends with the invariants program."""
import random
import statistics
import threading

from lib.corpus import CASES, is_sent, key_of, value_of
from lib.wait import wait_until


# A killed member of the group is missed sooner.
QUICK = {"lease_s": 2, "kafka.session.timeout.ms": 6000}


def send_steadily(jm, jobs, message, over, at_once=50, every_s=0.15):
    """A thread that writes so many in small portions until it has or over is set; .sent counts."""
    def run():
        while thread.sent < jobs and not over.is_set():
            n = min(at_once, jobs - thread.sent)
            jm.send(*[message(thread.sent + i) for i in range(n)])
            thread.sent += n
            over.wait(every_s)
    thread = threading.Thread(target=run)
    thread.sent = 0
    thread.start()
    return thread


def test_kill_a_random_worker_every_two_seconds(jm, rounds):
    """Over 20,000 jobs (900 where each test runs once)."""
    jobs = 20000 if rounds > 1 else 900
    rng = random.Random(f"kill {rounds}")
    jm.start_producer()
    workers = [jm.start_worker(**QUICK) for _ in range(3)]
    over = threading.Event()
    sender = send_steadily(jm, jobs, lambda i: {
        "type": "sleep" if i % 4 == 0 else "noop", "max_attempts": 50,
        "params": {"seconds": rng.random()} if i % 4 == 0 else {"i": i}}, over, 50 if rounds > 1 else 25)
    kills = 0
    try:
        while sender.is_alive():
            sender.join(2)
            workers.pop(rng.randrange(3)).kill()
            workers.append(jm.start_worker(wait=False, **QUICK))
            kills += 1
    finally:
        over.set()
        sender.join()
    assert kills >= 3
    jm.wait_ended(jobs, 90)
    assert jm.db.statuses() == {"completed": jobs}
    assert jm.db.value("SELECT count(*) FROM job_attempts WHERE outcome <> 'lost'") == 0
    jm.wait_offsets()
    jm.check()


def poison():
    """500 records that can be no job, of every kind in the corpus."""
    kinds = [c for c in CASES if is_sent(c) and not c["valid"]]
    return [kinds[i % len(kinds)] for i in range(500)]


def test_poison_among_good_ones(jm, moment):
    """Each is one dead letter with its reason, though its worker is killed; all good ones complete."""
    jm.start_producer()
    victim = jm.start_worker(**QUICK)
    jm.start_worker(**QUICK)
    places, some, dead = {}, moment(50, 400), poison()
    for i, case in enumerate(dead):
        headers = [(name, None if v is None else v.encode()) for name, v in case.get("headers", {}).items()]
        (partition, offset, _), = jm.send(value_of(case), key=key_of(case), headers=headers, partition=i % 4)
        places[partition, offset] = case
        if i % 20 == 0:
            jm.send(*[{"type": "noop"}] * 60)
        if i == some:
            victim.kill()
            jm.start_worker(wait=False, **QUICK)
    good = len(dead) // 20 * 60
    jm.wait_ended(good, 60)
    jm.wait_offsets(timeout=60)
    rows = jm.db.rows("SELECT partition, record_offset, reason, field FROM dead_letters")
    assert len(rows) == len(dead)
    wrong = [(places[r["partition"], r["record_offset"]]["name"], r) for r in rows
             if r["reason"] != places[r["partition"], r["record_offset"]]["reason"]]
    assert not wrong, wrong[:5]
    assert jm.db.statuses() == {"completed": good}
    jm.check()


def test_different_types_on_one_queue(jm, moment):
    """Every job lands on a worker that has its type, whoever accepted it; one that nobody has waits."""
    jobs, ids = 200, {}
    for name in ("a", "b"):
        directory = jm.dir / f"{name}.d"
        directory.mkdir()
        path = jm.job_type(name, {"name": "run", "sleep": {"seconds": 0.01}})
        path.rename(directory / path.name)
        ids[name] = jm.worker_id(jm.start_worker(jobs_dir=directory))
    messages = [{"type": "ab"[i % 2]} for i in range(jobs)]
    messages.insert(moment(0, jobs), {"type": "c"})
    jm.send(*messages, partition=moment(0, 3))
    jm.wait_ended(jobs, 40)
    ran = jm.db.query("SELECT type, worker_id, status, count(*) FROM jobs WHERE type <> 'c' GROUP BY 1, 2, 3")
    assert sorted(ran) == [(name, ids[name], "completed", jobs // 2) for name in ("a", "b")]
    assert jm.db.statuses("type = 'c'") == {"pending": 1}
    jm.job_type("c", {"name": "run", "noop": {}})
    jm.start_worker()
    jm.wait_ended(jobs + 1, 20)
    assert jm.db.statuses() == {"completed": jobs + 1}
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    jm.check()


def rates(jm):
    """Jobs ended in each whole second between the first and the last."""
    return [n for n, in jm.db.query("""
        SELECT count(j.id) FROM (SELECT date_trunc('second', min(completed_at)) AS first,
            date_trunc('second', max(completed_at)) AS last FROM jobs WHERE type = 'noop') b
        CROSS JOIN generate_series(b.first + interval '1 s', b.last - interval '1 s', interval '1 s') s
        LEFT JOIN jobs j ON j.type = 'noop' AND j.completed_at >= s AND j.completed_at < s + interval '1 s'
        GROUP BY s ORDER BY s""")]


def test_rolling_restart_under_load(jm, rounds, record_property):
    """Three workers one after the other: nothing is lost, no attempt is used up, all exit 0; what runs
    longer than the grace is handed back."""
    options = {"shutdown_grace_s": 1, "lease_s": 10}
    workers = [jm.start_worker(**options) for _ in range(3)]
    jm.send(*[{"type": "sleep", "params": {"seconds": 3}}] * 30)
    over = threading.Event()
    sender = send_steadily(jm, 1000000, lambda i: {"type": "noop"}, over, 20, 0.05)
    try:
        wait_until(lambda: jm.db.ended() > 200, 30, what="it goes on")
        for _ in range(2 if rounds > 1 else 1):
            for i in range(3):
                assert workers[i].terminate() == 0
                workers[i] = jm.start_worker(**options)
                more = jm.db.ended() + 50
                wait_until(lambda: jm.db.ended() >= more, 30, what="it goes on")
    finally:
        over.set()
        sender.join()
    total = sender.sent + 30
    jm.wait_ended(total, 60)
    assert jm.db.statuses() == {"completed": total}
    assert jm.db.value("SELECT count(*) FROM jobs WHERE max_attempts - attempt <> 2") == 0, \
        "an attempt was used up"
    assert jm.db.value("SELECT count(*) FROM job_attempts WHERE outcome <> 'returned'") == 0
    jm.wait_offsets()
    per_s = rates(jm)
    tail = jm.db.one("""SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY d), percentile_cont(0.99)
        WITHIN GROUP (ORDER BY d), max(d) FROM (SELECT extract(epoch FROM started_at - uuid7_time(id)) * 1000
        AS d FROM jobs WHERE type = 'noop') w""")
    found = (f"jobs a second: median {statistics.median(per_s)}, least {min(per_s)}; "
             f"wait p50 {tail[0]:.0f} ms, p99 {tail[1]:.0f} ms, most {tail[2]:.0f} ms")
    record_property("rolling restart", found)
    print(found)
    jm.check()


def test_a_job_longer_than_the_poll_interval(jm, rounds):
    """Nobody is evicted, and it runs once: 60 s under an interval of 10 s (8 under 6 where each test
    runs once), with all slots taken, so that the queue cannot go on either."""
    interval, seconds = (10, 60) if rounds > 1 else (6, 8)
    options = {"kafka.max.poll.interval.ms": interval * 1000, "kafka.session.timeout.ms": 6000,
               "concurrency_async": 10, "max_waiting": 20}
    workers = [jm.start_worker(**options) for _ in range(2)]

    wait_until(lambda: all("2 partitions assigned" in w.text() for w in workers), 30,
               what="each has two partitions")
    rebalances = [w.text().count("partitions assigned") for w in workers]
    jm.send(*[{"type": "sleep", "params": {"seconds": seconds}}] * 20, *[{"type": "noop"}] * 200)
    jm.wait_ended(220, seconds * 2 + 30)
    assert [w.text().count("partitions assigned") for w in workers] == rebalances, "somebody was evicted"
    assert jm.db.statuses() == {"completed": 220}
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    assert jm.db.value("SELECT count(*) FROM job_attempts") == 0
    jm.wait_offsets()
    jm.check()


def test_five_thousand_sleeping_at_once(jm, record_property):
    worker = jm.start_worker(concurrency_async=5000)
    jm.send(*[{"type": "sleep", "params": {"seconds": 6}}] * 5000)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs WHERE status = 'running'") == 5000, 30, 0.2,
               "5,000 run at once")
    jm.wait_ended(5000, 60)
    record_property("peak resident kB", worker.peak_kb())
    print(f"peak resident {worker.peak_kb()} kB")
    assert worker.peak_kb() < 1 << 20
    assert jm.db.statuses() == {"completed": 5000}
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    jm.check()
