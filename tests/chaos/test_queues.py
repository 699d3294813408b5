"""Queues with more to do than there are slots: shares by weight, nobody starves, a queue that is paused
does not flap. Each test ends with the invariants program."""
import threading

from lib.wait import wait_until

WEIGHTS = {"critical": 6, "default": 3, "low": 1}
NAP = {"type": "sleep", "params": {"seconds": 0.02}}


def starts(jm, since, until):
    """{queue: jobs started in between}, and the seconds."""
    got = dict(jm.db.query("SELECT queue, count(*) FROM jobs WHERE started_at > %s AND "
                           "started_at <= %s GROUP BY 1", since, until))
    return got, (until - since).total_seconds()


def last_start(jm, queue):
    return jm.db.value("SELECT max(started_at) FROM jobs WHERE queue = %s", queue)


def assert_shares(got, weights):
    total, of = sum(got.get(q, 0) for q in weights), sum(weights.values())
    for queue, weight in weights.items():
        share, due = got.get(queue, 0) / total, weight / of
        assert abs(share / due - 1) <= 0.1, f"{queue} had {share:.3f} instead of {due:.3f}: {got}"


def test_shares_by_weight(jm, rounds):
    """Within 10 % while all have work; then what the empty queue had goes to the others."""
    # Slots that come free together go to one queue: a few hundred starts of the least are needed.
    many = 4 if rounds > 1 else 2
    counts = {"critical": 1500 * many, "default": 1200 * many, "low": 600 * many}
    for queue in ("critical", "low"):
        jm.topic(queue)
    for queue, n in counts.items():
        jm.send(*[NAP] * n, queue=queue)
    jm.start_worker(queues="critical:6,default:3,low:1", concurrency_async=20)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs") == sum(counts.values()), 60,
               what="the backlog is in the database")
    all_in = jm.db.value("SELECT clock_timestamp()")
    jm.wait_ended(sum(counts.values()), 120)
    critical_dry, default_dry = last_start(jm, "critical"), last_start(jm, "default")
    three, three_s = starts(jm, all_in, critical_dry)
    two, two_s = starts(jm, critical_dry, default_dry)
    assert sum(three.values()) >= 400 * many and sum(two.values()) >= 250 * many, (three, two)
    assert_shares(three, WEIGHTS)
    assert_shares(two, {"default": 3, "low": 1})
    assert sum(two.values()) / two_s > sum(three.values()) / three_s / 2, "slots stayed empty"
    jm.check(queues=tuple(counts))


def test_shares_of_what_is_accepted(jm, rounds):
    """Jobs that need no slot, in a worker that is slower than Kafka: the weights are those of accept."""
    many = 4 if rounds > 1 else 1
    counts = {"critical": 8000 * many, "default": 5500 * many, "low": 2500 * many}
    for queue in ("critical", "low"):
        jm.topic(queue)
    for queue, n in counts.items():
        jm.send(*[{"type": "noop"}] * n, queue=queue)
    worker = jm.start_worker(queues="critical:6,default:3,low:1", batch_rows=50)
    for queue in counts:
        worker.wait_log(f"queue {queue}: 4 partitions assigned")
    jm.wait_ended(sum(counts.values()), 120)
    # From when records of all have come (a first fetch takes its time) to when the first has no more.
    began = max(jm.db.value("SELECT started_at FROM jobs WHERE queue = %s ORDER BY started_at "
                            "OFFSET 200 LIMIT 1", queue) for queue in counts)
    got, _ = starts(jm, began, last_start(jm, "critical"))
    assert sum(got.values()) >= 4000 * many, got
    assert_shares(got, WEIGHTS)
    jm.check(queues=tuple(counts))


def test_a_saturated_type_holds_up_no_other(jm, rounds):
    """A thousand jobs of a type with one slot, in the same partition before ten thousand others."""
    slow, other = (1000, 10000) if rounds > 1 else (100, 1500)
    jm.job_type("slow", {"name": "s", "sleep": {}}, concurrency=1)
    jm.start_worker(concurrency_async=20)
    jm.send(*[{"type": "slow", "params": {"seconds": 0.3}}] * 3,
            *[{"type": "slow", "params": {"seconds": 0.01}}] * (slow - 3), *[NAP] * 50,
            *[{"type": "noop"}] * other, partition=0)
    jm.wait_ended(other, 60, "type = 'noop'")
    assert jm.db.ended("type = 'slow'") < slow, "it was no saturated type"
    jm.wait_ended(slow + 50 + other, 90)
    overlaps = jm.db.value("""
        SELECT count(*) FROM (SELECT started_at, lag(completed_at) OVER (ORDER BY started_at) AS before
        FROM jobs WHERE type = 'slow') s WHERE started_at < before - interval '50 ms'""")
    assert overlaps == 0, "two at once"
    assert jm.db.statuses() == {"completed": slow + 50 + other}
    jm.check()


def test_kafka_and_ready_rows_share(jm, rounds):
    """Ready rows are started while records pour in, and the other way round."""
    waiting = 4000 if rounds > 1 else 1000
    jm.start_worker(concurrency_async=20)
    jm.send(*[{**NAP, "params": {"seconds": 0.02, "old": 1}}] * waiting)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs") == waiting, 40, what="they wait")
    began = jm.db.value("SELECT clock_timestamp()")
    over = threading.Event()

    def pour():
        while not over.is_set():
            jm.send(*[NAP] * 20)
            over.wait(0.03)
    sender = threading.Thread(target=pour)
    sender.start()
    try:
        wait_until(lambda: jm.db.ended("started_at > %s", began) >= waiting * 0.6, 60,
                   what="many have ended")
    finally:
        over.set()
        sender.join()
    until = jm.db.value("SELECT clock_timestamp()")
    old, new = [jm.db.value("SELECT count(*) FROM jobs WHERE started_at > %s AND started_at <= %s AND "
                            f"(params ->> 'old') IS {null} NULL", began, until)
                for null in ("NOT", "")]
    accepted = jm.db.value("SELECT count(*) FROM jobs WHERE created_at > %s", began)
    assert old > (old + new) / 5, (old, new)
    assert accepted > 200, "records were not accepted"
    jm.wait_offsets()
    jm.wait_ended(jm.db.value("SELECT count(*) FROM jobs"), 120)
    jm.check()


def test_max_waiting_pauses_without_flapping(jm, rounds):
    """Kafka stays the backlog, slots stay busy, and the queue is paused a few times at most; the other
    queue is not."""
    jobs, bound = (20000, 1000) if rounds > 1 else (3000, 300)
    jm.topic("other")
    worker = jm.start_worker(queues="default,other", concurrency_async=40, max_waiting=bound)
    most = 0
    jm.send(*[NAP] * jobs)
    worker.wait_log("queue paused", 30)
    jm.send(*[{"type": "noop"}] * 100, queue="other")

    def ended():
        nonlocal most
        most = max(most, jm.db.value("SELECT count(*) FROM pending_jobs"))
        return jm.db.ended("queue = 'default'") >= jobs
    wait_until(ended, 200, 0.1, "all have ended")
    text = worker.text()
    pauses, resumed = text.count("queue paused"), text.count("queue resumed")
    seconds = jm.db.value("SELECT extract(epoch FROM max(completed_at) - min(started_at)) FROM jobs")
    print(f"{pauses} pauses in {seconds} s, at most {most} waited")
    assert pauses <= 2 + seconds / 3 and pauses - resumed <= 1
    assert "other" not in [line.split("queue=")[-1] for line in text.splitlines() if "queue paused" in line]
    jm.wait_ended(jobs + 100, 30)
    assert jm.db.statuses() == {"completed": jobs + 100}
    jm.check(queues=("default", "other"))
