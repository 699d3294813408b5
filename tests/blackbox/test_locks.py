"""Jobs that need a lock: in the order of their key, exclusive by name, limited in how many run anywhere."""
import json

import pytest

from lib.ids import uuid7
from lib.wait import wait_until

RUNNING = """#!/bin/sh
# Appends "start <n>" and "end <n>" to a file of its key, in one write each.
read -r line
n=$(printf '%s' "$line" | sed 's/.*"params":{[^}]*"n": *\\([0-9]*\\).*/\\1/')
key=$(printf '%s' "$line" | sed 's/.*"params":{[^}]*"key": *"\\([^"]*\\)".*/\\1/')
echo "start $n" >> "$OUT/$key"
sleep "${PAUSE:-0.02}"
echo "end $n" >> "$OUT/$key"
"""


def handler(jm, name="ordered", pause=0.02, **more):
    """A job type whose jobs note in <dir>/out/<key> when they start and end."""
    out = jm.dir / "out"
    out.mkdir(exist_ok=True)
    out.chmod(0o777)
    path = jm.script("note", RUNNING)
    jm.job_type(name, {"name": "run", "exec": {
        "argv": [path], "env": {"OUT": str(out), "PAUSE": str(pause)}}}, **more)
    return out


def overlaps(path):
    """The most jobs that ran at once, by what they wrote."""
    now = most = 0
    for line in path.read_text().splitlines():
        now += 1 if line.startswith("start") else -1
        most = max(most, now)
    return most


def starts_of(jm, key):
    return [n for n, in jm.db.query(
        "SELECT (params ->> 'n')::int FROM jobs WHERE ordering_key = %s ORDER BY started_at", key)]


def test_jobs_of_a_key_run_one_after_the_other_in_order(jm):
    out = handler(jm, ordering="key", concurrency=8)
    jm.start_worker(concurrency=20)
    jm.start_worker(concurrency=20)
    jm.send(*[{"type": "ordered", "key": f"k{n % 5}", "params": {"key": f"k{n % 5}", "n": n}}
              for n in range(60)], key=[f"k{n % 5}" for n in range(60)])
    jm.wait_ended(60, 60)
    assert jm.db.statuses() == {"completed": 60}
    for k in range(5):
        want = [line for n in range(k, 60, 5) for line in (f"start {n}", f"end {n}")]
        assert (out / f"k{k}").read_text().splitlines() == want
    assert jm.db.value("SELECT count(*) FROM locks") == 0
    assert jm.db.value("SELECT count(*) FROM pending_jobs") == 0
    jm.check()


def test_retries_keep_their_place(jm):
    jm.job_type("flaky", ["/bin/sh", "-c", f"d={jm.dir}/once; read -r line; "
                          "n=$(printf '%s' \"$line\" | sed 's/.*\"n\": *\\([0-9]*\\).*/\\1/'); "
                          "[ $((n % 3)) -ne 0 ] || mkdir $d.$n || exit 0; [ $((n % 3)) -ne 0 ] || exit 75"],
                ordering="key", backoff={"initial_s": 0.2, "jitter": 0})
    jm.start_worker()
    jm.start_worker()
    jm.send(*[{"type": "flaky", "key": "k", "params": {"n": n}} for n in range(12)],
            key=["k"] * 12)
    jm.wait_ended(12, 60)
    assert jm.db.statuses() == {"completed": 12}
    assert starts_of(jm, "k") == list(range(12))
    assert jm.db.value("SELECT count(*) FROM jobs WHERE attempt = 2") == 4
    tokens = [t for t, in jm.db.query("SELECT lock_token FROM jobs ORDER BY started_at")]
    assert all(tokens) and tokens == sorted(tokens)
    jm.check()


def test_a_failure_goes_on_or_blocks_its_key_only(jm):
    for name, policy in (("goes_on", "continue"), ("blocks", "block")):
        jm.job_type(name, ["/bin/sh", "-c", 'read -r line; case "$line" in *bad*) exit 65;; esac'],
                    ordering="key", on_failure=policy)
    jm.start_producer()
    jm.start_worker()
    ids = [str(uuid7()) for _ in range(4)]
    jm.send({"type": "blocks", "id": ids[0], "key": "a", "params": {"bad": 1}},
            {"type": "blocks", "id": ids[1], "key": "a", "params": {"n": 1}},
            {"type": "blocks", "id": ids[2], "key": "a", "params": {"n": 2}},
            {"type": "blocks", "key": "b"},
            {"type": "goes_on", "key": "a", "params": {"bad": 1}},
            {"type": "goes_on", "key": "a", "params": {"n": 1}}, key=["a"] * 6)
    jm.wait_ended(4, 30)
    assert jm.db.statuses("type = 'goes_on'") == {"failed": 1, "completed": 1}
    assert jm.db.statuses("type = 'blocks' AND ordering_key = 'a'") == {"failed": 1, "pending": 2}
    assert jm.db.statuses("type = 'blocks' AND ordering_key = 'b'") == {"completed": 1}
    assert jm.db.one("SELECT state, reason FROM pending_jobs WHERE job_id = %s", ids[0]) == (
        "held", "failed, and blocks its key: jobmill job retry, or jobmill lock release --force")
    reason = jm.db.value("SELECT reason FROM pending_jobs WHERE job_id = %s", ids[1])
    assert reason == f"waits for job {ids[0]} before it in key a"
    shown = jm.cli("lock", "list", "--json").json()["items"]
    assert [(i["name"], i["blocked_by"], i["waiting"]) for i in shown] == [
        ("order:blocks/a", ids[0], 2)]
    jm.cli("lock", "release", "order:blocks/a", "--force")
    jm.wait_ended(6, 30)
    assert jm.db.statuses("type = 'blocks' AND ordering_key = 'a'") == {"failed": 1, "completed": 2}
    assert starts_of(jm, "a")[-2:] == [1, 2]
    jm.check()


def test_exclusive_across_types_and_workers(jm):
    out = handler(jm, "one", pause=0.05)
    handler(jm, "two", pause=0.05)
    jm.start_worker()
    jm.start_worker()
    jm.send(*[{"type": ("one", "two")[n % 2], "exclusive": "domain:example.org",
               "params": {"key": "x", "n": n}} for n in range(20)])
    wait_until(lambda: jm.db.value("SELECT reason FROM pending_jobs p JOIN jobs j ON j.id = p.job_id "
                                   "WHERE p.state = 'ready' AND reason ~ "
                                   "'^waits for lock domain:example.org held by job [0-9a-f-]{36}$'"),
               20, 0.01, what="a reason is given")
    jm.wait_ended(20, 60)
    assert jm.db.statuses() == {"completed": 20}
    assert overlaps(out / "x") == 1
    assert jm.db.value("SELECT count(DISTINCT worker_id) FROM jobs") == 2
    assert jm.db.value("SELECT count(*) FROM locks") == 0
    jm.check()


def test_a_capacity_limits_how_many_run_anywhere(jm):
    out = handler(jm, "one", pause=0.1)
    handler(jm, "two", pause=0.1)
    jm.cli("lock", "set", "api", "--capacity", 3)
    jm.start_worker(concurrency=10)
    jm.start_worker(concurrency=10)
    jm.send(*[{"type": ("one", "two")[n % 2], "exclusive": "api", "params": {"key": "x", "n": n}}
              for n in range(40)])
    jm.wait_ended(40, 60)
    assert jm.db.statuses() == {"completed": 40}
    assert overlaps(out / "x") == 3
    assert jm.db.query("SELECT slot, capacity, owner FROM locks ORDER BY slot") == [
        (1, 3, None), (2, 3, None), (3, 3, None)]
    jm.check()


def test_a_lock_of_a_script_keeps_jobs_waiting(jm):
    jm.start_producer()
    jm.start_worker()
    token = jm.cli("lock", "acquire", "deploy", "--ttl", 60, "--owner", "me").out.strip()
    jm.send({"type": "noop", "exclusive": "deploy"})
    reason = wait_until(lambda: jm.db.value("SELECT reason FROM pending_jobs WHERE reason LIKE '%%held by%%'"),
                        20, what="it waits")
    assert reason == "waits for lock deploy held by me"
    jm.cli("lock", "release", "deploy", "--token", token)
    jm.wait_ended(1, 20)
    # One that is not released: its end by the clock is enough.
    jm.cli("lock", "acquire", "deploy", "--ttl", 2)
    jm.send({"type": "noop", "exclusive": "deploy"})
    jm.wait_ended(2, 20)
    assert jm.db.statuses() == {"completed": 2}
    jm.check()


@pytest.mark.parametrize("how", ["kafka", "sql"])
def test_jobs_that_came_before_their_type_keep_its_order(jm, how):
    """Nobody knew the type when they came: whether it orders shows when a worker has it."""
    jm.start_producer()
    jm.start_worker()
    if how == "kafka":
        jm.send(*[{"type": "late", "key": "k", "params": {"key": "k", "n": n}} for n in range(10)],
                key=["k"] * 10)
    else:
        for n in range(10):
            jm.db.execute("SELECT submit('late', %s, '{\"key\": \"k\"}')", json.dumps({"key": "k", "n": n}))
    wait_until(lambda: jm.db.value("SELECT count(*) FROM pending_jobs") == 10, 20, what="they wait")
    out = handler(jm, "late", ordering="key")
    jm.start_worker()
    jm.wait_ended(10, 40)
    assert overlaps(out / "k") == 1
    assert starts_of(jm, "k") == list(range(10))
    jm.check()


def test_sql_and_schedules(jm):
    out = handler(jm, "ordered", ordering="key")
    handler(jm, "plain")
    jm.start_producer()
    jm.start_worker()
    wait_until(lambda: jm.db.value("SELECT ordered FROM job_types WHERE name = 'ordered'"), 20,
               what="types are announced")
    for n in range(8):
        jm.db.execute("SELECT submit('ordered', %s, '{\"key\": \"k\"}')", json.dumps({"key": "k", "n": n}))
        jm.db.execute("SELECT submit('plain', %s, '{\"exclusive\": \"x\"}')", json.dumps({"key": "x", "n": n}))
    jm.wait_ended(16, 40)
    assert overlaps(out / "k") == 1 and overlaps(out / "x") == 1
    assert starts_of(jm, "k") == list(range(8))
    jm.check()


def test_both_locks_are_refused(jm):
    handler(jm, "ordered", ordering="key")
    jm.start_producer()
    jm.start_worker()
    jm.send({"type": "ordered", "key": "k", "exclusive": "x"}, {"type": "noop", "exclusive": "order:t/k"})
    wait_until(lambda: jm.db.value("SELECT count(*) FROM dead_letters") == 2, 20, what="dead letters")
    assert jm.db.query("SELECT reason, field FROM dead_letters") == [("bad_field", "exclusive")] * 2
    with pytest.raises(Exception, match="holds one lock at most"):
        jm.db.execute("SELECT submit('ordered', '{}', '{\"key\": \"k\", \"exclusive\": \"x\"}')")
    # From before anybody knew that the type orders: it fails, and says why.
    jm.db.execute("SELECT submit('later', '{}', '{\"key\": \"k\", \"exclusive\": \"x\"}')")
    handler(jm, "later", ordering="key")
    jm.start_worker()
    jm.wait_ended(1, 20)
    assert "a job holds one lock at most" in jm.db.value("SELECT error FROM jobs")
    assert jm.db.value("SELECT count(*) FROM locks") == 0
    jm.check()
