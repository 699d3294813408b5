"""sql steps from end to end, on the test's own database: bound values, rows, errors, timeouts, cancel, connections."""
import pytest

from lib.wait import wait_until


@pytest.fixture
def sql(jm):
    """Makes a type with one sql step on the test's database, whose address is a secret."""
    secrets = jm.dir / "secrets"
    secrets.mkdir()
    (secrets / "db").write_text(jm.database_url)
    (secrets / "db").chmod(0o600)
    jm.secrets = secrets

    def make(name, statement, *params, step=(), dsn="${secret:db}", sql=(), **more):
        return jm.job_type(name, {"name": "run", **dict(step), "sql": {
            "dsn": dsn, "statement": statement, "params": list(params), **dict(sql)}}, **more)
    return make


def start(jm, **config):
    return jm.start_worker(secrets_dir=jm.secrets, **config)


def jobs(jm):
    return {j["external_id"] or j["type"]: j for j in jm.db.rows("SELECT * FROM jobs")}


def test_values_are_bound(jm, sql):
    jm.db.query("CREATE TABLE public.orders (id int PRIMARY KEY, name text, details jsonb, note text)")
    sql("insert", "INSERT INTO public.orders VALUES ($1, $2, $3, $4)", "${params.id}", "${params.name}",
        "${params.details}", "${job.id}: ${params.id}", max_attempts=5)
    sql("select", "SELECT id, name, details, note IS NULL AS no_note FROM public.orders WHERE id >= $1 ORDER BY id",
        "${params.from}")
    sql("update", "UPDATE public.orders SET note = $1", None)
    sql("short", "UPDATE public.orders SET note = $1 WHERE id = $2", "note", max_attempts=5)
    start(jm)
    evil = "'; DROP TABLE public.orders; -- $1 ${params.id} \\ \" ü"
    jm.send({"type": "insert", "id": "a", "params": {"id": 1, "name": evil, "details": {"n": 12345678901234567890}}})
    jm.send({"type": "insert", "id": "b", "params": {"id": 2, "name": None, "details": [1, "x"]}})
    jm.wait_ended(2)
    assert jm.db.query("SELECT id, name, details FROM public.orders ORDER BY id") == [
        (1, evil, {"n": 12345678901234567890}), (2, None, [1, "x"])]
    assert jobs(jm)["a"]["result"] == {"rows_affected": 1}
    jm.send({"type": "insert", "id": "twice", "params": {"id": 1, "name": "", "details": 0}})
    jm.send({"type": "update", "id": "all"})
    jm.wait_ended(4)
    twice = jobs(jm)["twice"]
    assert (twice["status"], twice["attempt"]) == ("failed", 1)
    assert twice["error"] == ('SQLSTATE 23505: duplicate key value violates unique constraint "orders_pkey" '
                              "(Key (id)=(1) already exists.)")
    assert jobs(jm)["all"]["result"] == {"rows_affected": 2}
    jm.send({"type": "select", "id": "rows", "params": {"from": 1}}, {"type": "short", "id": "short"})
    jm.wait_ended(6)
    short = jobs(jm)["short"]
    assert (short["status"], short["attempt"]) == ("failed", 1) and "08P01" in short["error"]
    assert jobs(jm)["rows"]["result"] == {"row_count": 2, "rows": [
        {"id": 1, "name": evil, "details": {"n": 12345678901234567890}, "no_note": True},
        {"id": 2, "name": None, "details": [1, "x"], "no_note": True}]}
    jm.check()


def test_rows_are_capped(jm, sql):
    sql("many", "SELECT n FROM generate_series(1, 5000) n")
    sql("few", "SELECT n FROM generate_series(1, 5) n", sql={"max_rows": 2})
    sql("wide", "SELECT repeat('x', 200000) AS x FROM generate_series(1, 20)")
    sql("none", "SELECT 1 AS x WHERE false")
    start(jm)
    jm.send(*[{"type": t} for t in ("many", "few", "wide", "none")])
    jm.wait_ended(4)
    found = {name: job["result"] for name, job in jobs(jm).items()}
    assert (len(found["many"]["rows"]), found["many"]["row_count"], found["many"]["truncated"]) == (1000, 5000, True)
    assert found["few"] == {"rows": [{"n": 1}, {"n": 2}], "row_count": 5, "truncated": True}
    assert (len(found["wide"]["rows"]), found["wide"]["row_count"], found["wide"]["truncated"]) == (5, 20, True)
    assert found["none"] == {"rows": [], "row_count": 0}


def test_errors_by_their_class(jm, sql):
    """Serialization is tried again, a wrong statement is not; the state stands in the error."""
    jm.db.query("CREATE SEQUENCE public.tries")
    jm.db.query("CREATE FUNCTION public.flaky(state text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN "
                "IF nextval('public.tries') < 3 THEN RAISE EXCEPTION 'not yet' USING ERRCODE = state; END IF; "
                "RAISE NOTICE 'now it works'; RETURN currval('public.tries'); END $$")
    sql("flaky", "SELECT public.flaky('40001') AS tries", max_attempts=5, backoff={"initial_s": 0.1})
    sql("wrong", "SELECT nothing FROM nowhere", max_attempts=5)
    sql("data", "SELECT $1::int / 0", 1, max_attempts=5)
    sql("copy", "COPY (SELECT 1) TO STDOUT", max_attempts=5)
    sql("open", "BEGIN", max_attempts=5)
    sql("away", "SELECT 1", dsn="host=127.0.0.1 port=1 password=${secret:db}", max_attempts=2,
        backoff={"initial_s": 0.1})
    start(jm)
    jm.send(*[{"type": t} for t in ("flaky", "wrong", "data", "copy", "open", "away")])
    jm.wait_ended(6)
    ended = {name: (job["status"], job["attempt"], job["error"]) for name, job in jobs(jm).items()}
    assert ended["flaky"] == ("completed", 3, None)
    assert jobs(jm)["flaky"]["result"]["rows"] == [{"tries": 3}]
    assert jm.db.value("SELECT a.error FROM job_attempts a JOIN jobs j ON j.id = job_id WHERE type = 'flaky' "
                       "AND a.attempt = 1") == "SQLSTATE 40001: not yet"
    assert jm.db.value("SELECT level FROM job_logs WHERE message = 'now it works'") == "INFO"
    assert ended["wrong"] == ("failed", 1, 'SQLSTATE 42P01: relation "nowhere" does not exist')
    assert ended["data"] == ("failed", 1, "SQLSTATE 22012: division by zero")
    assert ended["copy"] == ("failed", 1, "COPY to or from the client cannot be a step")
    assert ended["open"] == ("failed", 1, "the statement left a transaction open: it was rolled back")
    assert ended["away"][:2] == ("failed", 2) and ended["away"][2].startswith("cannot connect: ")
    jm.check()


def sleepers(jm):
    return jm.db.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(%%' "
                       "AND state = 'active' AND datname = current_database()")


def test_timeout_and_cancel_reach_the_server(jm, sql):
    sql("slow", "SELECT pg_sleep($1)", 600, step={"timeout_s": 1}, max_attempts=1)
    sql("long", "SELECT pg_sleep($1)", 600)
    start(jm)
    jm.send({"type": "slow"})
    jm.wait_ended(1)
    slow = jobs(jm)["slow"]
    assert (slow["status"], slow["error"]) == ("failed", "timed out: the step took longer than 1 s")
    wait_until(lambda: sleepers(jm) == 0, 5, what="the statement has ended")
    jm.send({"type": "long"})
    wait_until(lambda: sleepers(jm) == 1, 20, what="the statement runs")
    job_id = str(jm.db.value("SELECT id FROM jobs WHERE type = 'long'"))
    jm.cli("job", "cancel", job_id)
    jm.wait_status(job_id, "cancelled", 10)
    wait_until(lambda: sleepers(jm) == 0, 5, what="the statement has ended")


def test_connections_are_kept_and_clean(jm, sql):
    sql("dirty", "SELECT pg_backend_pid() AS pid, set_config('jm.left', 'behind', false), pg_advisory_lock(7)")
    sql("look", "SELECT pg_backend_pid() AS pid, current_setting('jm.left', true) AS left, "
                "pg_try_advisory_lock(7) AS free, current_setting('application_name') AS name")
    start(jm, sql_connections=1)
    pids = set()
    for i in range(1, 4):
        jm.send({"type": "dirty"} if i % 2 else {"type": "look", "id": "look"})
        jm.wait_ended(i)
    looked = jobs(jm)["look"]["result"]["rows"][0]
    pids = {row[0] for row in jm.db.query("SELECT (result #>> '{rows,0,pid}')::int FROM jobs")}
    assert pids == {looked["pid"]}
    assert looked["left"] in ("", None) and looked["free"] is True and looked["name"] == "jobmill"
    # The server ends the idle session: the next job gets another, in its first attempt.
    assert jm.db.value("SELECT pg_terminate_backend(%s)", looked["pid"])
    wait_until(lambda: not jm.db.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", looked["pid"]), 10,
               what="the session has ended")
    jm.send({"type": "look", "id": "again"})
    jm.wait_ended(4)
    again = jobs(jm)["again"]
    assert (again["status"], again["attempt"]) == ("completed", 1)
    assert again["result"]["rows"][0]["pid"] != looked["pid"]


def test_many_share_few_connections(jm, sql):
    sql("count", "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'jobmill' "
                 "AND datname = current_database() AND query LIKE 'SELECT count(*) AS n FROM pg_stat%%'")
    start(jm, sql_connections=3)
    jm.send(*[{"type": "count"} for _ in range(200)])
    jm.wait_ended(200)
    assert jm.db.statuses() == {"completed": 200}
    assert 1 <= jm.db.value("SELECT max((result #>> '{rows,0,n}')::int) FROM jobs") <= 3
    jm.check()


def test_the_secret_stays_one(jm, sql):
    """A dsn whose secret is wrong or shows up in an answer: nothing of it is recorded."""
    (jm.secrets / "odd").write_text("no connection string: hunter2hunter2")
    (jm.secrets / "odd").chmod(0o600)
    sql("odd", "SELECT 1", dsn="${secret:odd}", max_attempts=1)
    sql("tell", "SELECT $1::text AS told", "${secret:odd}", max_attempts=1)
    sql("error", "SELECT $1::int", "${secret:odd}", max_attempts=1)
    worker = start(jm)
    jm.send(*[{"type": t} for t in ("odd", "tell", "error")])
    jm.wait_ended(3)
    assert jobs(jm)["odd"]["error"] == "the secret that is the dsn is no connection string"
    assert jobs(jm)["tell"]["result"]["rows"] == [{"told": "[secret]"}]
    assert jobs(jm)["error"]["status"] == "failed"
    for table in ("jobs", "job_steps", "job_logs", "job_attempts"):
        assert not jm.db.value(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%%hunter2%%'"), table
    assert "hunter2" not in worker.text()
