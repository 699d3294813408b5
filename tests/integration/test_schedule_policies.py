"""What becomes of the instants of a schedule, by docs/scheduling.md itself: its tables are read, and
each row is tried on a database with real producers, with and without a calendar; then the policies of
overlap with real workers."""
import collections
import datetime as dt
import itertools
import json
import re

import pytest

from lib.database import Server
from lib.paths import ROOT
from lib.stack import Stack
from lib.wait import wait_until

DOC = ROOT / "docs" / "scheduling.md"
SECOND = dt.timedelta(seconds=1)
DAY = dt.timedelta(days=1)
FATE = re.compile(r"(\d+)(?:–(\d+))? (fired|skipped|missed|coalesced)(?: \((\w+)\))?")
# How max_instances and the unfinished jobs may come to so many that are free.
FREE = {"0": [(1, 1), (2, 2), (1, 3)], "1": [(1, 0), (2, 1)], "2": [(2, 0), (3, 1)]}
ANY = [(1, 0), (1, 2), (2, 1)]


def section():
    text = DOC.read_text()
    return text[text.index("## Every combination"):].split("\n## ")[0]


def tables():
    """The tables of the section, each as lists of cells without their heads."""
    for block in re.findall(r"(?:^\|.*\n)+", section(), re.M):
        yield [[cell.strip().replace("`", "") for cell in line.strip("|").split(" | ")]
               for line in block.splitlines()[2:]]


def read_fates(text):
    """{number of the instant: (outcome, reason)}"""
    fates = {}
    for part in text.split(", "):
        first, last, outcome, reason = FATE.fullmatch(part.strip().rstrip("|").strip()).groups()
        for n in range(int(first), int(last or first) + 1):
            assert n not in fates, text
            fates[n] = outcome, reason
    assert sorted(fates) == list(range(1, 11)), text
    return fates


COMBINATIONS, CHANGES = tables()
Case = collections.namedtuple("Case", "name catch_up coalesce overlap max_instances unfinished days fates")


def cases_of(row):
    catch_up, coalesce, overlaps, text = row
    for overlap in overlaps.split(", ") if "free" not in overlaps else ["skip"]:
        pairs = FREE[overlaps.split(", ")[1].split()[0]] if overlap == "skip" else ANY
        for (most, unfinished), days in itertools.product(pairs, (False, True)):
            yield Case(f"{catch_up}/{coalesce}/{overlap}/{most}/{unfinished}/{days}", catch_up,
                       coalesce == "true", overlap, most, unfinished, days, read_fates(text))


ROW_IDS = ["-".join(re.sub(r"\W+", "_", c) for c in row[:3]) for row in COMBINATIONS]


def test_the_table_has_every_combination():
    keys = [tuple(row[:3]) for row in COMBINATIONS]
    wanted = set(itertools.product(("skip", "one", "all"), ("true", "false"),
                                   ("skip, 0 free", "skip, 1 free", "skip, 2 free",
                                    "allow, queue, cancel_running")))
    assert set(keys) == wanted and len(keys) == len(wanted)


# ---- missed time, all rows at once ----

CLOSED = {0, 3, 4, 9, 14}  # of fifteen days: ten are open


class Sleep:
    """Every case is a schedule of one database; nobody was there for a hundred minutes, or fifteen
    days; then two producers are."""

    def __init__(self, jm):
        self.jm = jm
        self.now = jm.db.value("SELECT clock_timestamp()")
        jm.cli("schedule", "add", "base", "--every", "600s", "--misfire-grace", "50m",
               "--catch-up-limit", "3", "--type", "noop", "--disabled")
        days = [self.now - (14 - i) * DAY - DAY / 2 for i in range(15)]
        definition = {"exclude": [str(days[i].date()) for i in CLOSED]}
        jm.db.execute("INSERT INTO calendars (project, name, definition) VALUES ('default', 'c', %s)",
                      json.dumps(definition))
        self.days = days
        self.minutes = [self.now - dt.timedelta(minutes=5 + 10 * (9 - i)) for i in range(10)]
        self.cases = [case for row in COMBINATIONS for case in cases_of(row)]
        for case in self.cases:
            self.add(case)

    def add(self, case):
        jm, instants = self.jm, self.days if case.days else self.minutes
        sid = jm.db.value("SELECT uuid7()")
        jm.db.execute(
            "INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, calendar, overlap, "
            "max_instances, misfire_grace_seconds, catch_up, catch_up_limit, coalesce_grace, next_run_at, "
            "next_skip_at) VALUES (%s, %s, 'noop', 'interval', %s, %s, %s, %s, %s, %s, %s, 3, %s, %s, %s)",
            sid, case.name, 86400 if case.days else 600,
            instants[0] - (DAY if case.days else dt.timedelta(minutes=10)), "c" if case.days else None,
            case.overlap, case.max_instances, 7 * 86400 if case.days else 3000, case.catch_up,
            case.coalesce, instants[1 if case.days else 0], instants[0] if case.days else None)
        for _ in range(case.unfinished):
            job = jm.db.value("SELECT submit('noop', '{}', '{\"run_at\": \"2999-01-01T00:00:00Z\"}')")
            jm.db.execute("UPDATE jobs SET schedule_id = %s WHERE id = %s", sid, job)
            jm.db.execute("INSERT INTO open_jobs (schedule_id, job_id) VALUES (%s, %s)", sid, job)

    def instants(self, case):
        """{instant: what the table says}"""
        if not case.days:
            return {at: case.fates[i + 1] for i, at in enumerate(self.minutes)}
        opened = iter(range(1, 11))
        return {at: ("skipped", "calendar") if i in CLOSED else case.fates[next(opened)]
                for i, at in enumerate(self.days)}

    def ledger(self, case):
        return self.jm.db.query(
            "SELECT t.due_at, coalesce(t.until, t.due_at), t.count, t.outcome, t.reason, t.job_id "
            "FROM schedule_ticks t JOIN schedules s ON s.id = t.schedule_id WHERE s.name = %s AND "
            "t.due_at <= %s ORDER BY t.due_at", case.name, self.now)

    def jobs(self, case):
        """Those of the schedule that are due by now, oldest first."""
        return self.jm.db.rows("SELECT j.* FROM jobs j JOIN schedules s ON s.id = j.schedule_id WHERE "
                               "s.name = %s AND (j.due_at IS NULL OR j.due_at <= %s) ORDER BY j.id",
                               case.name, self.now)


@pytest.fixture(scope="module")
def slept(database_server, tmp_path_factory):
    url = database_server.create()
    jm = Stack(tmp_path_factory.mktemp("slept"), url, None)
    try:
        sleep = Sleep(jm)
        for _ in range(2):
            jm.start_producer(wait=False)
        wait_until(lambda: jm.db.value(
            "SELECT count(*) FROM schedules WHERE enabled AND (next_run_at <= clock_timestamp() "
            "OR next_skip_at <= clock_timestamp())") == 0, 120, what="all is decided")
        late = jm.db.value("SELECT max(decided_at) - %s FROM schedule_ticks", sleep.now)
        yield sleep
    finally:
        wrong = jm.finish()
        Server.drop(database_server, url)
    assert not wrong, "\n".join(wrong)
    assert late < dt.timedelta(minutes=4), "the machine is too slow: the table does not hold"


@pytest.mark.xdist_group("schedule_policies")
@pytest.mark.parametrize("row", COMBINATIONS, ids=ROW_IDS)
def test_row(slept, row):
    for case in cases_of(row):
        step = DAY if case.days else dt.timedelta(minutes=10)
        rows, seen = slept.ledger(case), {}
        for due, until, count, outcome, reason, job in rows:
            assert until == due + (count - 1) * step, (case.name, rows)
            assert (outcome == "fired") == (job is not None), (case.name, rows)
            for n in range(count):
                assert due + n * step not in seen, (case.name, rows)
                seen[due + n * step] = outcome, reason
        assert seen == slept.instants(case), case.name
        kept(case, slept.jobs(case), rows)
        merged(case, rows)


def merged(case, rows):
    """Neighbours that have one fate are one row, save those that fired, and where the grace begins."""
    same = sum(one[3] != "fired" and one[3:5] == following[3:5]
               for one, following in itertools.pairwise(rows))
    assert same <= 1, (case.name, rows)


def kept(case, jobs, rows):
    """A job for each tick that fired, none besides; which of them stay."""
    fired = [row[5] for row in rows if row[3] == "fired"]
    assert sorted(fired) == sorted(j["id"] for j in jobs if j["due_at"]), case.name
    assert len(jobs) == len(fired) + case.unfinished
    stay = len(jobs)
    if case.overlap == "cancel_running":
        stay = case.max_instances
    for i, job in enumerate(jobs):
        is_old = i < len(jobs) - stay
        assert job["status"] == ("cancelled" if is_old else "pending"), (case.name, i)
        assert (job["cancel_requested"] or {}).get("by") == ("schedule" if is_old else None)


# ---- changes ----

SET_UP = {"enable of a disabled one": ["disable"], "resume of a paused one": ["pause"]}
COMMANDS = {
    "disable": ["disable", "s"], "pause": ["pause", "s"], "enable of a disabled one": ["enable", "s"],
    "resume of a paused one": ["resume", "s"], "enable of an enabled one": ["enable", "s"],
    "update --description": ["update", "s", "--description", "x"],
    "update --every": ["update", "s", "--every", "7m"],
    "update --cron": ["update", "s", "--cron", "*/3 * * * *"],
    "update --calendar": ["update", "s", "--calendar", "weekend"],
    "rollback": ["rollback", "s", "--version", "1"], "delete": ["delete", "s"], "run": ["run", "s"],
    "backfill": ["backfill", "s", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T01:00:00Z"],
    "calendar add --replace": None}


def test_the_table_has_every_change():
    assert {row[0] for row in CHANGES} == set(COMMANDS)


def state(jm, sid):
    return jm.db.rows("SELECT * FROM schedules WHERE id = %s", sid)[0]


@pytest.mark.parametrize("change,due,then", CHANGES, ids=[row[0].replace(" ", "_") for row in CHANGES])
def test_change(jm_sql, change, due, then):
    jm = jm_sql
    jm.cli("calendar", "add", "weekend", "--exclude", "2031-01-01")
    sid = jm.cli("schedule", "add", "s", "--every", "9m" if change == "rollback" else "10m", "--type",
                 "noop", "--misfire-grace", "50m", "--starts-at", "2025-12-31T00:00:00Z").out.strip()
    if change == "rollback":
        jm.cli("schedule", "update", "s", "--every", "10m")
    if change.startswith("calendar"):
        jm.cli("schedule", "update", "s", "--calendar", "weekend")
    for verb in SET_UP.get(change, []):
        jm.cli("schedule", verb, "s")
    now = jm.db.value("UPDATE schedules SET anchor_at = clock_timestamp() - interval '105 min', next_run_at "
                      "= CASE WHEN enabled AND NOT paused THEN clock_timestamp() - interval '95 min' END "
                      "RETURNING anchor_at") + dt.timedelta(minutes=105)
    grid = [now - dt.timedelta(minutes=95 - 10 * i) for i in range(12)]
    if change.startswith("calendar"):
        jm.cli("calendar", "add", "weekend", "--replace", "--exclude", "2031-01-02")
    else:
        jm.cli("schedule", *COMMANDS[change])
    ticks = jm.db.query("SELECT due_at, count, outcome, reason FROM schedule_ticks WHERE schedule_id = %s "
                        "AND kind = 'calendar' ORDER BY due_at", sid)
    after = jm.db.value("SELECT clock_timestamp()")

    def near(at, wanted):
        return abs(at - wanted) < SECOND
    if due == "decided":
        assert [t[1:] for t in ticks] == [(4, "coalesced", "catch_up"), (1, "fired", None),
                                          (5, "skipped", "overlap")]
        assert near(ticks[0][0], grid[0]) and near(ticks[2][0], grid[5])
    else:
        assert ticks == []
    if then == "gone":
        assert jm.db.value("SELECT count(*) FROM schedules") == 0
        assert jm.db.value("SELECT count(*) FROM jobs WHERE schedule_id IS NULL") == 1
        return
    row = state(jm, sid)
    if then == "none":
        assert row["next_run_at"] is None and row["next_skip_at"] is None
    elif due == "stay due":
        assert then == "as before" and near(row["next_run_at"], grid[0])
    elif then == "as before":
        assert near(row["next_run_at"], grid[10])
    else:
        assert then == "from now on"
        assert now < row["next_run_at"] <= after + dt.timedelta(minutes=10)
    if due == "none":  # and nothing comes of it when a producer is there
        producer = jm.start_producer(wait=False)
        producer.wait_log("Scheduler started")
        jm.cli("schedule", "add", "other", "--every", "1s", "--type", "noop")
        wait_until(lambda: jm.db.value("SELECT count(*) FROM schedule_ticks t JOIN schedules s ON s.id = "
                                       "t.schedule_id WHERE s.name = 'other'"), 30)
        assert jm.db.value("SELECT count(*) FROM schedule_ticks WHERE schedule_id = %s", sid) == 0


def test_what_has_not_come_while_it_was_off_never_comes(jm_sql):
    """A schedule that is disabled or paused, and a producer that is there all the time: no instant of
    that time is in the ledger, and all others are."""
    jm = jm_sql
    jm.start_producer(wait=False)
    sid = jm.cli("schedule", "add", "s", "--every", "1s", "--type", "noop", "--overlap", "allow").out.strip()
    off = []
    for off_verb, on_verb in ("disable", "enable"), ("pause", "resume"):
        count = jm.db.value("SELECT count(*) FROM schedule_ticks")
        wait_until(lambda: jm.db.value("SELECT count(*) FROM schedule_ticks") >= count + 2, 30)
        jm.cli("schedule", off_verb, "s")
        start = jm.db.value("SELECT max(at) FROM audit_log")
        wait_until(lambda: jm.db.value("SELECT clock_timestamp()") > start + 3 * SECOND, 30)
        jm.cli("schedule", on_verb, "s")
        off.append((start, jm.db.value("SELECT max(at) FROM audit_log")))
    count = jm.db.value("SELECT count(*) FROM schedule_ticks")
    wait_until(lambda: jm.db.value("SELECT count(*) FROM schedule_ticks") >= count + 2, 30)
    jm.cli("schedule", "disable", "s")
    end = jm.db.value("SELECT max(at) FROM audit_log")
    anchor = state(jm, sid)["anchor_at"]
    expected = [anchor + n * SECOND for n in range(1, 1000)]
    expected = [at for at in expected if at <= end and not any(a < at <= b for a, b in off)]
    rows = jm.db.query("SELECT due_at, outcome, count FROM schedule_ticks ORDER BY due_at")
    assert [r[0] for r in rows] == expected and {r[1:] for r in rows} == {("fired", 1)}


# ---- asleep for long ----

@pytest.mark.parametrize("args,most,fired", [
    ([], 3, 1), (["--catch-up", "skip"], 3, 1), (["--catch-up", "all"], 4, 1),
    (["--coalesce-grace"], 2, 1), (["--catch-up", "skip", "--coalesce-grace"], 3, 1),
    (["--catch-up", "all", "--overlap", "allow", "--catch-up-limit", "5", "--misfire-grace", "2s"], 12, 11),
    (["--calendar", "office"], 14, 1), (["--calendar", "office", "--catch-up", "all"], 14, 1)])
def test_a_month_of_seconds(jm_sql, args, most, fired):
    """2.6 million instants are a handful of rows, each counted."""
    jm = jm_sql
    jm.cli("calendar", "add", "office", "--exclude", "sat-sun")
    sid = jm.cli("schedule", "add", "s", "--every", "1s", "--type", "noop", *args).out.strip()
    jm.db.execute("UPDATE schedules SET next_run_at = anchor_at - interval '30 days', anchor_at = "
                  "anchor_at - interval '31 days'")
    jm.cli("schedule", "pause", "s")
    rows = jm.db.query("SELECT due_at, coalesce(until, due_at), count, outcome, reason FROM schedule_ticks "
                       "WHERE schedule_id = %s ORDER BY due_at", sid)
    assert sum(r[3] == "fired" for r in rows) <= fired and len(rows) <= most, rows
    for one, following in itertools.pairwise(rows):
        assert following[0] == one[1] + SECOND
    for due, until, count, *_ in rows:
        assert until == due + (count - 1) * SECOND
    assert sum(r[2] for r in rows) >= 30 * 86400
    if "--calendar" in args:
        for due, until, _, _, reason in rows:
            assert (due.weekday() >= 5) == (until.weekday() >= 5) == (reason == "calendar")
    skipped = sum(r[2] for r in rows if r[3] != "fired" and r[4] != "calendar")
    assert state(jm, sid)["skipped_runs"] == skipped


# ---- overlap with real workers ----

def overlap_run(jm, overlap, most, seconds, instants):
    """So many instants of a one-second schedule whose jobs take longer; its jobs when all have ended."""
    jm.start_producer()
    jm.start_worker()
    sid = jm.cli("schedule", "add", "s", "--every", "1s", "--type", "sleep", "--params",
                 json.dumps({"seconds": seconds}), "--overlap", overlap, "--max-instances",
                 str(most)).out.strip()
    wait_until(lambda: jm.db.value("SELECT coalesce(sum(count), 0) FROM schedule_ticks WHERE schedule_id "
                                   "= %s", sid) >= instants, 60, what="instants are decided")
    jm.cli("schedule", "disable", "s")
    jobs = jm.db.value("SELECT count(*) FROM jobs WHERE schedule_id = %s", sid)
    jm.wait_ended(jobs, 90)
    rows = jm.db.query("SELECT due_at, count, outcome, reason, job_id FROM schedule_ticks WHERE schedule_id "
                       "= %s ORDER BY due_at", sid)
    anchor = state(jm, sid)["anchor_at"]
    due = [at + n * SECOND for at, count, *_ in rows for n in range(count)]
    assert due == [anchor + (i + 1) * SECOND for i in range(len(due))]
    made = jm.db.rows("SELECT * FROM jobs WHERE schedule_id = %s ORDER BY due_at", sid)
    assert [j["id"] for j in made] == [r[4] for r in rows if r[2] == "fired"]
    jm.check()
    return rows, made


def most_at_once(jobs):
    """The end of a job is by its worker's reckoning of the clock: 50 ms are given to it."""
    spans = [(j["started_at"], j["completed_at"] - SECOND / 20) for j in jobs if j["started_at"]]
    return max(sum(a <= at < b for a, b in spans) for at, _ in spans)


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 2])
def test_overlap_queue(jm, most):
    rows, jobs = overlap_run(jm, "queue", most, 2.5, 5)
    assert {r[2] for r in rows} == {"fired"}
    assert {j["status"] for j in jobs} == {"completed"}
    starts = [j["started_at"] for j in jobs]
    assert starts == sorted(starts)
    assert most_at_once(jobs) == most
    for i, job in enumerate(jobs[most:]):  # as soon as there was room, and not before
        room = sorted(j["completed_at"] for j in jobs[:i + most])[-most]
        assert -SECOND / 20 < job["started_at"] - max(room, job["due_at"]) < 2 * SECOND


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 2])
def test_overlap_cancel_running(jm, most):
    rows, jobs = overlap_run(jm, "cancel_running", most, 30 if most == 1 else 3.4, 6)
    assert {r[2] for r in rows} == {"fired"}
    assert most_at_once(jobs) == most
    older, newest = jobs[:-most], jobs[-most:]
    if most == 1:
        assert all(j["status"] == "completed" for j in newest)
    for job in older:
        assert job["status"] == "cancelled", job
        assert job["cancel_requested"]["by"] == "schedule"
    for one, following in zip(jobs, jobs[most:]):
        assert following["started_at"] is None or \
            following["started_at"] >= one["completed_at"] - SECOND / 20
        assert one["completed_at"] - following["due_at"] < 2 * SECOND or one["status"] == "completed"


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 2])
def test_overlap_skip(jm, most):
    rows, jobs = overlap_run(jm, "skip", most, 2.5, 9)
    assert most_at_once(jobs) == most
    assert {r[2:4] for r in rows} == {("fired", None), ("skipped", "overlap")}
    for due, count, outcome, _, _ in rows:
        for at in [due + n * SECOND for n in range(count)]:
            others = [j for j in jobs if j["due_at"] < at]
            # Whoever skips or fires looked a little after the instant.
            certain = sum(j["completed_at"] > at + SECOND for j in others)
            possible = sum(j["completed_at"] > at - SECOND / 10 for j in others)
            assert certain < most if outcome == "fired" else possible >= most, (at, rows)


@pytest.mark.slow
def test_overlap_allow(jm):
    rows, jobs = overlap_run(jm, "allow", 1, 3, 6)
    assert {r[2] for r in rows} == {"fired"} and most_at_once(jobs) >= 3
    for job in jobs:
        assert job["started_at"] - job["due_at"] < 2 * SECOND


def test_settling_an_edit_tells_the_worker(jm):
    """What an edit settles cancels a job at once, not when its worker next renews its lease."""
    producer = jm.start_producer()
    jm.start_worker()
    jm.cli("schedule", "add", "s", "--every", "600s", "--type", "sleep", "--params", '{"seconds": 60}',
           "--overlap", "cancel_running")
    job = jm.cli("schedule", "run", "s").out.strip()
    jm.wait_status(job, "running")
    producer.terminate()
    jm.db.execute("UPDATE schedules SET next_run_at = anchor_at - interval '5 s', anchor_at = anchor_at - "
                  "interval '605 s'")
    jm.cli("schedule", "pause", "s")
    asked = jm.db.job(job)["cancel_requested"]["at"]
    ended = jm.wait_status(job, "cancelled")["completed_at"]
    assert ended - dt.datetime.fromisoformat(asked) < 2 * SECOND
    [newest] = jm.db.query("SELECT id FROM jobs WHERE status <> 'cancelled'")
    jm.cli("job", "cancel", str(newest[0]))
    jm.wait_status(str(newest[0]), "cancelled")
