"""The command line on a database alone: what it lists, shows and waits for, and what doctor finds."""
import json
import socket
import threading
import uuid

import pytest

from urllib.parse import urlsplit, urlunsplit

from lib.wait import wait_until

JOBS = 60
STATUSES = ("pending", "running", "completed", "failed", "cancelled", "expired")


@pytest.fixture
def many(jm_sql):
    """Jobs of every status, of three types, two projects and two queues; ids in the order of n."""
    db = jm_sql.db
    db.execute("INSERT INTO projects (name) VALUES ('other')")
    db.execute("""
        INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at)
        VALUES ('01900000-0000-7000-8000-00000000000b', 'hourly', 't1', 'interval', 3600, now())""")
    db.execute("""
        INSERT INTO jobs (id, type, project, queue, status, outcome, schedule_id, external_id, attempt)
        SELECT overlay(overlay(uuid7_floor(clock_timestamp() - (%s - n) * interval '1 second')::text
                PLACING '7' FROM 15) PLACING '8' FROM 20)::uuid,
            't' || n %% 3, CASE WHEN n %% 2 = 0 THEN 'default' ELSE 'other' END,
            CASE WHEN n %% 5 = 0 THEN 'mail' ELSE 'default' END, s.status,
            CASE WHEN s.status IN ('failed', 'cancelled', 'expired') THEN s.status END,
            CASE WHEN n %% 4 = 0 THEN '01900000-0000-7000-8000-00000000000b'::uuid END, 'ext-' || n, 1
        FROM generate_series(0, %s) n,
            LATERAL (SELECT (%s::text[])[1 + n %% 6] AS status) s""",
               JOBS, JOBS - 1, list(STATUSES))
    db.execute("""INSERT INTO pending_jobs (job_id, state, queue, type, project)
                  SELECT id, 'ready', queue, type, project FROM jobs WHERE status = 'pending'""")
    db.execute("""INSERT INTO claims (worker_id, seq, job_ids)
                  SELECT '01900000-0000-7000-8000-00000000000a', 1, array_agg(id) FROM jobs
                  WHERE status IN ('running', 'completed')""")
    return jm_sql


def listed(stack, *args):
    return [int(job["external_id"][4:]) for job in
            stack.cli("job", "list", "--json", "--limit", JOBS, *args).json()["items"]]


FILTERS = [
    ([], lambda n: True),
    (["--type", "t1"], lambda n: n % 3 == 1),
    (["--project", "other"], lambda n: n % 2 == 1),
    (["--project", "other", "--type", "t2"], lambda n: n % 2 == 1 and n % 3 == 2),
    (["--queue", "mail"], lambda n: n % 5 == 0),
    (["--schedule", "hourly"], lambda n: n % 4 == 0),
    (["--schedule", "01900000-0000-7000-8000-00000000000b", "--status", "completed"],
     lambda n: n % 4 == 0 and n % 6 == 2),
    (["--status", "completed", "--type", "t2"], lambda n: n % 6 == 2),
    (["--status", "failed", "--queue", "mail"], lambda n: n % 6 == 3 and n % 5 == 0),
    (["--status", "pending", "--project", "default"], lambda n: n % 6 == 0),
    (["--status", "running", "--queue", "default"], lambda n: n % 6 == 1 and n % 5),
    (["--type", "nothing"], lambda n: False),
]


@pytest.mark.parametrize("status", STATUSES)
def test_list_by_status(many, status):
    assert listed(many, "--status", status) == \
        [n for n in reversed(range(JOBS)) if STATUSES[n % 6] == status]


@pytest.mark.parametrize("args, wanted", FILTERS, ids=[" ".join(a) or "all" for a, _ in FILTERS])
def test_list_filters(many, args, wanted):
    """Newest first; every combination lists exactly its jobs, and pages through them."""
    all_of_them = [n for n in reversed(range(JOBS)) if wanted(n)]
    assert listed(many, *args) == all_of_them
    paged = [int(job["external_id"][4:]) for offset in (0, 7) for job in
             many.cli("job", "list", "--json", "--limit", 7, "--offset", offset, *args).json()["items"]]
    assert paged == all_of_them[:14]


def test_show_by_either_id(many):
    by_external = many.cli("job", "show", "ext-7", "--json").json()
    by_id = many.cli("job", "show", by_external["id"], "--json").json()
    assert by_external == by_id
    columns = [c for c, in many.db.query(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'jobs'::regclass AND attnum > 0 "
        "AND NOT attisdropped ORDER BY attnum")]
    assert list(by_id) == columns + ["steps", "attempts"]
    # A UUID of another version is an external id like any other.
    other = str(uuid.uuid4())
    job_id = many.cli("job", "submit", "--type", "t", "--id", other).out.strip()
    assert many.cli("job", "show", other, "--json").json()["id"] == job_id
    assert many.cli("job", "show", str(uuid.uuid4()), check=False).code == 3


def test_numbers_stay_exact(jm_sql):
    params = '{"big": 123456789012345678901234567890, "tenth": 0.1, "large": 1e300, "zero": 1.00}'
    job_id = jm_sql.cli("job", "submit", "--type", "t", "--params", params).out.strip()
    shown = jm_sql.cli("job", "show", job_id, "--json").out
    for number in ("123456789012345678901234567890", "0.1", "1.00"):
        assert number in shown
    assert json.loads(shown)["params"]["large"] == 10 ** 300  # as jsonb writes it


def test_a_submission_wakes_relays_and_workers(jm_sql):
    """A job that needs a lock does not pass through Kafka: workers look for it at once."""
    with jm_sql.db.connect() as listener:
        heard = set()
        listener.add_notify_handler(lambda notice: heard.add(notice.payload))
        listener.execute("LISTEN jobmill")
        jm_sql.cli("job", "submit", "--type", "noop", "--exclusive", "mill")
        wait_until(lambda: listener.execute("SELECT 1") and heard == {"pending", "ready"}, 20,
                   what=lambda: f"both are woken, not only {heard}")


def test_submit_every_field(jm_sql):
    job_id = jm_sql.cli(
        "job", "submit", "--type", "t", "--queue", "mail", "--id", "mine", "--params", '{"a": [1]}',
        "--profile", "p", "--project", "default", "--priority", "7", "--key", "k",
        "--run-at", "2030-01-01T00:00:00Z", "--start-by", "2030-01-02T00:00:00+01:00",
        "--timeout-s", "5", "--max-attempts", "2", "--dedup-key", "d", "--metadata",
        '{"m": "ä", "n": null}').out.strip()
    job = jm_sql.db.job(job_id)
    assert (job["queue"], job["external_id"], job["profile"], job["priority"], job["ordering_key"],
            job["timeout_s"], job["max_attempts"], job["dedup_key"], job["submitted_by"][:4]) == \
        ("mail", "mine", "p", 7, "k", 5, 2, "d", "cli:")
    assert job["params"] == {"a": [1]} and job["metadata"] == {"m": "ä", "n": None}
    assert job["run_at"].isoformat() == "2030-01-01T00:00:00+00:00"
    assert job["start_by"].isoformat() == "2030-01-01T23:00:00+00:00"
    assert jm_sql.cli("job", "submit", "--type", "t", "--id", "mine", "--params", '{"a": [1]}'
                      ).out.strip() == job_id
    conflict = jm_sql.cli("job", "submit", "--type", "t", "--id", "mine", check=False)
    assert conflict.code == 2 and "id" in conflict.err


@pytest.mark.parametrize("args, said", [
    (["--params", "{"], "--params is not JSON"), (["--params", "[1]"], "JSON object"),
    (["--run-at", "tomorrow"], "RFC 3339"), (["--priority", "11"], "0 to 9"),
    (["--queue", "A B"], "queue"),
    (["--metadata", '{"a": {}}'], "metadata"), (["--params", '{"a": 1, "a": 2}'], "duplicate")])
def test_what_submit_refuses(jm_sql, args, said):
    done = jm_sql.cli("job", "submit", "--type", "t", *args, check=False)
    assert done.code == 2 and said in done.err and not done.out
    assert jm_sql.db.value("SELECT count(*) FROM jobs") == 0


def test_submit_to_a_project_that_is_not_there(jm_sql):
    done = jm_sql.cli("job", "submit", "--type", "t", "--project", "nobody", check=False)
    assert done.code == 3 and 'no project "nobody"' in done.err and not done.out


def test_wait(jm_sql):
    job_id = jm_sql.cli("job", "submit", "--type", "t").out.strip()
    late = jm_sql.cli("job", "wait", job_id, "--timeout", "0.3", check=False)
    assert late.code == 1 and "pending" in late.err
    for status, code in (("completed", 0), ("failed", 1), ("expired", 1)):
        jm_sql.db.execute("UPDATE jobs SET status = %s, error = 'why not' WHERE id = %s", status, job_id)
        done = jm_sql.cli("job", "wait", job_id, check=False)
        assert done.code == code and (code == 0 or f"{status}: why not" in done.err)


def test_logs_in_their_order_and_by_level(jm_sql):
    job_id = jm_sql.cli("job", "submit", "--type", "t").out.strip()
    for seq, (level, at) in enumerate((("INFO", 3), ("ERROR", 1), ("DEBUG", 2), ("WARNING", 4)), 1):
        jm_sql.db.execute("""INSERT INTO job_logs (job_id, attempt, seq, ts, level, message)
            VALUES (%s, 1, %s, '2026-01-01Z'::timestamptz + %s * interval '1 second', %s, %s)""",
                          job_id, seq, at, level, f"line {at}\x1b[31m")
    out = jm_sql.cli("job", "logs", job_id).out
    assert [line.split("line ")[1][0] for line in out.splitlines()] == ["3", "1", "2", "4"]
    assert "\x1b" not in out, "control characters do not reach the terminal"
    levels = [x["level"] for x in
              jm_sql.cli("job", "logs", job_id, "--level", "warning", "--json").json()["items"]]
    assert levels == ["ERROR", "WARNING"]


def test_a_long_log_is_read_in_pages(jm_sql):
    job_id = jm_sql.cli("job", "submit", "--type", "t").out.strip()
    jm_sql.db.execute("""INSERT INTO job_logs (job_id, attempt, seq, ts, level, message)
        SELECT %s, 1 + n / 2000, n, now(), 'INFO', 'line ' || n FROM generate_series(1, 2500) n""", job_id)
    messages = [f"line {n}" for n in range(1, 2501)]
    assert [x["message"] for x in jm_sql.cli("job", "logs", job_id, "--json").json()["items"]] == messages
    lines = jm_sql.cli("job", "logs", job_id, "--json=lines").out.splitlines()
    assert [json.loads(x)["message"] for x in lines] == messages
    assert [x.split("  ")[-1].strip() for x in jm_sql.cli("job", "logs", job_id).out.splitlines()] == messages


def test_plain_output_has_no_tabs_and_is_never_cut(many):
    many.db.execute("UPDATE jobs SET error = %s WHERE external_id = 'ext-3'", "long " * 200)
    out = many.cli("job", "list", "--limit", JOBS).out
    assert "\t" not in out and "\x1b" not in out and "long " * 199 in out
    assert len(out.splitlines()) == JOBS + 1


def test_dead_letters(jm_sql):
    for n, (value, reason) in enumerate(((b'{"typ":1}', "unknown_field"), (b"\xff\x00", "bad_json"))):
        jm_sql.db.execute("""INSERT INTO dead_letters (id, topic, partition, record_offset, key, value, reason)
            VALUES (uuid7(), 't', 0, %s, 'k', %s, %s)""", n, value, reason)
    items = jm_sql.cli("dead", "list", "--json").json()["items"]
    assert [x["reason"] for x in items] == ["bad_json", "unknown_field"] and "value" not in items[0]
    assert len(jm_sql.cli("dead", "list", "--reason", "bad_json", "--json").json()["items"]) == 1
    assert jm_sql.cli("dead", "show", items[0]["id"], "--json").json()["value"] == {"base64": "/wA="}
    assert '{"typ":1}' in jm_sql.cli("dead", "show", items[1]["id"]).out
    assert jm_sql.cli("dead", "show", str(uuid.uuid4()), check=False).code == 3
    assert jm_sql.cli("dead", "show", "x", check=False).code == 2


class CuttingProxy:
    """Passes a connection on to a server, and breaks it once: when the answer to what contains the
    word has come back, so that the server has done it and the client does not know."""

    def __init__(self, url, word):
        self.target = urlsplit(url)
        self.word = word
        self.cuts = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        self.url = urlunsplit(self.target._replace(
            netloc=f"{self.target.netloc.rpartition('@')[0]}@127.0.0.1:{port}"))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection((self.target.hostname, self.target.port))
            state = {"cut": False}
            for a, b, up in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(a, b, up, state), daemon=True).start()

    def _pass(self, a, b, up, state):
        try:
            while data := a.recv(65536):
                if up and self.word in data and not self.cuts:
                    self.cuts = 1
                    state["cut"] = True
                elif not up and state["cut"]:
                    break
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


@pytest.mark.parametrize("args", [[], ["--id", "mine"], ["--dedup-key", "d"]],
                         ids=["plain", "external id", "dedup key"])
def test_a_commit_nobody_heard_of_is_not_a_second_job(jm_sql, args):
    """The connection breaks after submit() has committed: the command goes on and finds its job."""
    proxy = CuttingProxy(jm_sql.database_url, b"submit_as")
    job_id = jm_sql.cli("job", "submit", "--type", "t", *args,
                        env={"JOBMILL_DATABASE_URL": proxy.url}).out.strip()
    proxy.close()
    assert proxy.cuts == 1
    assert [str(i) for i, in jm_sql.db.query("SELECT id FROM jobs")] == [job_id]


# doctor

def finding(stack, check, *args):
    """The findings of a check, and the exit code."""
    done = stack.cli("doctor", "--json", *args, check=False)
    found = [x for x in done.json()["items"] if x["check"] == check]
    assert found, done
    assert all(x["mend"] for x in found if x["state"] != "ok"), found
    return found, done.code


def test_doctor_missing_topic(jm):
    found, code = finding(jm, "topics", "--worker.queues=default,nowhere:2")
    assert code == 1
    assert [x["state"] for x in found] == ["wrong", "ok"] and "topics create nowhere" in found[0]["mend"]


def test_doctor_lapsed_worker_and_stuck_relay(jm):
    jm.db.execute("""INSERT INTO workers (id, kind, host, pid, version, lease_s, expires_at)
        VALUES (uuid7(), 'worker', 'far', 1, '0', 5, now() - interval '1 hour')""")
    found, code = finding(jm, "workers")
    assert code == 1 and found[0]["state"] == "wrong" and "far 1" in found[0]["message"]
    jm.db.execute("DELETE FROM workers")
    jm.cli("job", "submit", "--type", "t")
    jm.db.execute("UPDATE pending_jobs SET visible_at = now() - interval '1 hour'")
    found, code = finding(jm, "relay")
    assert code == 1 and found[0]["state"] == "wrong" and "3600 s" in found[0]["message"]


def test_doctor_schema_and_old_jobs_of_unknown_type(jm):
    jm.db.execute("""INSERT INTO pending_jobs (job_id, state, queue, type, project, visible_at)
        VALUES (uuid7(), 'ready', 'default', 'nobody', 'default', now() - interval '1 hour')""")
    found, _ = finding(jm, "types")
    assert found[0]["state"] == "warning" and "nobody" in found[0]["message"]
    found, code = finding(jm, "schema", "--database.schema=elsewhere")
    assert code == 1 and "schema init" in found[0]["message"]


def test_doctor_without_database(jm):
    found, code = finding(jm, "database", "--database.url=postgresql://x:s3cret@127.0.0.1:1/x")
    assert code == 1 and found[0]["state"] == "wrong" and "s3cret" not in str(found)


@pytest.mark.parametrize("metadata,said", [
    ({"k": {}}, "metadata.k must be a string, number, boolean or null"), ({"k": [1]}, "metadata.k must be"),
    ({"": 1}, "1 to 200 characters"), ({"ü" * 201: 1}, "1 to 200 characters")])
def test_an_update_takes_the_metadata_that_a_submission_takes(jm_sql, metadata, said):
    job_id = jm_sql.cli("job", "submit", "--type", "t", "--metadata", '{"a": 1}').out.strip()
    refused = jm_sql.cli("job", "update", job_id, "--metadata", json.dumps(metadata), check=False)
    assert refused.code == 2 and said in refused.err, refused
    jm_sql.cli("job", "update", job_id, "--metadata", json.dumps({"ü" * 200: None, "b": True}))
    assert jm_sql.db.job(job_id)["metadata"] == {"a": 1, "ü" * 200: None, "b": True}
