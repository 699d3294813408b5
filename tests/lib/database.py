"""A database of a test's own, copied from a migrated template."""
import fcntl
import os
import subprocess
import uuid
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.rows import dict_row

from lib.paths import SCHEMA, bin_dir


def with_name(url, name):
    """The same server's URL for another database."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path="/" + name))


def name_of(url):
    return urlsplit(url).path[1:]


class Db:
    """Short queries for tests. Every call is a transaction of its own; it reconnects by itself."""

    def __init__(self, url, schema="jobmill"):
        self.url = url
        self.schema = schema
        self._conn = None

    def connect(self, **options):
        """A new connection that the caller closes, with the search path set."""
        conn = psycopg.connect(self.url, autocommit=True, connect_timeout=5,
                               options=f"-c search_path={self.schema},public", **options)
        return conn

    def _live(self):
        if self._conn is None or self._conn.closed:
            self._conn = self.connect()
        return self._conn

    def close(self):
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def query(self, sql, *args):
        """Rows as tuples."""
        for again in (True, False):  # the connection may be one from before a restart
            try:
                cur = self._live().execute(sql, args or None)
                return cur.fetchall() if cur.description else []
            except psycopg.OperationalError:
                self.close()
                if not again:
                    raise
        return []

    execute = query

    def rows(self, sql, *args):
        """Rows as dicts."""
        with self._live().cursor(row_factory=dict_row) as cur:
            cur.execute(sql, args or None)
            return cur.fetchall()

    def one(self, sql, *args):
        rows = self.query(sql, *args)
        return rows[0] if rows else None

    def value(self, sql, *args):
        row = self.one(sql, *args)
        return row[0] if row else None

    def job(self, job_id):
        rows = self.rows("SELECT * FROM jobs WHERE id = %s", job_id)
        return rows[0] if rows else None

    def statuses(self, where="true", *args):
        """{status: how many jobs}."""
        return dict(self.query(f"SELECT status, count(*) FROM jobs WHERE {where} GROUP BY 1",
                               *args))

    def ended(self, where="true", *args):
        return self.value("SELECT count(*) FROM jobs WHERE status IN "
                          f"('completed','failed','cancelled','expired') AND {where}", *args)


def apply_migrations(url, schema="jobmill"):
    """What `jobmill schema init` does, for tests of the SQL alone before the programs are built."""
    with psycopg.connect(url) as conn:
        conn.execute(f"CREATE SCHEMA {schema}")
        conn.execute(f"SET search_path = {schema}")
        conn.execute("CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT "
                     "NULL, min_program_version text NOT NULL, applied_at timestamptz NOT NULL "
                     "DEFAULT clock_timestamp())")
        for path in sorted((SCHEMA / "migrations").glob("*.sql")):
            conn.execute(path.read_text())
            conn.execute("INSERT INTO schema_migrations (version, name, min_program_version) "
                         "VALUES (%s, %s, '0.1.0')", (int(path.name[:4]), path.stem))


def migrate(url):
    program = bin_dir() / "jobmill"
    if program.exists():
        env = dict(os.environ, JOBMILL_DATABASE_URL=url)
        done = subprocess.run([program, "schema", "init"], env=env, capture_output=True, text=True,
                              timeout=120)
        if done.returncode:
            raise RuntimeError(f"schema init: {done.returncode}\n{done.stdout}{done.stderr}")
    else:
        apply_migrations(url)


class Server:
    """Makes databases on one server; the template is migrated once for all pytest processes."""

    def __init__(self, url, lock_dir):
        self.url = url
        self.lock_dir = lock_dir
        self.run = os.environ.get("JOBMILL_TEST_RUN", "x")

    def _admin(self):
        return psycopg.connect(self.url, autocommit=True, connect_timeout=10)

    def template(self):
        name = f"jmt_{self.run}_template"
        with open(os.path.join(self.lock_dir, "template.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with self._admin() as conn:
                if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate",
                                (name,)).fetchone():
                    return name
                conn.execute(f'DROP DATABASE IF EXISTS "{name}"')
                conn.execute(f'CREATE DATABASE "{name}"')
            migrate(with_name(self.url, name))
            with self._admin() as conn:
                conn.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE true')
        return name

    def create(self, template=None):
        """A copy of a database, by its name: without one, of the migrated template. Returns its URL."""
        name = f"jmt_{self.run}_{uuid.uuid4().hex[:10]}"
        template = template or self.template()
        with self._admin() as conn:
            conn.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return with_name(self.url, name)

    def drop(self, url):
        name = name_of(url)
        with self._admin() as conn:
            conn.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def drop_run(self):
        """Everything this run made, the template too."""
        with self._admin() as conn:
            names = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE %s",
                                 (f"jmt_{self.run}_%",)).fetchall()
            for (name,) in names:
                conn.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE false')
                conn.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
