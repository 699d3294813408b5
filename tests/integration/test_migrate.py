"""The schema's versions: an empty database is migrated, by one of many; a schema that a program
cannot run on is refused with a word on what to do."""
import pytest

from lib.database import Db
from lib.paths import SCHEMA

FILES = sorted(int(path.name[:4]) for path in (SCHEMA / "migrations").glob("*.sql"))


@pytest.fixture
def empty(make_stack, empty_db_url):
    stack = make_stack(empty_db_url, None)
    yield stack
    stack.finish()


def versions(db):
    return [v for v, in db.query("SELECT version FROM jobmill.schema_migrations ORDER BY 1")]


def test_init_and_status(empty):
    assert empty.cli("schema", "status", check=False).code != 0
    empty.cli("schema", "init")
    db = Db(empty.database_url)
    first = versions(db)
    assert first and first == FILES
    assert db.value("SELECT count(*) FROM projects WHERE name = 'default'") == 1
    assert empty.cli("schema", "status").code == 0
    empty.cli("schema", "init")
    empty.cli("schema", "migrate")
    assert versions(db) == first
    db.close()


def test_schema_of_another_name(empty):
    empty.cli("schema", "init", "--database.schema=other")
    db = Db(empty.database_url, schema="other")
    assert db.value("SELECT count(*) FROM other.projects") == 1
    assert db.value("SELECT to_regnamespace('jobmill')") is None
    db.close()


def test_reset_asks(empty):
    empty.cli("schema", "init")
    db = Db(empty.database_url)
    db.execute("INSERT INTO projects (name) VALUES ('mine')")
    assert empty.cli("schema", "reset", check=False, stdin="").code != 0
    assert db.value("SELECT count(*) FROM projects WHERE name = 'mine'") == 1
    empty.cli("schema", "reset", "--yes")
    assert db.value("SELECT count(*) FROM projects WHERE name = 'mine'") == 0
    db.close()


def test_five_programs_at_once(empty):
    """Five that find it empty: one migrates, the others wait, all succeed."""
    import subprocess
    from lib.paths import bin_dir
    runs = [subprocess.Popen([bin_dir() / "jobmill", "schema", "init"], env=empty.env(),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(5)]
    said = [(run.communicate(timeout=60)[0], run.returncode) for run in runs]
    assert [code for _, code in said] == [0] * 5, said
    db = Db(empty.database_url)
    assert versions(db) == FILES
    db.close()


def test_daemons_migrate_an_empty_database(make_stack, empty_db_url, bootstrap):
    stack = make_stack(empty_db_url, bootstrap)
    stack.topic()
    worker = stack.start_worker(wait=False)
    producer = stack.start_producer(wait=False)
    worker.wait_log("ready")
    producer.wait_log("ready")
    stack.send({"type": "noop"})
    stack.wait_ended(1)
    stack.check()
    stack.finish()


@pytest.mark.parametrize("how", ["newer", "same version"])
@pytest.mark.parametrize("program", ["jobmill-worker", "jobmill-producer"])
def test_too_new_is_refused(jm, program, how):
    if how == "newer":
        jm.db.execute("INSERT INTO schema_migrations (version, name, min_program_version) "
                      "VALUES (9000, 'of the future', '99.0.0')")
    else:
        jm.db.execute("UPDATE schema_migrations SET min_program_version = '99.0.0' "
                      "WHERE version = (SELECT max(version) FROM schema_migrations)")
    start = jm.start_worker if program == "jobmill-worker" else jm.start_producer
    started = start(wait=False)
    assert started.wait(20) not in (0, None)
    assert started.text().count("needs jobmill 99.0.0") == 1


def test_newer_but_still_supported_runs(jm):
    jm.db.execute("INSERT INTO schema_migrations (version, name, min_program_version) "
                  "VALUES (9000, 'of the future', '0.1.0')")
    jm.start_worker()
    jm.send({"type": "noop"})
    jm.wait_ended(1)


def test_behind_without_auto_migrate_is_refused(jm):
    jm.db.execute("DELETE FROM schema_migrations WHERE version = "
                  "(SELECT max(version) FROM schema_migrations)")
    started = jm.start_worker("--database.auto_migrate=false", wait=False)
    assert started.wait(20) not in (0, None)
    assert "migrate" in started.text()


def test_unsafe_database_is_refused(private_postgres, make_stack, bootstrap):
    """synchronous_commit=off breaks the promises: refused unless told otherwise."""
    from lib.database import Server
    url = Server(private_postgres.url, private_postgres.dir).create()
    stack = make_stack(url, bootstrap)
    stack.topic()
    name = url.rsplit("/", 1)[1]
    stack.db.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    refused = stack.start_worker(wait=False)
    assert refused.wait(20) not in (0, None)
    assert "synchronous_commit" in refused.text()
    stack.start_worker("--database.allow_unsafe=true")
    stack.finish()
