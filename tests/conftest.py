"""Fixtures: real servers for the whole run, and for each test a database, topics, a directory and
programs of its own. See lib/stack.py for what a test can do with them."""
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import procs  # noqa: E402
from lib.database import Server  # noqa: E402
from lib.paths import bin_dir  # noqa: E402
from lib.servers import Kafka, Postgres, kafka_available, pg_bin  # noqa: E402
from lib.stack import Stack, is_ci  # noqa: E402
from lib.wait import wait_until as wait_until_  # noqa: E402

NO_KAFKA = "no Kafka broker"
SHARED_MEMORY = pathlib.Path("/dev/shm")
SHARED_MEMORY_ROOM = 8 << 30


def pytest_addoption(parser):
    parser.addoption("--count", type=int, default=None,
                     help="rounds of each chaos test (default: JOBMILL_CHAOS_COUNT, else 1)")


def _is_worker(config):
    return hasattr(config, "workerinput")


def pytest_configure(config):
    config.addinivalue_line("markers", "tsan: also run against the ThreadSanitizer build")
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    if _is_worker(config) or config.option.collectonly:
        return
    # Where a script runs this in the background SIGINT is ignored, which whatever the tests start would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("JOBMILL_TEST_RUN", uuid.uuid4().hex[:6])
    config._jm_dir = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-tests-"))
    config._jm_dir.chmod(0o755)
    config._jm_servers = []
    os.environ["JOBMILL_TEST_DIR"] = str(config._jm_dir)
    _start_servers(config)


def _postgres_directory(config):
    """In memory if there is room: a database for each test costs a disk a thousand files."""
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free < SHARED_MEMORY_ROOM:
        return config._jm_dir / "postgres"
    path = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-tests-", dir=SHARED_MEMORY))
    path.chmod(0o755)
    return path


def _start_servers(config):
    """Once for all processes of the run: they inherit the environment."""
    if not os.environ.get("JOBMILL_DATABASE_URL") and pg_bin():
        postgres = Postgres(_postgres_directory(config)).create()
        config._jm_servers.append(postgres)
        postgres.start()
        os.environ["JOBMILL_DATABASE_URL"] = postgres.url
    if not os.environ.get("JOBMILL_KAFKA_BOOTSTRAP_SERVERS") and kafka_available():
        kafka = Kafka(config._jm_dir / "kafka").create()
        config._jm_servers.append(kafka)
        kafka.start()
        os.environ["JOBMILL_KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap


def pytest_unconfigure(config):
    if not hasattr(config, "_jm_dir"):
        return
    if not config._jm_servers and os.environ.get("JOBMILL_DATABASE_URL"):
        try:
            Server(os.environ["JOBMILL_DATABASE_URL"], config._jm_dir).drop_run()
        except Exception as e:  # the run's verdict stands; say what is left
            print(f"databases of this run are left: {e}")
    for server in config._jm_servers:
        server.destroy()
    shutil.rmtree(config._jm_dir, ignore_errors=True)


def _missing(what):
    if is_ci():
        pytest.fail(what)
    pytest.skip(what)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for stack in getattr(item, "_jm_stacks", []):
            for name, text in stack.logs():
                report.sections.append((f"log of {name}", text))


# Servers

@pytest.fixture(scope="session")
def database_server():
    url = os.environ.get("JOBMILL_DATABASE_URL")
    if not url:
        _missing("no PostgreSQL")
    return Server(url, os.environ["JOBMILL_TEST_DIR"])


@pytest.fixture(scope="session")
def bootstrap():
    servers = os.environ.get("JOBMILL_KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        _missing(NO_KAFKA)
    return servers


@pytest.fixture
def private_postgres():
    """A server that the test may stop, freeze and restart."""
    if not pg_bin():
        _missing("no PostgreSQL")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir=os.environ["JOBMILL_TEST_DIR"]))
    postgres = Postgres(directory).create().start()
    yield postgres
    postgres.destroy()


@pytest.fixture
def private_kafka():
    """A broker that the test may stop, freeze and restart."""
    if not kafka_available():
        _missing(NO_KAFKA)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="kafka-", dir=os.environ["JOBMILL_TEST_DIR"]))
    kafka = Kafka(directory).create().start()
    yield kafka
    kafka.destroy()


# What a test works with

@pytest.fixture
def tmp():
    path = pathlib.Path(tempfile.mkdtemp(prefix="t-", dir=os.environ["JOBMILL_TEST_DIR"]))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def no_process_left():
    """Whatever the test starts, also through others, has ended when it ends."""
    procs.become_subreaper()
    before = set(procs.children())
    yield

    def none_left():
        procs.reap()
        left = {pid: name for pid, name in procs.children().items()
                if pid not in before and name not in ("postgres", "java")}
        assert not left, f"processes left behind: {left}"
        return True
    wait_until_(none_left, 15)


@pytest.fixture
def make_stack(request, tmp, no_process_left):
    """Makes a Stack on given servers: make_stack(database_url, bootstrap)."""
    request.node._jm_stacks = []

    def make(database_url=None, bootstrap=None):
        directory = tmp / f"s{len(request.node._jm_stacks)}"
        directory.mkdir()
        stack = Stack(directory, database_url, bootstrap)
        request.node._jm_stacks.append(stack)
        return stack
    yield make
    wrong = [w for stack in request.node._jm_stacks for w in stack.finish()]
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def empty_db_url(database_server):
    """A database without our schema."""
    url = database_server.create("template1")
    yield url
    database_server.drop(url)


@pytest.fixture
def db_url(database_server):
    url = database_server.create()
    yield url
    database_server.drop(url)


@pytest.fixture
def jm(make_stack, db_url, bootstrap):
    """The usual: shared servers, a migrated database, the topic of the default queue."""
    stack = make_stack(db_url, bootstrap)
    stack.topic()
    yield stack
    # Ends here, before its database is dropped.
    wrong = stack.finish()
    stack.kafka.delete()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def jm_sql(make_stack, db_url):
    """As jm without Kafka."""
    stack = make_stack(db_url, None)
    yield stack
    wrong = stack.finish()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def jm_pg(private_postgres, make_stack, bootstrap):
    """As jm on a PostgreSQL of its own: jm_pg.postgres may be stopped, frozen, restarted."""
    server = Server(private_postgres.url, private_postgres.dir)
    stack = make_stack(server.create(), bootstrap)
    stack.postgres = private_postgres
    stack.topic()
    yield stack
    wrong = stack.finish()
    stack.kafka.delete()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def jm_kafka(private_kafka, make_stack, db_url):
    """As jm on a broker of its own: jm_kafka.broker may be stopped, frozen, restarted."""
    stack = make_stack(db_url, private_kafka.bootstrap)
    stack.broker = private_kafka
    stack.topic()
    yield stack
    wrong = stack.finish()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def db(db_url):
    """A migrated database; lib.database.Db."""
    from lib.database import Db
    database = Db(db_url)
    yield database
    database.close()


@pytest.fixture
def prefix(jm):
    return jm.prefix


@pytest.fixture
def topic(jm):
    return jm.topic


@pytest.fixture
def cli(jm):
    return jm.cli


@pytest.fixture
def start_worker(jm):
    return jm.start_worker


@pytest.fixture
def start_producer(jm):
    return jm.start_producer


@pytest.fixture
def wait_until():
    return wait_until_


SLOW_FIRST = ("test_explain", "test_cron_fires")


def pytest_collection_modifyitems(config, items):
    """The long ones first. Without the programs only tests that need none can run; in CI that is a
    failure."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in SLOW_FIRST))
    if (bin_dir() / "jobmill-worker").exists() or is_ci():
        return
    skip = pytest.mark.skip(reason="programs are not built")
    for item in items:
        if {"jm", "make_stack"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(skip)
