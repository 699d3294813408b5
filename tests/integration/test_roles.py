"""schema/roles.sql: each role can do its work and nothing else."""
import re
import subprocess
import uuid

import psycopg
import pytest

from lib.database import Db, apply_migrations
from lib.paths import SCHEMA

ROLES = ("producer", "worker", "submitter", "reader")
QUERIES = sorted((SCHEMA / "queries").glob("*.sql"))
WORKER = ("accept_", "start_", "record_", "lease_")
# Only the owner's: they lead to DDL, which no role of these may do.
OWNER = ("retention_",)


def psql(url, *arguments):
    return subprocess.run(["psql", "-X", "-q", "-d", url, *arguments], capture_output=True,
                          text=True, timeout=60)


class Roles:
    """The roles under names of their own (roles belong to the whole server), in one database."""

    def __init__(self, db):
        self.db = db
        self.names = {role: f"jmt_{role}_{uuid.uuid4().hex[:8]}" for role in ROLES}

    def run_script(self):
        variables = [f"-v{role}={name}" for role, name in self.names.items()]
        done = psql(self.db.url, *variables, "-f", str(SCHEMA / "roles.sql"))
        assert done.returncode == 0 and not done.stderr, done.stderr

    def connect(self, role):
        conn = self.db.connect()
        conn.execute(f'SET ROLE "{self.names[role]}"')
        return conn

    def drop(self):
        for name in self.names.values():
            self.db.execute(f'DROP OWNED BY "{name}"')
            self.db.execute(f'DROP ROLE "{name}"')


@pytest.fixture
def roles(db):
    made = Roles(db)
    made.run_script()
    yield made
    made.drop()


def explain(conn, path):
    """Starts and does not run the query: that is where PostgreSQL looks at rights."""
    conn.pgconn.exec_(b"DEALLOCATE ALL")
    conn.pgconn.prepare(b"q", path.read_text().encode())
    described = conn.pgconn.describe_prepared(b"q")
    assert described.status == psycopg.pq.ExecStatus.COMMAND_OK, described.error_message
    nulls = ", ".join(["NULL"] * described.nparams)
    conn.execute(f"EXPLAIN EXECUTE q({nulls})" if nulls else "EXPLAIN EXECUTE q", prepare=False)


def allowed(conn, sql):
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(sql)
        return True
    except psycopg.errors.InsufficientPrivilege:
        return False


@pytest.mark.parametrize("role", ["worker", "producer"])
def test_has_the_rights_for_its_queries(roles, role):
    mine = [p for p in QUERIES if p.name.startswith(WORKER) == (role == "worker")
            and not p.name.startswith(OWNER)]
    assert mine
    with roles.connect(role) as conn:
        for path in mine:
            try:
                explain(conn, path)
            except psycopg.errors.InsufficientPrivilege as e:
                pytest.fail(f"{path.name}: {e}")


def test_it_can_be_repeated(roles):
    roles.run_script()


def test_none_owns_anything(roles):
    assert roles.db.value(
        "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner "
        "WHERE r.rolname = ANY (%s)", list(roles.names.values())) == 0


def test_a_submitter_submits_and_sees_nothing(roles):
    with roles.connect("submitter") as conn:
        job_id = conn.execute("SELECT submit('noop', '{\"a\":1}')").fetchone()[0]
        for table in ("jobs", "pending_jobs", "projects", "dedup_keys"):
            assert not allowed(conn, f"SELECT * FROM {table}")
        assert not allowed(conn, "INSERT INTO jobs (id, type) VALUES (uuid7(), 'noop')")
        assert not allowed(conn, "SELECT submit_as('somebody', 'noop')")
        assert not allowed(conn, "SELECT submit_insert(uuid7(), null, 'default', 'noop', '{}', '{}', "
                                 "null, null, 'x', null)")
        assert not allowed(conn, "SELECT partition_ensure(now(), now())")
    assert roles.db.job(job_id)["params"] == {"a": 1}


def test_a_submitter_can_need_a_new_partition(roles):
    with roles.connect("submitter") as conn:
        conn.execute("SELECT submit('noop', '{}', "
                     "'{\"id\":\"018bcfe5-6800-7000-8000-000000000001\"}')")
    assert roles.db.value("SELECT count(*) FROM jobs") == 1


def test_temporary_tables_do_not_mislead_the_owner(roles):
    """A function that runs with the owner's rights must not read the caller's tables."""
    with roles.connect("submitter") as conn:
        conn.execute("CREATE TEMP TABLE projects (name text)")
        conn.execute("INSERT INTO projects VALUES ('forged')")
        conn.execute("CREATE TEMP TABLE jobs (LIKE projects)")
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            conn.execute("SELECT jobmill.submit('noop', '{}', '{\"project\":\"forged\"}')")
        conn.execute("SELECT jobmill.submit('noop')")
    assert roles.db.value("SELECT count(*) FROM jobmill.jobs") == 1
    unsafe = roles.db.query(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'jobmill'::regnamespace "
        "AND prosecdef AND NOT coalesce(proconfig::text ~ 'search_path=[^,]+, pg_temp\\y', false)")
    assert unsafe == []


def test_a_reader_reads_and_writes_nothing(roles):
    tables = [t for (t,) in roles.db.query(
        "SELECT relname FROM pg_class WHERE relnamespace = 'jobmill'::regnamespace "
        "AND relkind IN ('r', 'p') AND NOT relispartition")]
    assert len(tables) > 15
    with roles.connect("reader") as conn:
        for table in tables:
            assert allowed(conn, f"SELECT * FROM {table}") == (table not in ("api_keys", "request_replays"))
            assert not allowed(conn, f"DELETE FROM {table}")
        assert allowed(conn, "SELECT name, prefix, last_used_at FROM api_keys")
        assert not allowed(conn, "SELECT hash FROM api_keys")
        assert not allowed(conn, "SELECT submit('noop')")
        assert not allowed(conn, "SELECT partition_ensure(now(), now())")


def test_nobody_changes_the_audit_log(roles):
    for role in ROLES:
        with roles.connect(role) as conn:
            assert not allowed(conn, "DELETE FROM audit_log")
            assert not allowed(conn, "UPDATE audit_log SET actor = 'x'")
            assert allowed(conn, "INSERT INTO audit_log (object, object_id, action, actor, source)"
                                 " VALUES ('x', 'x', 'x', 'x', 'x')") == (role == "producer")


def test_no_key_is_seen_where_none_is_needed(roles):
    for role in ("worker", "submitter"):
        with roles.connect(role) as conn:
            assert not allowed(conn, "SELECT name FROM api_keys")


def test_a_worker_cannot_rewrite_history(roles):
    with roles.connect("worker") as conn:
        for sql in ("DELETE FROM jobs", "DELETE FROM job_steps", "DELETE FROM job_logs",
                    "UPDATE projects SET name = 'x'", "DELETE FROM schedules",
                    "UPDATE schedules SET enabled = false", "SELECT * FROM schedules",
                    "DELETE FROM dead_letters", "UPDATE retention SET dropped_before = now()",
                    "TRUNCATE pending_jobs", "DROP TABLE jobs", "ALTER TABLE jobs ADD x integer",
                    "CREATE TABLE jobmill.mine (x integer)", "SELECT submit('noop')"):
            assert not allowed(conn, sql), sql
        assert allowed(conn, "SELECT partition_ensure(now(), now())")


def test_a_producer_changes_no_table(roles):
    with roles.connect("producer") as conn:
        for sql in ("DROP TABLE jobs", "ALTER TABLE jobs ADD x integer", "TRUNCATE jobs",
                    "INSERT INTO schema_migrations VALUES (99, 'x', '9')",
                    "CREATE TABLE jobmill.mine (x integer)"):
            assert not allowed(conn, sql), sql
        assert allowed(conn, "SELECT submit_as('api', 'noop')")


def test_no_function_is_open_to_everybody_that_writes(db):
    open_to_all = {name for (name,) in db.query(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'jobmill'::regnamespace "
        "AND has_function_privilege('public', oid, 'EXECUTE')")}
    assert not {n for n in open_to_all if re.match("submit$|submit_as|submit_insert|partition_", n)}


def test_in_another_schema(empty_db_url):
    apply_migrations(empty_db_url, "jobs")
    db = Db(empty_db_url, "jobs")
    made = Roles(db)
    try:
        variables = [f"-v{role}={name}" for role, name in made.names.items()]
        done = psql(db.url, "-vschema=jobs", *variables, "-f", str(SCHEMA / "roles.sql"))
        assert done.returncode == 0, done.stderr
        with made.connect("submitter") as conn:
            conn.execute("RESET search_path")
            conn.execute("SELECT jobs.submit('noop')")
        assert db.value("SELECT count(*) FROM jobs") == 1
        made.drop()
    finally:
        db.close()
