"""At 1,000,000 jobs in 100 weekly partitions every statement that touches history finds it by an
index, in the partitions that it needs. The statements of the hot path are planned as the worker does
(generic plans) while every partition is still empty, and keep those plans through the load."""
import json
import re
import time

import psycopg
import pytest

from lib.paths import SCHEMA

pytestmark = pytest.mark.xdist_group("explain")  # one load for all of them

QUERIES = {p.stem: p.read_text() for p in sorted((SCHEMA / "queries").glob("*.sql"))}
# As schema/embed.cmake makes them: how many rows a list has.
QUERIES |= {f"{name}_count": f"SELECT count(*) FROM (\n{text}\n) counted" for name, text in QUERIES.items()
            if re.search(r"OFFSET \$\d+::bigint\s*$", text)}
HISTORY = re.compile(r"\b(jobs|job_steps|job_logs|job_attempts|job_metadata)\b")
PARTITION = re.compile(r"^(jobs|job_steps|job_logs|job_attempts|job_metadata)_\d{8}$")
WEEKS, PER_WEEK, BATCH = 100, 10000, 500
WORKER = "01900000-0000-7000-8000-00000000000a"

# As common/pg.c sets them for connections of the hot path.
HOT_PATH = ("SET enable_seqscan = off", "SET plan_cache_mode = force_generic_plan", "SET jit = off",
            "SET enable_nestloop = off", "SET cpu_operator_cost = 0.00001")
# Functions of the hot path that read history in statements of their own: $1 ids, $2 and $3 their bounds.
FUNCTIONS = {"locks_release": "SELECT locks_release(%(ids)s::uuid[], %(lo)s::uuid, %(hi)s::uuid)",
             "job_backfilled": "SELECT job_backfilled(%(lo)s::uuid)"}


def code(text):
    return re.sub(r"--[^\n]*", "", text)


def is_hot(name):
    return name.split("_")[0] in ("accept", "start", "record", "relay", "submit", "lease",
                                  "scheduler", "rescue", "janitor", "producer")


NAMES = [n for n, text in QUERIES.items() if HISTORY.search(code(text))]
# Deletes nearly all that is between its bounds: reading that whole is as good as by an index.
WHOLE = ("cleanup_delete",)


def load(conn):
    """WEEKS × PER_WEEK jobs, most completed, some failed, the newest of one worker running; a step
    for each job of the newest weeks."""
    conn.execute(f"""
        INSERT INTO jobs (id, type, queue, project, status, outcome, attempt, worker_id, schedule_id,
            external_id, created_at, started_at, completed_at, updated_at, submitted_by)
        SELECT overlay(overlay(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
                || md5(w || '.' || i) PLACING '7' FROM 13) PLACING '8' FROM 17)::char(32)::uuid,
            'type' || i % 20, 'default', 'default',
            CASE WHEN w = 1 THEN 'running' WHEN i % 50 = 0 THEN 'failed' ELSE 'completed' END,
            CASE WHEN w > 1 AND i % 50 = 0 THEN 'failed' END, 1,
            CASE WHEN w = 1 THEN '{WORKER}'::uuid END,
            CASE WHEN i % 10 = 0 THEN '01900000-0000-7000-8000-00000000000b'::uuid END,
            CASE WHEN i % 100 = 0 THEN 'ext' || i END, at, at,
            CASE WHEN w > 1 THEN at END, at, 'kafka'
        FROM generate_series(1, {WEEKS}) w, generate_series(1, {PER_WEEK}) i,
            LATERAL (SELECT date_trunc('week', clock_timestamp() - w * interval '7 days')
                + i * interval '10 seconds' AS at) t""")
    for table, columns, values in (
            ("job_steps", "seq, name, status", "1, 'run', 'success'"),
            ("job_logs", "seq, ts, level, message", "1, now(), 'INFO', 'm'"),
            ("job_attempts", "outcome", "'failed'")):
        conn.execute(f"INSERT INTO {table} (job_id, attempt, {columns}) SELECT id, 2, {values} "
                     f"FROM jobs WHERE id > uuid7_floor(clock_timestamp() - interval '30 days')")


class Prepared:
    """One connection with every statement prepared and planned on empty partitions."""

    def __init__(self, url, hot):
        self.conn = psycopg.connect(url, autocommit=True, options="-c search_path=jobmill")
        self.conn.execute("SET synchronous_commit = off")
        self.ids = ["01900000-0000-7000-8000-000000000001"]
        for setting in HOT_PATH if hot else ():
            self.conn.execute(setting)
        for name in NAMES:
            if is_hot(name) == hot:
                self.conn.execute(f"PREPARE {name} AS {QUERIES[name]}")
                self.explain(name)
        self.conn.execute("LOAD 'auto_explain'")
        self.conn.execute("SET auto_explain.log_nested_statements = on")
        self.conn.execute("SET auto_explain.log_format = json")
        self.conn.execute("SET auto_explain.log_level = notice")
        for name in FUNCTIONS:
            self.explain_inside(name)

    def explain_inside(self, name):
        """The plans of the statements within a function."""
        plans = []
        values = {"ids": self.ids, "lo": min(self.ids), "hi": max(self.ids)}

        def take(diag):
            found = re.search(r"plan:\s*(\{.*)", diag.message_primary, re.S)
            if found:
                plans.append(json.loads(found.group(1))["Plan"])
        self.conn.add_notice_handler(take)
        self.conn.execute("SET auto_explain.log_min_duration = 0")
        self.conn.execute(FUNCTIONS[name], values)
        self.conn.execute("SET auto_explain.log_min_duration = -1")
        self.conn.remove_notice_handler(take)
        return plans

    def explain(self, name, analyze=False):
        types, = self.conn.execute("SELECT parameter_types::text[] FROM pg_prepared_statements "
                                   "WHERE name = %s", (name,)).fetchone()
        args = ", ".join(argument(QUERIES[name], i, t, self.ids) for i, t in enumerate(types, 1))
        execute = f"EXECUTE {name}({args})" if types else f"EXECUTE {name}"
        with self.conn.transaction(force_rollback=True):
            row = self.conn.execute(f"EXPLAIN (FORMAT JSON{', ANALYZE' if analyze else ''}) "
                                    f"{execute}").fetchone()
        return row[0][0]


def said(text, number):
    """What the head of a query says about a parameter."""
    head = " ".join(line.lstrip("- ") for line in text.splitlines() if line.startswith("--"))
    found = re.search(rf"\${number}\b(.*?)(?:[,;:.]|\$\d|$)", head)
    if not found:
        return ""
    groups = re.findall(r"of each (\w+)", head[:found.start()])
    return (groups[-1] + " " if groups else "") + found.group(1).lower()


def argument(text, number, kind, ids):
    """A value of that type that makes sense for what the query says the parameter is."""
    about = said(text, number)
    base = kind.removesuffix("[]")
    if base == "uuid" and "worker" in about:
        value = WORKER
    elif base == "uuid" and re.search(r"smallest|lowest|least|from", about):
        value = min(ids)
    elif base == "uuid" and re.search(r"largest|highest|greatest", about):
        value = max(ids)
    elif base == "uuid":
        value = None
    elif base == "jsonb":
        value = "{}"
    elif base.startswith("timestamp"):
        value = "2026-01-01Z" if "before" in about else "now"
    elif base in ("boolean", "bool"):
        value = "true"
    elif base in ("integer", "smallint", "bigint", "double precision", "numeric"):
        value = "50" if re.search(r"many|limit|most|rows", about) else "1"
    elif base == "bytea":
        value = "x"
    elif base == "interval":
        value = "1 day"
    else:
        value = next((v for word, v in (
            ("level", "INFO"), ("step status", "success"), ("step  status", "success"),
            ("outcome", "failed"), ("status", "completed"),
            ("project", "default"), ("queue", "default"), ("type", "type1"), ("state", "ready"))
            if word in about), "default")
    if kind.endswith("[]"):
        many = ids if value is None else [value] * len(ids)
        return "'{" + ",".join('"%s"' % m.replace('"', '\\"') for m in many) + f"}}'::{kind}"
    return f"'{ids[len(ids) // 2] if value is None else value}'::{kind}"


@pytest.fixture(scope="module")
def loaded(database_server):
    url = database_server.create()
    started = time.monotonic()
    with psycopg.connect(url, autocommit=True, options="-c search_path=jobmill") as conn:
        conn.execute("SET synchronous_commit = off")
        conn.execute(f"SELECT partition_ensure(clock_timestamp() - interval '{WEEKS + 1} weeks', "
                     "clock_timestamp())")
        hot, cold = Prepared(url, True), Prepared(url, False)
        load(conn)
        assert conn.execute("SELECT count(*) FROM jobs").fetchone()[0] == WEEKS * PER_WEEK
        ids = [str(i) for i, in conn.execute(
            "SELECT id FROM jobs WHERE worker_id IS NOT NULL ORDER BY id LIMIT %s", (BATCH,))]
        hot.ids = ids
        # Few enough that a partition of this size is not as well read whole.
        cold.ids = ids[:BATCH // 10]
        # Listings are planned with statistics, as autovacuum would have them by now.
        print(f"loaded in {time.monotonic() - started:.1f} s")
    yield {True: hot, False: cold}
    hot.conn.close()
    cold.conn.close()
    database_server.drop(url)


def nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def bad_scans(plan):
    """Nodes that read a partition of history other than by an index condition."""
    found = []
    for node in nodes(plan):
        if not PARTITION.match(node.get("Relation Name", "")):
            continue
        kind = node["Node Type"]
        if kind in ("Seq Scan", "Sample Scan"):
            found.append(f"{kind} on {node['Relation Name']}")
        elif kind in ("Index Scan", "Index Only Scan") and "Index Cond" not in node and \
                not limited(plan, node):
            found.append(f"whole {node['Index Name']} read")
        elif re.search(r"\bid = ANY", node.get("Filter", "")):
            # From the lowest id of a batch to the highest: with one old job in it, most of the table.
            found.append(f"{node['Index Name']} read between the bounds")
    return found


def limited(plan, node):
    """Whether a LIMIT stands over the node: then an ordered read ends early."""
    def walk(at, under):
        if at is node:
            return under
        under = under or at["Node Type"] == "Limit"
        return any(walk(child, under) for child in at.get("Plans", ()))
    return walk(plan, False)


def partitions_read(plan):
    return {n["Relation Name"] for n in nodes(plan)
            if re.match(r"^jobs_\d{8}$", n.get("Relation Name", ""))
            and n.get("Actual Loops", 1) > 0 and n["Node Type"] != "ModifyTable"}


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_read_by_index(loaded, name):
    plans = loaded[True].explain_inside(name)
    read = [node for plan in plans for node in nodes(plan) if PARTITION.match(node.get("Relation Name", ""))]
    assert read, "no statement of it reads history"
    for plan in plans:
        assert not bad_scans(plan), json.dumps(plan)[:4000]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_reads_by_index(loaded, name):
    plan = loaded[is_hot(name)].explain(name)["Plan"]
    assert name in WHOLE or not bad_scans(plan), json.dumps(plan)[:4000]


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if re.search(r"smallest|largest", QUERIES[n])])
def test_batches_are_bounded(loaded, name):
    """A statement with id bounds reads the partitions of its batch, not all of them."""
    plan = loaded[is_hot(name)].explain(name)["Plan"]
    assert len(partitions_read(plan)) <= 2, sorted(partitions_read(plan))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if re.match("record_(completed|ended)|accept_", n)])
def test_a_batch_is_quick(loaded, name):
    """Planned on empty partitions, run on full ones: no step of the plan looks at every pair of rows
    of the batch, nor at more of the table than the batch names."""
    result = loaded[True].explain(name, analyze=True)
    for node in nodes(result["Plan"]):
        wasted = (node.get("Rows Removed by Join Filter", 0) + node.get("Rows Removed by Filter", 0)
                  ) * node.get("Actual Loops", 1)
        assert wasted <= 4 * BATCH, node
        assert node.get("Actual Rows", 0) * node.get("Actual Loops", 1) <= 20 * BATCH, node
    assert result["Execution Time"] < 1000, result
