"""Jobs that wait for others: in chains and diamonds, by id and by external id, for parents that fail,
that never come, and for themselves."""
import psycopg
import pytest

from lib.ids import uuid7
from lib.wait import wait_until


def order(jm, *ids):
    """Whether the jobs started only after those before them had completed."""
    times = [jm.db.one("SELECT started_at, completed_at FROM jobs WHERE id = %s", i) for i in ids]
    early = [(b[0] - a[1]).total_seconds() for a, b in zip(times, times[1:])]
    assert min(early) > -0.1, early  # the end is by the worker's reckoning of PostgreSQL's clock
    return True


def reason(jm, job_id):
    return jm.db.value("SELECT reason FROM pending_jobs WHERE job_id = %s", job_id)


@pytest.mark.tsan
def test_chain_by_id_over_kafka(jm):
    jm.start_worker()
    a, b, c = uuid7(), uuid7(), uuid7()
    jm.send({"type": "sleep", "id": a, "params": {"seconds": 2}})
    jm.wait_status(a, "running")
    jm.send({"type": "noop", "id": b, "depends_on": [a]}, {"type": "noop", "id": c, "depends_on": [b]})
    wait_until(lambda: reason(jm, b) == f"waits for job {a}", 20)
    assert a in jm.cli("job", "show", b).out
    for job_id in (a, b, c):
        jm.wait_status(job_id, "completed")
    assert order(jm, a, b, c)
    assert jm.db.job(b)["depends_on"] == [a]
    assert jm.db.value("SELECT count(*) FROM job_dependencies") == 0
    jm.check()


def test_diamond_by_external_id(jm):
    """top → left, right → bottom; accepted in any order, also in one batch."""
    jm.start_producer()
    worker = jm.start_worker()
    for round_ in range(3):
        def ext(name, r=round_):
            return {"external_id": f"{name}{r}"}
        messages = [{"type": "sleep", "id": f"top{round_}", "params": {"seconds": 0.3}},
                    {"type": "sleep", "id": f"left{round_}", "depends_on": [ext("top")],
                     "params": {"seconds": 0.2}},
                    {"type": "noop", "id": f"right{round_}", "depends_on": [ext("top")]},
                    {"type": "noop", "id": f"bottom{round_}", "depends_on": [ext("left"), ext("right")]}]
        if round_ == 1:
            messages.reverse()
        if round_ == 2:
            worker.terminate()
        jm.send(*messages)
        if round_ == 2:
            jm.start_worker()
        jm.wait_ended(4 * (round_ + 1))
        ids = {n: jm.db.value("SELECT id FROM jobs WHERE external_id = %s", f"{n}{round_}")
               for n in ("top", "left", "right", "bottom")}
        assert order(jm, ids["top"], ids["left"], ids["bottom"])
        assert order(jm, ids["top"], ids["right"], ids["bottom"])
    assert jm.db.statuses() == {"completed": 12}
    jm.check()


def test_parent_that_has_ended_is_no_hindrance(jm):
    jm.start_worker()
    a = uuid7()
    jm.send({"type": "noop", "id": a})
    jm.wait_status(a, "completed")
    b = jm.cli("job", "submit", "--type", "noop", "--depends-on", f'["{a}"]').out.strip()
    jm.wait_status(b, "completed")
    jm.check()


@pytest.mark.parametrize("how", ["failed", "cancelled", "expired"])
def test_parent_that_did_not_complete_cancels_all_behind_it(jm, how):
    jm.start_producer()
    more = {"failed": ["--type", "fail", "--max-attempts", "1", "--run-at", "2099-01-01T00:00:00Z"],
            "cancelled": ["--type", "noop", "--run-at", "2099-01-01T00:00:00Z"],
            "expired": ["--type", "unknown-type", "--priority", "5", "--start-by", "2099-01-01T00:00:00Z"]}[how]
    a = jm.cli("job", "submit", *more).out.strip()
    b = jm.cli("job", "submit", "--type", "noop", "--depends-on", f'["{a}"]', "--dedup-key", "k").out.strip()
    c = jm.cli("job", "submit", "--type", "noop", "--depends-on", f'["{b}"]').out.strip()
    d = jm.cli("job", "submit", "--type", "noop", "--depends-on", f'["{c}", "{a}"]').out.strip()
    jm.start_worker()
    if how == "cancelled":
        jm.cli("job", "cancel", a)
    elif how == "expired":
        jm.db.execute("UPDATE pending_jobs SET start_by = now() WHERE job_id = %s", a)
    else:
        jm.db.execute("UPDATE pending_jobs SET visible_at = now() WHERE job_id = %s", a)
    jm.wait_status(a, how)
    for job_id, because in ((b, a), (c, b), (d, None)):
        job = jm.wait_status(job_id, "cancelled")
        assert "depends on" in job["error"] and (because is None or because in job["error"]), job["error"]
        assert job["attempt"] == 0 and job["cancel_requested"]["by"] == "depends_on"
    assert jm.db.value("SELECT count(*) FROM dedup_keys") == 0
    # What comes later meets an ended parent.
    e = jm.cli("job", "submit", "--type", "noop", "--depends-on", f'["{b}"]').out.strip()
    assert jm.wait_status(e, "cancelled")["error"].endswith("is cancelled")
    jm.check()


def test_type_that_needs_only_the_end(jm):
    jm.job_type("cleanup", {"name": "run", "noop": {}}, depends="ended")
    jm.start_worker()
    a, b, c = uuid7(), uuid7(), uuid7()
    jm.send({"type": "sleep", "id": c, "params": {"seconds": 60}})
    jm.wait_status(c, "running")
    jm.send({"type": "cleanup", "id": a, "depends_on": [c]}, {"type": "noop", "id": b, "depends_on": [a]})
    wait_until(lambda: reason(jm, b), 20)
    jm.cli("job", "cancel", c)
    jm.wait_status(c, "cancelled")
    jm.wait_status(a, "completed")
    jm.wait_status(b, "completed")
    jm.check()


def test_unknown_parent(jm):
    """It is waited for, found when it comes, and given up after a time."""
    jm.start_producer(parent_wait_s=4)
    jm.start_worker()
    a, b, c, d, missing = (uuid7() for _ in range(5))
    jm.send({"type": "noop", "id": b, "depends_on": [a]},
            {"type": "noop", "id": c, "depends_on": [{"external_id": "to come"}]},
            {"type": "noop", "id": d, "depends_on": [missing]})
    wait_until(lambda: reason(jm, c) == "waits for job to come", 20)
    jm.send({"type": "noop", "id": a}, {"type": "noop", "id": "to come"})
    jm.wait_status(b, "completed")
    jm.wait_status(c, "completed")
    job = jm.wait_status(d, "cancelled")
    assert missing in job["error"] and "did not appear" in job["error"]
    jm.check()


def test_parent_of_another_project_is_none(jm):
    jm.db.execute("INSERT INTO projects (name) VALUES ('other')")
    jm.start_producer(parent_wait_s=2)
    jm.start_worker()
    a = jm.cli("job", "submit", "--type", "noop", "--project", "other").out.strip()
    jm.wait_status(a, "completed")
    b = jm.cli("job", "submit", "--type", "noop", "--depends-on", f'["{a}"]').out.strip()
    jm.wait_status(b, "cancelled")
    jm.check()


def dead(jm):
    return jm.db.query("SELECT reason, field, detail FROM dead_letters ORDER BY id")


def test_circles_over_kafka_are_dead_letters(jm):
    """Of one, of two and of three; the jobs before them wait for what never comes."""
    jm.start_producer(parent_wait_s=3)
    jm.start_worker()
    a, b, c, d, e, f = (uuid7() for _ in range(6))
    jm.send({"type": "noop", "id": a, "depends_on": [a]},
            {"type": "noop", "id": "self", "depends_on": [{"external_id": "self"}]})
    wait_until(lambda: len(dead(jm)) == 2, 20)
    jm.send({"type": "noop", "id": b, "depends_on": [c]}, {"type": "noop", "id": c, "depends_on": [b]})
    wait_until(lambda: len(dead(jm)) == 3, 20)
    jm.send({"type": "noop", "id": d, "depends_on": [e]}, {"type": "noop", "id": e, "depends_on": [f]},
            {"type": "noop", "id": f, "depends_on": [d]})
    wait_until(lambda: len(dead(jm)) == 4, 20)
    assert all(r == "bad_field" and x == "depends_on" and "leads back" in t for r, x, t in dead(jm)), dead(jm)
    jm.wait_ended(3)
    assert jm.db.statuses() == {"cancelled": 3}
    jm.check()


def test_circle_by_external_ids(jm):
    jm.start_producer(parent_wait_s=3)
    jm.start_worker()
    jm.send({"type": "noop", "id": "x", "depends_on": [{"external_id": "y"}]})
    wait_until(lambda: jm.db.value("SELECT count(*) FROM pending_jobs") == 1, 20)
    jm.send({"type": "noop", "id": "y", "depends_on": [{"external_id": "x"}]})
    wait_until(lambda: len(dead(jm)) == 1, 20)
    assert dead(jm)[0][:2] == ("bad_field", "depends_on")
    jm.wait_ended(1)
    jm.check()


def test_circle_that_closes_later_is_cancelled(jm):
    """Two transactions that do not see each other."""
    a, b = uuid7(), uuid7()
    with psycopg.connect(jm.database_url) as one, psycopg.connect(jm.database_url) as two:
        for conn, job, parent in ((one, a, b), (two, b, a)):
            conn.execute("SELECT jobmill.submit('noop', '{}', jsonb_build_object('id', %s::text, "
                         "'depends_on', jsonb_build_array(%s::text)))", (job, parent))
    jm.start_producer()
    jm.start_worker()
    jm.wait_ended(2)
    assert jm.db.statuses() == {"cancelled": 2}
    assert any("leads back to itself" in e for e, in jm.db.query("SELECT error FROM jobs"))
    jm.check()


def test_submit_refuses(jm_sql):
    a, b = uuid7(), uuid7()
    jm_sql.cli("job", "submit", "--type", "noop", "--id", a, "--depends-on", f'["{b}"]')
    for text, said in ((f'["{a}"]', "leads back"), ('["x"]', "depends_on[0]"), ('[{"external_id": 1}]', "depends_on[0]"),
                       ('[{"external_id": "x", "type": "y"}]', "depends_on[0]"), ("[null]", "depends_on[0]"),
                       ('{"a": 1}', "depends")):
        refused = jm_sql.cli("job", "submit", "--type", "noop", "--id", b, "--depends-on", text, check=False)
        assert refused.code == 2 and said in refused.err, refused
    with psycopg.connect(jm_sql.database_url) as conn, pytest.raises(psycopg.Error, match="at most 1000"):
        conn.execute("SELECT jobmill.submit('noop', '{}', jsonb_build_object('depends_on', "
                     "(SELECT jsonb_agg(jobmill.uuid7()) FROM generate_series(1, 1001))))")
    refused = jm_sql.cli("job", "submit", "--type", "jobmill.callback", check=False)
    assert refused.code == 2 and "jobmill's own" in refused.err


def test_many(jm):
    """One job that waits for 300, and 300 that wait for it."""
    jm.start_worker()
    gate, top = uuid7(), [uuid7() for _ in range(300)]
    jm.send({"type": "sleep", "id": gate, "params": {"seconds": 2}})
    jm.wait_status(gate, "running")
    middle, bottom = uuid7(), [uuid7() for _ in range(300)]
    jm.send(*[{"type": "noop", "id": i, "depends_on": [gate]} for i in top],
            {"type": "noop", "id": middle, "depends_on": top},
            *[{"type": "noop", "id": i, "depends_on": [middle]} for i in bottom], partition=0)
    jm.wait_ended(602)
    assert jm.db.statuses() == {"completed": 602}
    assert order(jm, gate, max(top), middle, min(bottom))
    jm.check()


def test_nobody_sees_the_end(jm):
    """The worker is killed between the commit and its look at the dependents: the janitor finds them."""
    jm.start_worker()
    a = uuid7()
    jm.send({"type": "sleep", "id": a, "params": {"seconds": 1}})
    jm.wait_status(a, "running")
    b = jm.cli("job", "submit", "--type", "noop", "--depends-on", f'["{a}"]').out.strip()
    jm.db.execute("UPDATE jobs SET has_dependents = NULL")  # as if it were not seen
    jm.wait_status(a, "completed")
    assert reason(jm, b) == f"waits for job {a}"
    jm.start_producer()
    jm.wait_status(b, "completed", 40)
    jm.check()
