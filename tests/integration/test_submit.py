"""jobmill.submit(): a job exactly if the caller commits, with the checks of the job message."""
import base64
import json
import re
import subprocess
import time
import uuid

import psycopg
import pytest

from lib.paths import SCHEMA

CASES = [json.loads(line) for line in
         (SCHEMA.parent / "tests/corpus/message/cases.jsonl").read_text().splitlines()]


def value_of(case):
    if "base64" in case:
        return base64.b64decode(case["base64"])
    if "parts" in case:
        parts = case["parts"]
        return "".join(parts[i] * parts[i + 1] for i in range(0, len(parts), 2)).encode()
    return None if case["value"] is None else case["value"].encode()


def submit(conn, type_, params=None, options=None):
    """params and options as objects, or as JSON text, which keeps its numbers."""
    def text(v):
        return v if v is None or isinstance(v, str) else json.dumps(v)
    return conn.execute("SELECT jobmill.submit(%s, %s::jsonb, %s::jsonb)",
                        (type_, text(params), text(options))).fetchone()[0]


def refused(conn, *args):
    """(reason, field, message) of the submission that is refused."""
    with pytest.raises(psycopg.Error) as caught:
        submit(conn, *args)
    diag = caught.value.diag
    assert diag.message_detail.startswith("reason: "), diag.message_primary
    assert diag.message_hint, diag.message_primary
    return diag.message_detail[8:], diag.column_name or "", diag.message_primary


@pytest.fixture
def conn(db):
    with db.connect() as connection:
        yield connection


def test_committed_is_one_job(db):
    with psycopg.connect(db.url) as other:
        job_id = submit(other, "noop", {"a": 1})
        assert db.job(job_id) is None, "seen before the commit"
        other.commit()
    job = db.job(job_id)
    assert (job["type"], job["project"], job["queue"], job["status"]) == (
        "noop", "default", "default", "pending")
    assert job["params"] == {"a": 1} and job["attempt"] == 0 and job["max_attempts"] == 3
    assert job["submitted_by"] == "sql:" + db.value("SELECT session_user")
    pending = db.rows("SELECT * FROM pending_jobs")
    assert len(pending) == 1 and pending[0]["job_id"] == job_id
    assert pending[0]["state"] == "unpublished" and pending[0]["reason"] is None
    assert json.loads(pending[0]["message"]) == {"type": "noop", "id": str(job_id),
                                                 "params": {"a": 1}}


def test_rolled_back_is_no_job(db):
    with psycopg.connect(db.url) as other:
        submit(other, "noop", {}, {"id": "x", "dedup_key": "y"})
        other.rollback()
    for table in ("jobs", "pending_jobs", "dedup_keys"):
        assert db.value(f"SELECT count(*) FROM {table}") == 0


def test_10000_in_one_transaction(db, conn):
    began = time.monotonic()
    with conn.transaction():
        conn.execute("SELECT count(jobmill.submit('noop', jsonb_build_object('n', n))) "
                     "FROM generate_series(1, 10000) n")
    took = time.monotonic() - began
    assert db.value("SELECT count(*) FROM jobs") == 10000
    assert db.value("SELECT count(DISTINCT params) FROM jobs") == 10000
    assert db.value("SELECT count(*) FROM pending_jobs WHERE state = 'unpublished'") == 10000
    assert took < 30, f"{took:.1f} s"


def psql(url, script):
    done = subprocess.run(["psql", "-X", "-At", "-q", "-v", "ON_ERROR_STOP=1", "-d", url],
                          input=script, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.strip(), done.stderr


def test_from_psql(db):
    """As docs/protocol.md shows it, in a transaction of other work."""
    code, out, err = psql(db.url, """
        CREATE TABLE orders (id integer);
        BEGIN;
        INSERT INTO orders VALUES (17);
        SELECT jobmill.submit('noop', '{"order": 17}', '{"id": "order-17"}');
        COMMIT;
        NOTIFY jobmill;""")
    assert code == 0, err
    assert db.job(out)["external_id"] == "order-17"
    code, out, err = psql(db.url, "SELECT jobmill.submit(type => 'noop', options => '{\"priorty\": 1}')")
    assert code != 0
    for said in ('no option is called "priorty"', "reason: unknown_field",
                 'The nearest is "priority"'):
        assert said in err


def test_waits_in_the_database_what_has_to_wait(db, conn):
    later = submit(conn, "noop", {}, {"run_at": "2099-01-01T00:00:00+02:00"})
    urgent = submit(conn, "noop", {}, {"priority": 9})
    past = submit(conn, "noop", {}, {"run_at": "2020-01-01T00:00:00Z"})
    rows = {r["job_id"]: r for r in db.rows("SELECT * FROM pending_jobs")}
    assert (rows[later]["state"], rows[later]["reason"]) == ("ready", "run_at")
    assert db.value("SELECT visible_at = '2098-12-31 22:00:00+00' FROM pending_jobs "
                    "WHERE job_id = %s", later)
    assert (rows[urgent]["state"], rows[urgent]["reason"]) == ("ready", "priority")
    assert rows[urgent]["priority"] == 9 and rows[urgent]["message"] is None
    assert rows[past]["state"] == "unpublished"


def test_every_option_reaches_its_column(db, conn):
    db.execute("INSERT INTO projects (name) VALUES ('acme')")
    db.execute("INSERT INTO job_types (name, definition_hash, max_attempts, searchable) "
               "VALUES ('report', 'h', 7, '{order,gone}')")
    job = db.job(submit(conn, "report", {"a": 1}, {
        "id": "order-17", "project": "acme", "queue": "slow", "profile": "nightly", "priority": 6,
        "key": "k", "run_at": "2099-01-01T00:00:00Z", "start_by": "2099-01-02T00:00:00Z",
        "timeout_s": 60, "dedup_key": "d", "metadata": {"order": 17, "gone": None, "other": "x"},
        "x-mine": [1]}))
    assert job["external_id"] == "order-17" and job["project"] == "acme" and job["queue"] == "slow"
    assert job["profile"] == "nightly" and job["priority"] == 6 and job["ordering_key"] == "k"
    assert job["timeout_s"] == 60 and job["max_attempts"] == 7 and job["dedup_key"] == "d"
    assert job["metadata"] == {"order": 17, "gone": None, "other": "x"}
    assert (job["start_by"] - job["run_at"]).total_seconds() == 86400
    assert db.query("SELECT key, value FROM job_metadata WHERE job_id = %s", job["id"]) == [
        ("order", "17")]


def test_max_attempts_of_the_newest_announcement(db, conn):
    db.execute("INSERT INTO job_types (name, definition_hash, max_attempts, announced_at) VALUES "
               "('t', 'old', 9, clock_timestamp() - interval '1 hour'), ('t', 'new', 5, "
               "clock_timestamp())")
    assert db.job(submit(conn, "t"))["max_attempts"] == 5
    assert db.job(submit(conn, "t", {}, {"max_attempts": 1}))["max_attempts"] == 1


def test_same_id_is_the_same_job(db, conn):
    for name in ("order-17", "019adc44-5b80-7abc-8def-0123456789ab"):
        first = submit(conn, "noop", {"a": 1.0}, {"id": name})
        assert submit(conn, "noop", {"a": 1}, {"id": name}) == first
        reason, field, _ = refused(conn, "noop", {"a": 2}, {"id": name})
        assert (reason, field) == ("id_conflict", "id")
    assert refused(conn, "sleep", {"a": 1}, {"id": name})[0] == "id_conflict"
    assert submit(conn, "sleep", {"a": 1}, {"id": "order-17"}) != first, "unique in its type"
    assert db.value("SELECT count(*) FROM jobs") == 3
    assert db.value("SELECT count(*) FROM pending_jobs") == 3


def test_an_external_id_is_free_again_after_its_window(db, conn):
    first = submit(conn, "noop", {}, {"id": "order-17"})
    db.execute("UPDATE dedup_keys SET expires_at = clock_timestamp() - interval '1 second'")
    assert submit(conn, "noop", {}, {"id": "order-17"}) != first


def test_dedup_key_gives_the_job_that_has_it(db, conn):
    first = submit(conn, "noop", {"a": 1}, {"dedup_key": "k"})
    assert submit(conn, "noop", {"a": 2}, {"dedup_key": "k", "id": "second"}) == first
    assert submit(conn, "sleep", {}, {"dedup_key": "k"}) != first
    assert db.value("SELECT count(*) FROM jobs") == 2
    # The one that came to nothing has given its id back.
    assert submit(conn, "noop", {"a": 2}, {"id": "second"}) != first


def test_two_at_once_with_one_id(db):
    """The second waits for the first, and is it."""
    with psycopg.connect(db.url) as one, db.connect() as two:
        first = submit(one, "noop", {}, {"id": "x"})
        two.execute("SET lock_timeout = '500ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            submit(two, "noop", {}, {"id": "x"})
        one.commit()
        assert submit(two, "noop", {}, {"id": "x"}) == first


def test_missing_partition_is_made(db, conn):
    before = db.value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'jobs'::regclass")
    old = "018bcfe5-6800-7000-8000-000000000001"  # 2023-11-14
    assert str(submit(conn, "noop", {}, {"id": old})) == old
    assert db.value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'jobs'::regclass") == before + 1
    db.execute("UPDATE retention SET dropped_before = '2023-11-01'")
    assert refused(conn, "noop", {}, {"id": "0187bcfe-6800-7000-8000-000000000001"})[:2] == (
        "bad_time", "id")


@pytest.mark.parametrize("options, field, message", [
    ({"priorty": 1}, "priorty", "no option is called \"priorty\""),
    ({"queue": "Slow"}, "queue", "queue must be"),
    ({"queue": 1}, "queue", "queue must be"),
    ({"type": "noop"}, "type", "no option is called \"type\""),
    ({"params": {}}, "params", "no option is called \"params\""),
])
def test_options_that_are_none(conn, options, field, message):
    _, at, said = refused(conn, "noop", {}, options)
    assert at == field and said.startswith(message)


def test_hint_names_the_nearest(conn):
    with pytest.raises(psycopg.Error) as caught:
        submit(conn, "noop", {}, {"maxAttempts": 1})
    assert caught.value.sqlstate == "22023"
    assert caught.value.diag.message_hint == 'The nearest is "max_attempts".'


def test_unknown_project(conn):
    with pytest.raises(psycopg.Error) as caught:
        submit(conn, "noop", {}, {"project": "nobody"})
    assert caught.value.diag.message_detail == "reason: unknown_project"
    assert caught.value.diag.column_name == "project"
    assert caught.value.diag.message_hint == "Make it by jobmill project add NAME, or name one that is there"


def test_nulls_are_defaults(db, conn):
    assert db.job(submit(conn, "noop", None, None))["params"] == {}
    assert refused(conn, None)[:2] == ("missing_field", "type")
    for wrong in ("[]", "1", "null"):
        assert refused(conn, "noop", wrong)[1] == "params"
        assert refused(conn, "noop", {}, wrong)[1] == "options"


def test_integers_keep_every_digit(db, conn):
    number = "123456789012345678901234567890"
    job_id = submit(conn, "noop", '{"n": %s}' % number)
    assert db.value("SELECT params->>'n' FROM jobs WHERE id = %s", job_id) == number
    assert number in db.value("SELECT message FROM pending_jobs WHERE job_id = %s", job_id)


def split(conn, value):
    """type, params and options of a message as PostgreSQL reads it; None where jsonb refuses it or
    submit() cannot be called with it."""
    try:
        row = conn.execute(
            "SELECT jsonb_typeof(v), jsonb_typeof(v->'type'), v->>'type', (v->'params')::text, "
            "CASE jsonb_typeof(v) WHEN 'object' THEN (v - 'type' - 'params')::text END "
            "FROM (SELECT %s::jsonb AS v) AS x", ((value or b"").decode(),)).fetchone()
    except (UnicodeDecodeError, psycopg.DataError, psycopg.errors.StatementTooComplex):
        return None
    kind, kind_of_type, *arguments = row
    return arguments if kind == "object" and kind_of_type in (None, "string") else ()


ASKED = [c for c in CASES
         if not {"headers", "key", "key_base64", "timestamp_ms", "sql_disagrees"} & c.keys()]


def test_corpus_agrees(conn):
    """Each message of the corpus that jsonb can hold, as arguments of submit()."""
    asked, wrong = 0, []
    for case in ASKED:
        arguments = split(conn, value_of(case))
        if not arguments:
            if case["valid"]:
                wrong.append(f"{case['name']}: jsonb refuses what the parser accepts")
            continue
        asked += 1
        said = "valid"
        try:
            with conn.transaction(force_rollback=True):
                submit(conn, *arguments)
        except psycopg.Error as e:
            said = (e.diag.message_detail or e.diag.message_primary).removeprefix("reason: ")
            field = re.split(r"[.\[]", e.diag.column_name or "")[0]
        if case["valid"]:
            agrees = said == "valid"
        else:
            at = re.split(r"[.\[]", case["field"])[0]
            agrees = (said == case["reason"]
                      and at in ("", re.sub(r"[\x00-\x1f]", "?", field)))
        if not agrees:
            wrong.append(f"{case['name']}: {said}")
    assert wrong == []
    assert asked > 200


def test_notes_of_the_corpus_hold(conn):
    """What is said to differ differs."""
    stale = []
    for case in CASES:
        if "sql_disagrees" not in case:
            continue
        arguments = split(conn, value_of(case))
        try:
            with conn.transaction(force_rollback=True):
                submit(conn, *(arguments or [None]))
            valid = True
        except psycopg.Error:
            valid = False
        if valid == case["valid"] and arguments and "clock" not in case["sql_disagrees"]:
            stale.append(case["name"])
    assert stale == []
