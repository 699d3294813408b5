#!/usr/bin/python3
"""The invariants program: reads the tables and the topics and names everything that breaks a promise.

    invariants.py --database-url URL [--bootstrap SERVERS --topic TOPIC…] [--waiting-ok] [--wait S]

What it holds (the promises in the README): nothing accepted is lost: every record is a job, a dead
letter or a duplicate by rule; every job has ended, once, and is counted once; every instant of a
schedule is in the ledger once, with its job if it fired; nothing of an attempt that was fenced off is
in the history. It prints one line a finding and ends with 1 if there is any.
"""
import argparse
import hashlib
import json
import pathlib
import re
import struct
import sys
import time
import uuid

import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib.topics import read_all  # noqa: E402

UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
ENDED = "('completed', 'failed', 'cancelled', 'expired')"


def record_id(record):
    """The id derived from a record; the same as jm_uuid7_from_record in common/uuid7.c."""
    h = hashlib.sha256(record.topic.encode() + b"\0")
    h.update(struct.pack(">qqqqq", record.offset, record.ms,
                         -1 if record.key is None else len(record.key),
                         len(record.value or b""), record.partition))
    h.update(record.key or b"")
    h.update(record.value or b"")
    b = bytearray(struct.pack(">Q", record.ms << 16)[:6] + h.digest()[:10])
    b[6] = 0x70 | (b[6] & 0x0F)
    b[8] = 0x80 | (b[8] & 0x3F)
    return uuid.UUID(bytes=bytes(b))


def uuid7(text):
    """The UUID, if the text is a version 7 one in its full form, else None."""
    if isinstance(text, str) and UUID.fullmatch(text):
        found = uuid.UUID(text)
        if found.bytes[6] >> 4 == 7 and found.bytes[8] >> 6 == 2:
            return found
    return None


# Rules over the tables alone: (what is wrong, query whose rows are the findings). Each query gives at
# most a few columns that name the culprit.
RULES = [
    ("a job has not ended",
     f"SELECT id, type, status, attempt, worker_id FROM jobs WHERE status NOT IN {ENDED}"),
    ("status and outcome disagree",
     "SELECT id, status, outcome FROM jobs WHERE outcome IS DISTINCT FROM "
     "CASE WHEN status IN ('failed','cancelled','expired') THEN status END"),
    ("an ended job has no completed_at, or an open one has",
     f"SELECT id, status, completed_at FROM jobs WHERE (status IN {ENDED}) <> "
     "(completed_at IS NOT NULL)"),
    ("it completed before it started",
     "SELECT id, started_at, completed_at FROM jobs WHERE completed_at < started_at"),
    ("a completed job was never started",
     "SELECT id, attempt, started_at FROM jobs WHERE status = 'completed' AND "
     "(attempt < 1 OR started_at IS NULL)"),
    ("more attempts than allowed",
     "SELECT id, attempt, max_attempts FROM jobs WHERE attempt > max_attempts"),
    ("a completed job has no successful step in its last attempt, nor an earlier one",
     "SELECT j.id, j.attempt FROM jobs j WHERE status = 'completed' AND NOT EXISTS "
     "(SELECT FROM job_steps s WHERE s.job_id = j.id AND s.attempt <= j.attempt "
     "AND s.status = 'success')"),
    ("a step succeeded twice",
     "SELECT job_id, name, count(*) FROM job_steps WHERE status = 'success' AND "
     "EXISTS (SELECT FROM jobs j WHERE j.id = job_id AND j.type IN ('noop','sleep')) "
     "GROUP BY job_id, name HAVING count(*) > 1"),
    ("a step of an ended job, or of an attempt that is over, is open",
     "SELECT s.job_id, s.attempt, s.seq FROM job_steps s JOIN jobs j ON j.id = s.job_id "
     "WHERE s.status IN ('running','pending') AND "
     f"(j.status IN {ENDED} OR s.attempt < j.attempt OR j.status = 'pending')"),
    ("rows of an attempt that never was",
     "SELECT job_id, s.attempt, 'step' FROM job_steps s JOIN jobs j ON j.id = job_id "
     "WHERE s.attempt > j.attempt "
     "UNION ALL SELECT job_id, s.attempt, 'log' FROM job_logs s JOIN jobs j ON j.id = job_id "
     "WHERE s.attempt > j.attempt "
     "UNION ALL SELECT job_id, s.attempt, 'attempt' FROM job_attempts s JOIN jobs j "
     "ON j.id = job_id WHERE s.attempt > j.attempt"),
    ("rows of a job that is not there",
     "SELECT job_id, 'step' FROM job_steps s WHERE NOT EXISTS (SELECT FROM jobs WHERE id = job_id) "
     "UNION ALL SELECT job_id, 'log' FROM job_logs s WHERE NOT EXISTS "
     "(SELECT FROM jobs WHERE id = job_id) "
     "UNION ALL SELECT job_id, 'attempt' FROM job_attempts s WHERE NOT EXISTS "
     "(SELECT FROM jobs WHERE id = job_id) "
     "UNION ALL SELECT job_id, 'pending' FROM pending_jobs s WHERE NOT EXISTS "
     "(SELECT FROM jobs WHERE id = job_id) "
     "UNION ALL SELECT DISTINCT u, 'claim' FROM claims, unnest(job_ids) u WHERE NOT EXISTS "
     "(SELECT FROM jobs WHERE id = u)"),
    ("an earlier attempt left no trace in job_attempts",
     "SELECT j.id, j.attempt, count(a.attempt) FROM jobs j LEFT JOIN job_attempts a "
     "ON a.job_id = j.id AND a.attempt < j.attempt WHERE j.attempt > 1 "
     "GROUP BY j.id, j.attempt HAVING count(a.attempt) < j.attempt - 1"),
    ("a failed job's last attempt is not in job_attempts",
     "SELECT j.id, j.attempt FROM jobs j WHERE status = 'failed' AND attempt > 0 AND NOT EXISTS "
     "(SELECT FROM job_attempts a WHERE a.job_id = j.id AND a.attempt = j.attempt)"),
    ("an attempt completed that was not the last, or of a job that did not",
     "SELECT a.job_id, a.attempt, j.attempt, j.status FROM job_attempts a JOIN jobs j "
     "ON j.id = a.job_id WHERE a.outcome = 'completed' AND "
     "(a.attempt <> j.attempt OR j.status NOT IN ('completed','running'))"),
    ("the last attempt of a completed job is recorded as something else",
     "SELECT a.job_id, a.attempt, a.outcome FROM job_attempts a JOIN jobs j ON j.id = a.job_id "
     "WHERE j.status = 'completed' AND a.attempt = j.attempt AND a.outcome <> 'completed'"),
    ("an attempt that was superseded or lost has a successful last step, as if it had ended",
     "SELECT a.job_id, a.attempt, a.outcome FROM job_attempts a JOIN job_steps s "
     "ON s.job_id = a.job_id AND s.attempt = a.attempt JOIN jobs j ON j.id = a.job_id "
     "WHERE a.outcome IN ('superseded','lost') AND s.status = 'success' "
     "AND j.type IN ('noop','sleep')"),
    ("an ended job still waits in pending_jobs",
     f"SELECT p.job_id, p.state FROM pending_jobs p JOIN jobs j ON j.id = p.job_id "
     f"WHERE j.status IN {ENDED}"),
    ("a pending job is not in pending_jobs",
     "SELECT id, type, attempt FROM jobs j WHERE status = 'pending' AND NOT EXISTS "
     "(SELECT FROM pending_jobs p WHERE p.job_id = j.id)"),
    ("a running job is in no claim of its worker",
     "SELECT id, worker_id FROM jobs j WHERE status = 'running' AND NOT EXISTS "
     "(SELECT FROM claims c WHERE c.worker_id = j.worker_id AND j.id = ANY(c.job_ids))"),
    ("a claim is left though all its jobs are over",
     "SELECT worker_id, seq, cardinality(job_ids) FROM claims c WHERE NOT EXISTS "
     "(SELECT FROM jobs j WHERE j.id = ANY(c.job_ids) AND j.status = 'running' "
     "AND j.worker_id = c.worker_id)"),
    ("the counts of job_stats are not those of jobs",
     "SELECT coalesce(a.type, b.type), coalesce(a.status, b.status), a.n AS in_stats, b.n AS in_jobs "
     "FROM (SELECT project, type, schedule_id, status, sum(jobs) AS n FROM job_stats "
     "GROUP BY 1, 2, 3, 4) a FULL JOIN (SELECT project, type, schedule_id, status, count(*) AS n "
     f"FROM jobs WHERE status IN {ENDED} GROUP BY 1, 2, 3, 4) b ON (a.project, a.type, a.status) = "
     "(b.project, b.type, b.status) AND a.schedule_id IS NOT DISTINCT FROM b.schedule_id "
     "WHERE a.n IS DISTINCT FROM b.n"),
    ("a tick fired and its job is not there, or is of another instant",
     "SELECT t.schedule_id, t.due_at, t.job_id FROM schedule_ticks t LEFT JOIN jobs j "
     "ON j.id = t.job_id WHERE t.outcome = 'fired' AND (j.id IS NULL OR t.kind = 'calendar' AND "
     "(j.schedule_id IS DISTINCT FROM t.schedule_id OR j.due_at IS DISTINCT FROM t.due_at))"),
    ("a tick that did not fire has a job",
     "SELECT schedule_id, due_at, outcome, job_id FROM schedule_ticks WHERE outcome <> 'fired' "
     "AND job_id IS NOT NULL"),
    ("a job of a schedule has not exactly one tick",
     "SELECT j.id, j.schedule_id, j.due_at, count(t.job_id) FROM jobs j LEFT JOIN schedule_ticks t "
     "ON t.job_id = j.id WHERE j.schedule_id IS NOT NULL AND j.retry_of IS NULL "
     "GROUP BY j.id, j.schedule_id, j.due_at HAVING count(t.job_id) <> 1"),
    ("an unfinished job is no overlap for its schedule",
     "SELECT j.id, j.schedule_id FROM jobs j JOIN schedules s ON s.id = j.schedule_id WHERE s.overlap = 'skip' "
     f"AND j.status NOT IN {ENDED} AND s.last_job_id IS DISTINCT FROM j.id AND NOT job_backfilled(j.id) AND NOT "
     "EXISTS (SELECT FROM open_jobs o WHERE o.schedule_id = s.id AND o.job_id = j.id)"),
    ("instants of an interval are missing from the ledger, or there twice",
     "SELECT s.name, min(t.due_at), max(coalesce(t.until, t.due_at)), sum(t.count) "
     "FROM schedules s JOIN schedule_ticks t ON t.schedule_id = s.id "
     "WHERE s.kind = 'interval' AND t.kind = 'calendar' AND s.version = 1 "
     "GROUP BY s.id, s.name, s.interval_seconds HAVING sum(t.count) <> 1 + extract(epoch FROM "
     "max(coalesce(t.until, t.due_at)) - min(t.due_at)) / s.interval_seconds"),
    ("a job that has ended has not exactly one job that reports it, or one that has not ended has",
     f"SELECT j.id, j.status, count(c.id) FROM jobs j LEFT JOIN jobs c ON c.callback_of = j.id "
     "AND c.retry_of IS NULL WHERE j.callback_url IS NOT NULL GROUP BY j.id, j.status "
     f"HAVING count(c.id) <> (j.status IN {ENDED})::int"),
    ("a callback reports something else than what became of its job",
     "SELECT c.id, c.params -> 'job' ->> 'status', j.status FROM jobs c JOIN jobs j "
     "ON j.id = c.callback_of WHERE c.params -> 'job' ->> 'status' <> j.status "
     "OR c.params ->> 'url' IS DISTINCT FROM j.callback_url"),
    ("a job knows its callback's outcome wrongly",
     "SELECT j.id, j.callback_status, c.status FROM jobs c JOIN jobs j ON j.id = c.callback_of "
     f"WHERE c.retry_of IS NULL AND c.status IN {ENDED} AND j.callback_status IS NULL "
     "OR NOT EXISTS (SELECT FROM jobs d WHERE d.callback_of = j.id AND d.status = j.callback_status) "
     "AND j.callback_status IS NOT NULL"),
    # The end of a job is by its worker's reckoning of PostgreSQL's clock: 100 ms are given to it.
    ("a job started before what it depends on had ended, or although that did not complete",
     "SELECT j.id, p.id, p.status, j.started_at, p.completed_at FROM jobs j "
     "CROSS JOIN jsonb_array_elements(j.depends_on) d "
     "JOIN jobs p ON p.project = j.project AND p.id = CASE jsonb_typeof(d) WHEN 'string' "
     "THEN (d #>> '{}')::uuid ELSE (SELECT max(x.id::text)::uuid FROM jobs x WHERE x.external_id = "
     "d ->> 'external_id' AND x.project = j.project AND x.created_at < j.started_at) END "
     "WHERE j.attempt > 0 AND (p.completed_at IS NULL OR "
     "(SELECT min(coalesce(a.started_at, j.started_at)) FROM (SELECT j.started_at UNION ALL SELECT "
     "a.started_at FROM job_attempts a WHERE a.job_id = j.id) a) < p.completed_at - interval '100 ms' "
     "OR (p.status <> 'completed' AND NOT EXISTS (SELECT FROM job_types t WHERE t.name = j.type "
     "AND t.depends = 'ended')))"),
    ("an ended job still waits for others",
     "SELECT d.job_id, d.n FROM job_dependencies d LEFT JOIN jobs j ON j.id = d.job_id "
     "WHERE j.status IS DISTINCT FROM 'pending'"),
    ("a lock is held by a job that does not run",
     "SELECT l.name, l.slot, l.owner FROM locks l WHERE l.owner LIKE 'job %' AND NOT EXISTS "
     "(SELECT FROM jobs j WHERE 'job ' || j.id = l.owner AND j.status = 'running')"),
    ("a job keeps its place though it does not run",
     "SELECT p.job_id, p.lock_name FROM pending_jobs p WHERE p.state = 'held' AND p.reason IS NULL "
     "AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = p.job_id AND j.status = 'running')"),
    # Tokens only grow, so those of their last attempts say in which order they held the lock.
    ("two jobs held one lock at once",
     "SELECT id, lock, started_at, before FROM (SELECT id, lock, started_at, lag(completed_at) OVER "
     "(PARTITION BY project, lock ORDER BY lock_token) AS before FROM (SELECT j.*, coalesce(exclusive, "
     "'order:' || type || '/' || ordering_key) AS lock FROM jobs j WHERE lock_token IS NOT NULL "
     "AND worker_id IS NOT NULL AND completed_at IS NOT NULL) h WHERE NOT EXISTS (SELECT FROM locks l "
     "WHERE l.project = h.project AND l.name = h.lock AND l.capacity > 1)) o "
     "WHERE started_at < before - interval '100 ms'"),
]
OPEN_OK = {"a job has not ended"}


def check_tables(conn, waiting_ok):
    found = []
    for what, query in RULES:
        if waiting_ok and what in OPEN_OK:
            continue
        rows = conn.execute(query).fetchall()
        found += [f"{what}: {', '.join(str(c) for c in row)}" for row in rows[:20]]
        if len(rows) > 20:
            found.append(f"{what}: and {len(rows) - 20} more")
    return found


class Known:
    """What the database has, by everything a record may be known by."""

    def __init__(self, conn):
        self.jobs = {}
        self.external = set()
        self.dedup = set()
        for row in conn.execute("SELECT id, project, type, external_id, dedup_key, submitted_by "
                                "FROM jobs"):
            self.jobs[row[0]] = row
            if row[3] is not None:
                self.external.add((row[1], row[2], row[3]))
            if row[4] is not None:
                self.dedup.add((row[1], row[2], row[4]))
        self.dead = {(t, p, o): reason for t, p, o, reason in conn.execute(
            "SELECT topic, partition, record_offset, reason FROM dead_letters")}


def message_of(record):
    """(the fields that name a job, or None where it cannot be read)."""
    headers = {k: (v or b"").decode(errors="replace") for k, v in record.headers.items()}
    if "ce_type" in headers:  # CloudEvents, binary mode
        return {"type": headers["ce_type"],
                "id": f"{headers.get('ce_source')}#{headers.get('ce_id')}"}
    try:
        body = json.loads((record.value or b"").decode())
    except (UnicodeDecodeError, ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    if "specversion" in body:  # CloudEvents, structured mode
        return {"type": body.get("type"), "id": f"{body.get('source')}#{body.get('id')}"}
    return body


def fate(record, known):
    """What became of a record: the id of its job, "dead", "duplicate", or None if it is lost."""
    relayed = record.headers.get("jobmill-job")
    if relayed is not None:
        found = uuid7(relayed.decode(errors="replace"))
        if found in known.jobs:
            return found
    if (record.topic, record.partition, record.offset) in known.dead:
        return "dead"
    derived = record_id(record)
    if derived in known.jobs:
        return derived
    body = message_of(record)
    if body is None:
        return None
    given = uuid7(body.get("id"))
    if given is not None and given in known.jobs:
        return given
    name = (body.get("project", "default"), body.get("type"))
    if given is None and body.get("id") is not None and (*name, body["id"]) in known.external:
        return "duplicate"
    if body.get("dedup_key") is not None and (*name, body["dedup_key"]) in known.dedup:
        return "duplicate"
    return None


def check_topics(conn, bootstrap, topics):
    """Every record has one fate, and every job that came from Kafka has its record."""
    known = Known(conn)
    found = []
    seen = set()
    for topic in topics:
        for record in read_all(bootstrap, topic):
            place = f"{record.topic} [{record.partition}] @{record.offset}"
            became = fate(record, known)
            if became is None:
                found.append(f"a record is lost: {place}: {(record.value or b'')[:120]!r}")
            elif isinstance(became, uuid.UUID):
                seen.add(became)
                if (record.topic, record.partition, record.offset) in known.dead and \
                        record_id(record) in known.jobs:
                    found.append(f"a record is both a job and a dead letter: {place}")
    for job_id, row in known.jobs.items():
        if (row[5] or "").startswith("kafka") and job_id not in seen:
            found.append(f"a job came from no record: {job_id} {row[2]}")
    return found


def open_jobs(conn):
    return conn.execute("SELECT count(*) FROM jobs WHERE status IN ('pending','running')"
                        ).fetchone()[0] + conn.execute("SELECT count(*) FROM claims").fetchone()[0]


def check(database_url, bootstrap=None, topics=(), waiting_ok=False, wait=15, schema="jobmill"):
    """Returns the list of findings. Waits up to wait seconds until nothing is open: what a program
    does right after a job has ended (a claim taken away, a count) needs a moment."""
    with psycopg.connect(database_url, autocommit=True,
                         options=f"-c search_path={schema},public") as conn:
        deadline = time.monotonic() + wait
        while not waiting_ok and open_jobs(conn) and time.monotonic() < deadline:
            time.sleep(0.1)
        with conn.transaction():
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            found = check_tables(conn, waiting_ok)
            if bootstrap and topics:
                found += check_topics(conn, bootstrap, topics)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--schema", default="jobmill")
    parser.add_argument("--bootstrap")
    parser.add_argument("--topic", action="append", default=[])
    parser.add_argument("--waiting-ok", action="store_true", help="jobs may be open")
    parser.add_argument("--wait", type=float, default=15, help="seconds until all jobs must have ended")
    args = parser.parse_args()
    found = check(args.database_url, args.bootstrap, args.topic, args.waiting_ok, args.wait,
                  args.schema)
    for line in found:
        print(line)
    print(f"{len(found)} findings" if found else "all invariants hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
