"""Edits at the very instants at which schedules are due, by several processes, while two producers
fire: the ledger has exactly the instants of each version in its time, as audit_log tells it."""
import concurrent.futures
import datetime as dt
import threading
import time

import pytest

from lib.wait import wait_until

SECOND = dt.timedelta(seconds=1)
EDITORS = 4
HUNDREDS, THOUSANDS = 200, 1000  # of each kind
CLOSED, OPEN = "2026-01-01..2089-12-31", "2026-01-01"
# What an edit may be; "calendar" changes the calendar itself.
WHEN = [["update", "--every", "1s"], ["update", "--every", "2s"], ["update", "--cron", "* * * * * *"],
        ["update", "--cron", "*/3 * * * * *"]]
OTHER = [["update", "--description", "a"], ["update", "--description", "b"], ["update", "--clear", "description"]]
STATE = [["disable"], ["enable"], ["enable"], ["pause"], ["resume"], ["resume"]]
CALENDAR = [["update", "--calendar", "c"], ["update", "--clear", "calendar"]]
KINDS = {"when": WHEN + OTHER, "state": STATE + OTHER, "all": WHEN + STATE + CALENDAR + OTHER}


class Editors:
    """Edits from many sides, each begun a little before an instant of the schedule."""

    def __init__(self, jm, moment, edits, total, with_calendar):
        self.jm, self.edits, self.with_calendar = jm, edits, with_calendar
        self.lock = threading.Lock()
        self.moment = moment
        self.left = total
        self.took_s = 0.05  # how long a command takes to reach the row
        self.ids = []

    def next_edit(self):
        with self.lock:
            self.left -= 1
            if self.left < 0:
                return None
            calendar = self.with_calendar and self.moment(0, 9) == 0
            return (self.ids[self.moment(0, len(self.ids) - 1)],
                    [CLOSED, OPEN][self.moment(0, 1)] if calendar else None,
                    self.edits[self.moment(0, len(self.edits) - 1)], self.moment(-40, 40) / 1000)

    def aim(self, phase, early_s):
        """Waits for the time at which a command begun now meets the next instant; phase: of a second."""
        at = time.time() + self.took_s + early_s
        ahead = (phase - at) % 1
        wait_until(lambda: time.time() + self.took_s + early_s >= at + ahead, 5, 0.002)

    def run(self):
        while (edit := self.next_edit()) is not None:
            (sid, phase), days, args, early_s = edit
            self.aim(phase, early_s)
            begun = time.monotonic()
            if days:
                self.jm.cli("calendar", "add", "c", "--replace", "--exclude", days)
            else:
                self.jm.cli("schedule", args[0], sid, *args[1:])
            self.took_s = 0.9 * self.took_s + 0.1 * 0.7 * (time.monotonic() - begun)


def instants(definition, after, until):
    """Of a definition as in audit_log, in (after, until]."""
    if not definition.get("enabled", True) or definition.get("paused", False):
        return []
    if "interval_seconds" in definition:
        anchor = dt.datetime.fromisoformat(definition["anchor_at"])
        step = definition["interval_seconds"] * SECOND
        n = max((after - anchor) // step + 1, 1)
        found = []
        while anchor + n * step <= until:
            found.append(anchor + n * step)
            n += 1
        return found
    step = {"* * * * * *": 1, "*/3 * * * * *": 3}[definition["cron_expression"]]
    at = after.replace(microsecond=0) + SECOND
    found = []
    while at <= until:
        if at.second % step == 0:
            found.append(at)
        at += SECOND
    return found


def expected(jm, sid):
    versions = jm.db.query("SELECT version, at, after FROM audit_log WHERE object = 'schedule' AND object_id "
                           "= %s AND version IS NOT NULL ORDER BY version", str(sid))
    assert [v[0] for v in versions] == list(range(1, len(versions) + 1))
    found = []
    for (_, at, after), (_, until, _) in zip(versions, versions[1:]):
        assert at <= until
        found += instants(after, at, until)
    assert versions[-1][2]["enabled"] is False
    return found, len(versions)


def compare(jm, sid):
    """No instant is missing, none invented, none there twice; a job for each that fired."""
    wanted, versions = expected(jm, sid)
    rows = jm.db.query("SELECT due_at, coalesce(until, due_at), count, outcome, reason, job_id FROM "
                       "schedule_ticks WHERE schedule_id = %s ORDER BY due_at", sid)
    left = iter(wanted)
    for due, until, count, outcome, reason, job in rows:
        run = [next(left, None) for _ in range(count)]
        assert (run[0], run[-1]) == (due, until), (sid, run, due, until, count, outcome)
        assert (outcome, reason, job is None) in (("fired", None, False), ("skipped", "calendar", True))
    assert next(left, None) is None, (sid, "missing", [str(at) for at in [*left]][:5])
    fired = sorted(r[5] for r in rows if r[3] == "fired")
    assert fired == sorted(j for j, in jm.db.query("SELECT id FROM jobs WHERE schedule_id = %s", sid))
    return len(wanted), versions


def race(jm, moment, kind, total):
    producers = [jm.start_producer(wait=False) for _ in range(2)]
    jm.cli("calendar", "add", "c", "--exclude", CLOSED)
    editors = Editors(jm, moment, KINDS[kind], total, kind == "all")
    more = ["--type", "noop", "--overlap", "allow", "--catch-up", "all", "--catch-up-limit", "100000"]
    for n, when in enumerate((["--every", "1s"], ["--every", "1s"], ["--cron", "* * * * * *"])):
        sid = jm.cli("schedule", "add", f"s{n}", *when, *more).out.strip()
        anchor = jm.db.value("SELECT anchor_at FROM schedules WHERE id = %s", sid)
        editors.ids.append((sid, anchor.microsecond / 1e6 if anchor else 0.0))
    with concurrent.futures.ThreadPoolExecutor(EDITORS) as pool:
        for done in [pool.submit(editors.run) for _ in range(EDITORS)]:
            done.result(1200)
    for sid, _ in editors.ids:
        jm.cli("schedule", "disable", sid)
    assert all(p.alive() for p in producers)
    seen = [compare(jm, sid) for sid, _ in editors.ids]
    print(f"{kind}: instants and versions {seen}")
    assert sum(versions for _, versions in seen) > total / 4
    assert sum(n for n, _ in seen) > 10


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_edits_race_instants(jm_sql, moment, kind):
    race(jm_sql, moment, kind, HUNDREDS)


@pytest.mark.chaos_only
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_thousands_of_edits(jm_sql, rounds, kind):
    import random
    race(jm_sql, random.Random(kind).randint, kind, THOUSANDS)


def test_calendar_is_replaced_all_the_time(jm_sql, moment):
    """A calendar of many schedules changes as fast as it can: their instants are all decided, by one
    calendar or the other."""
    jm = jm_sql
    jm.cli("calendar", "add", "c", "--exclude", OPEN)
    ids = [jm.cli("schedule", "add", f"s{n}", "--every", "1s", "--type", "noop", "--overlap", "allow",
                  "--calendar", "c").out.strip() for n in range(20)]
    jm.db.execute("UPDATE schedules SET anchor_at = anchor_at - (random() * 1000)::int * interval '1 ms'")
    jm.db.execute("UPDATE schedules SET next_run_at = anchor_at + interval '1 s' * ceil(extract(epoch FROM "
                  "clock_timestamp() - anchor_at))")
    first = dict(jm.db.query("SELECT id, next_run_at FROM schedules"))
    jm.start_producer(wait=False)
    turn = 0
    start = jm.db.value("SELECT clock_timestamp()")
    while jm.db.value("SELECT clock_timestamp()") < start + 12 * SECOND:
        jm.cli("calendar", "add", "c", "--replace", "--exclude", [CLOSED, OPEN][turn % 2])
        turn += 1
    for sid in ids:
        jm.cli("schedule", "disable", sid)
    outcomes = set()
    for sid, at in first.items():
        rows = jm.db.query("SELECT due_at, coalesce(until, due_at), outcome, reason, count FROM schedule_ticks "
                           "WHERE schedule_id = %s ORDER BY due_at", sid)
        end = jm.db.value("SELECT max(at) FROM audit_log WHERE object_id = %s", str(sid))
        for due, until, outcome, reason, count in rows:
            assert due == at and until == due + (count - 1) * SECOND, (sid, due, at)
            at = until + SECOND
            outcomes.add((outcome, reason))
        assert at > end >= at - SECOND, (sid, at, end)
    assert outcomes == {("fired", None), ("skipped", "calendar")} and turn > 20
