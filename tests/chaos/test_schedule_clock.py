"""PostgreSQL's clock jumps forward and back, and runs over the changes of Paris and New York: the
ledger is what it would have been without."""
import datetime as dt
import itertools
import os
import pathlib
import sys
import tempfile
import time

import pytest

from lib.database import Server
from lib.servers import Postgres, pg_bin
from lib.wait import wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))

import cron_oracle  # noqa: E402

UTC = dt.timezone.utc
SECOND = dt.timedelta(seconds=1)
HOUR = dt.timedelta(hours=1)
LIBRARIES = [pathlib.Path(p) for pattern in ("x86_64-linux-gnu/faketime", "aarch64-linux-gnu/faketime",
                                             "faketime") for p in [f"/usr/lib/{pattern}/libfaketime.so.1"]]


class FakedPostgres(Postgres):
    """A server whose clock is the real one and an offset that may be set at any time."""

    def set(self, offset):
        new = self.dir / "offset.new"
        new.write_text(f"{offset.total_seconds():+.6f}\n")
        new.chmod(0o644)
        new.rename(self.dir / "offset")
        self.offset = offset

    def _as_owner(self, argv):
        if argv[0].endswith("/postgres"):
            library = next(p for p in LIBRARIES if p.exists())
            argv = ["env", f"LD_PRELOAD={library}", f"FAKETIME_TIMESTAMP_FILE={self.dir}/offset",
                    "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
                    "FAKETIME_DISABLE_SHM=1", *argv]
        return super()._as_owner(argv)

    def set_clock(self, when):
        self.set(when - dt.datetime.now(UTC))


@pytest.fixture
def faked(make_stack):
    """faked(when): a stack on a PostgreSQL that believes it is then; .postgres.set_clock() moves it."""
    if not pg_bin() or not any(p.exists() for p in LIBRARIES):
        if os.environ.get("CI"):
            pytest.fail("no PostgreSQL or no libfaketime")
        pytest.skip("no PostgreSQL or no libfaketime")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir=os.environ["JOBMILL_TEST_DIR"]))
    postgres = FakedPostgres(directory).create()
    stacks = []

    def start(when):
        postgres.set_clock(when)
        postgres.start()
        server = Server(postgres.url, postgres.dir)
        server.run = "clock"
        stacks.append(make_stack(server.create(), None))
        stacks[0].postgres = postgres
        assert abs(clock(stacks[0]) - when) < 60 * SECOND
        return stacks[0]
    yield start
    wrong = [w for stack in stacks for w in stack.finish()]
    postgres.destroy()
    assert not wrong, "\n".join(wrong)


def clock(jm):
    return jm.db.value("SELECT clock_timestamp()")


def ledger(jm, name):
    return jm.db.query("SELECT t.due_at, coalesce(t.until, t.due_at), t.count, t.outcome, t.job_id FROM "
                       "schedule_ticks t JOIN schedules s ON s.id = t.schedule_id WHERE s.name = %s "
                       "ORDER BY t.due_at", name)


def decided(jm):
    """Nothing that has come is left."""
    wait_until(lambda: jm.db.value("SELECT min(next_run_at) > clock_timestamp() FROM schedules"), 60,
               what="all is decided")


# ---- jumps ----

def follows(jm, name, step, first):
    """From the first instant on each is there once; a job for each that fired."""
    rows = ledger(jm, name)
    at = first
    for due, until, count, _, _ in rows:
        assert due == at and until == due + (count - 1) * step, (name, due, at)
        at = until + step
    assert at == jm.db.value("SELECT next_run_at FROM schedules WHERE name = %s", name)
    fired = sorted(r[4] for r in rows if r[3] == "fired")
    assert fired == sorted(j for j, in jm.db.query("SELECT j.id FROM jobs j JOIN schedules s ON s.id = "
                                                   "j.schedule_id WHERE s.name = %s", name))
    return rows


STEPS = {"seconds": SECOND, "threes": 3 * SECOND, "minutes": 60 * SECOND, "all": SECOND, "skip": SECOND}


def test_the_clock_jumps(faked, moment):
    """An hour forward: caught up by the policies. An hour back: nothing fires twice, and it goes on
    where it was once that time has come again."""
    jm = faked(dt.datetime(2026, 6, 1, 10, moment(0, 59), moment(0, 59), tzinfo=UTC))
    allow = ["--type", "noop", "--overlap", "allow"]
    jm.cli("schedule", "add", "seconds", "--every", "1s", *allow)
    jm.cli("schedule", "add", "threes", "--cron", "*/3 * * * * *", *allow)
    jm.cli("schedule", "add", "minutes", "--cron", "* * * * *", *allow)
    jm.cli("schedule", "add", "all", "--every", "1s", "--catch-up", "all", "--catch-up-limit", "7", *allow)
    jm.cli("schedule", "add", "skip", "--every", "1s", "--catch-up", "skip", *allow)
    first = dict(jm.db.query("SELECT name, next_run_at FROM schedules"))
    producers = [jm.start_producer(wait=False) for _ in range(2)]
    wait_until(lambda: len(ledger(jm, "seconds")) > 3, 30, what="it fires")
    before = clock(jm)
    jm.postgres.set(jm.postgres.offset + HOUR)
    assert clock(jm) > before + HOUR
    decided(jm)
    wait_until(lambda: ledger(jm, "seconds")[-1][1] > before + HOUR + 2 * SECOND, 30, what="it goes on")
    rows = {name: follows(jm, name, step, first[name]) for name, step in STEPS.items()}
    assert {r[3] for r in rows["seconds"]} == {"fired", "coalesced"}
    assert sum(r[3] == "fired" for r in rows["minutes"]) in range(5, 9)
    assert {r[3] for r in rows["all"]} == {"fired", "missed"} == {r[3] for r in rows["skip"]}
    jm.postgres.set(jm.postgres.offset - HOUR)
    held = {name: ledger(jm, name) for name in STEPS}
    back = time.monotonic()
    assert clock(jm) < before + 60 * SECOND
    wait_until(lambda: time.monotonic() - back > 5, 10, what="some time passes")
    # What had come before the clock went back may have been decided meanwhile, and no more.
    for name in STEPS:
        new = ledger(jm, name)[len(held[name]):]
        assert sum(r[2] for r in new) <= 3, (name, new)
        follows(jm, name, STEPS[name], first[name])
    assert all(p.alive() for p in producers)
    jm.postgres.set(jm.postgres.offset + HOUR)
    count = len(ledger(jm, "seconds"))
    wait_until(lambda: len(ledger(jm, "seconds")) > count + 3, 60, what="it goes on where it was")
    decided(jm)
    for producer in producers:
        producer.terminate()
    for name, step in STEPS.items():
        rows = follows(jm, name, step, first[name])
        jobs = [r[4] for r in rows if r[4]]
        assert len(jobs) == len(set(jobs))


@pytest.mark.parametrize("change", [["update", "--description", "d"], ["update", "--every", "7s"], ["rollback", "--version", "1"]])
def test_an_edit_while_the_clock_is_back(faked, change):
    """Catching up has decided a range of instants, of which the ledger has the first. They come again once the clock
    has been put back, and an edit does not have them decided again."""
    jm = faked(dt.datetime(2026, 6, 1, 10, tzinfo=UTC))
    jm.cli("schedule", "add", "s", "--every", "10s", "--type", "noop", "--overlap", "allow")
    if change[0] == "rollback":
        jm.cli("schedule", "update", "s", "--description", "before")
    jm.postgres.set(jm.postgres.offset + HOUR)
    producer = jm.start_producer(wait=False)
    decided(jm)
    end = ledger(jm, "s")[-1][1]
    assert max(r[2] for r in ledger(jm, "s")) > 100
    jm.postgres.set(jm.postgres.offset - HOUR / 2)
    assert clock(jm) < end
    jm.cli("schedule", change[0], "s", *change[1:])
    assert jm.db.value("SELECT next_run_at FROM schedules") > end
    count = len(ledger(jm, "s"))
    jm.postgres.set(jm.postgres.offset + HOUR / 2)
    wait_until(lambda: len(ledger(jm, "s")) > count, 60, what="it goes on")
    producer.terminate()
    for one, following in itertools.pairwise(ledger(jm, "s")):
        assert one[1] < following[0], (one, following)


# ---- changes of clocks ----

CHANGES = {"paris-spring": ("Europe/Paris", "2026-03-29T01:00"), "paris-autumn": ("Europe/Paris", "2026-10-25T01:00"),
           "new-york-spring": ("America/New_York", "2026-03-08T07:00"),
           "new-york-autumn": ("America/New_York", "2026-11-01T06:00")}
CRONS = ["30 2 * * *", "30 1 * * *", "*/20 * * * *", "15 1-3 * * *", "0 2 * * *", "5 */2 * * *", "30 30 1,2 * * *"]
GAPS, FOLDS = (None, "after", "skip"), (None, "first", "second", "both")


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_over_a_change(faked, moment, change):
    """From before to after, six hundred times as fast as real time, under each rule."""
    zone, text = CHANGES[change]
    middle = dt.datetime.fromisoformat(text).replace(tzinfo=UTC)
    begin = middle - dt.timedelta(minutes=moment(90, 150))
    jm = faked(begin)
    names = {}
    for n, (cron, gap, fold) in enumerate(itertools.product(CRONS, GAPS, FOLDS)):
        names[f"s{n}"] = cron, gap, fold
    sid = jm.cli("schedule", "add", "base", "--cron", "@hourly", "--timezone", zone, "--type", "noop", "--overlap",
                 "allow", "--misfire-grace", "1d", "--dst-gap", "skip").out.strip()
    for name, (cron, gap, fold) in names.items():
        jm.db.execute("INSERT INTO schedules (id, name, type, kind, cron_expression, timezone, dst_gap, dst_fold, "
                      "overlap, misfire_grace_seconds, next_run_at) SELECT uuid7(), %s, type, kind, %s, timezone, "
                      "%s, %s, overlap, 86400, %s FROM schedules WHERE id = %s", name, cron, gap, fold,
                      cron_oracle.instants(cron, zone, begin, begin + 50 * HOUR, gap, fold)[0][0], sid)
    first = clock(jm)
    producers = [jm.start_producer(wait=False) for _ in range(2)]
    producers[0].wait_log("Scheduler started")
    while clock(jm) < middle + 3 * HOUR + dt.timedelta(minutes=40):
        jm.postgres.set(jm.postgres.offset + dt.timedelta(seconds=moment(20, 90)))
        beat = time.monotonic()
        wait_until(lambda: time.monotonic() - beat > 0.05, 1, 0.01)
    decided(jm)
    end = jm.db.value("SELECT min(next_run_at) FROM schedules") - SECOND
    for producer in producers:
        producer.terminate()
    fired = 0
    for name, (cron, gap, fold) in names.items():
        wanted = [at for at, _ in cron_oracle.instants(cron, zone, begin, end, gap, fold)]
        rows = ledger(jm, name)
        assert [r[0] for r in rows if r[0] <= end] == wanted, (name, cron, gap, fold)
        assert {r[2:4] for r in rows} <= {(1, "fired")}
        fired += len(rows)
    assert first - begin < dt.timedelta(minutes=5) and fired > len(names)
    assert jm.db.value("SELECT count(*) FROM jobs j JOIN schedules s ON s.id = j.schedule_id WHERE s.name <> "
                       "'base'") == fired
