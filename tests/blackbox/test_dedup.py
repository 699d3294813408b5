"""Keys and ids within their window: one job for one key, whoever accepts it; free again when that came to
nothing."""
import pytest

from lib.ids import uuid7
from lib.wait import wait_until


def counted(jm, n):
    """All records of the topic have been accepted."""
    jm.wait_offsets()
    return jm.db.value("SELECT count(*) FROM jobs") == n


@pytest.mark.parametrize("field", ["dedup_key", "id"])
def test_duplicates_over_two_workers(jm, field):
    """1,000 messages of 100 keys over four partitions and two workers (10,000 in ./dev chaos)."""
    jm.start_worker()
    jm.start_worker()
    for part in range(4):
        jm.send(*[{"type": "noop", field: f"k{i % 100}", "params": {"k": i % 100}} for i in range(250)],
                partition=part)
    jm.wait_offsets()
    jm.wait_ended(100)
    assert jm.db.statuses() == {"completed": 100}
    column = {"id": "external_id"}.get(field, field)
    assert jm.db.value(f"SELECT count(DISTINCT {column}) FROM jobs") == 100
    assert jm.db.value("SELECT count(*) FROM dead_letters") == 0
    jm.check()


def test_key_is_free_after_a_failure(jm):
    jm.start_worker()
    for n in range(1, 4):
        jm.send({"type": "fail", "dedup_key": "k", "max_attempts": 1})
        jm.wait_ended(n)
    assert jm.db.value("SELECT count(*) FROM dedup_keys") == 0
    jm.check()


def test_a_record_that_comes_again_does_not_keep_the_key(jm):
    """Its job has failed: what claimed the key again gives it back."""
    jm.start_worker()
    job_id = uuid7()
    again = {"type": "fail", "id": job_id, "dedup_key": "k", "max_attempts": 1}
    jm.send(again)
    jm.wait_ended(1)
    jm.send(again)
    jm.wait_offsets()
    assert jm.db.value("SELECT count(*) FROM dedup_keys") == 0
    jm.send({"type": "noop", "dedup_key": "k"}, {"type": "fail", "dedup_key": "k"})
    jm.wait_ended(2)
    assert jm.cli("job", "submit", "--type", "fail", "--id", job_id, "--dedup-key", "k2").out.strip() == job_id
    jm.cli("job", "submit", "--type", "fail", "--id", job_id, "--dedup-key", "k")
    assert jm.db.query("SELECT type, key FROM dedup_keys WHERE job_id = %s AND key = 'k'", job_id) == []
    jm.check()


@pytest.mark.parametrize("more", [{}, {"dedup_key": "d"}, {"run_at": "2099-01-01T00:00:00Z"}],
                         ids=["plain", "dedup key", "later"])
def test_the_second_record_of_an_id_counts_when_the_first_is_refused(jm, more):
    """PostgreSQL refuses the first: the second, in the same batch, is a job of its own."""
    jm.db.execute("ALTER TABLE jobs ADD CONSTRAINT picky CHECK (params ->> 'n' IS DISTINCT FROM 'bad')")
    other = uuid7()
    jm.send({"type": "noop", "id": uuid7(), "params": {"n": 0}},
            {"type": "noop", "id": other, "params": {"n": "bad"}, **more},
            {"type": "noop", "id": other, "params": {"n": 2}, **more}, partition=0)
    jm.start_worker()
    letter, = wait_until(lambda: jm.db.query("SELECT reason FROM dead_letters"), 20)
    assert letter[0] == "refused"
    job = wait_until(lambda: jm.db.job(other), 20)
    assert job["params"] == {"n": 2}
    assert jm.db.value("SELECT count(*) FROM dedup_keys WHERE job_id = %s", other) == ("dedup_key" in more)
    if "run_at" in more:
        assert job["status"] == "pending" and job["attempt"] == 0
        jm.check(waiting_ok=True)
    else:
        jm.wait_status(other, "completed")
        jm.check()


def test_the_epoch_is_a_time(jm):
    """1970-01-01T00:00:00Z is long past, and not no time."""
    jm.start_producer()
    jm.start_worker()
    late, early = uuid7(), uuid7()
    jm.send({"type": "noop", "id": late, "start_by": "1970-01-01T00:00:00Z"},
            {"type": "noop", "id": early, "run_at": "1970-01-01T00:00:00Z"})
    jm.wait_status(late, "expired")
    jm.wait_status(early, "completed")
    by_sql = jm.cli("job", "submit", "--type", "noop", "--start-by", "1970-01-01T00:00:00Z").out.strip()
    jm.wait_status(by_sql, "expired")
    assert jm.db.job(early)["run_at"].year == 1970
    jm.check()
