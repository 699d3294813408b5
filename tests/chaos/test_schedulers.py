"""Six producers on a hundred schedules while they are killed and PostgreSQL restarts: the ledger is
what arithmetic says, each instant that fired has its job, and each job reached Kafka."""
import collections
import concurrent.futures
import datetime as dt
import random
import time

import pytest

from lib.wait import wait_until

SECOND = dt.timedelta(seconds=1)
PRODUCERS = 6
LATE = 3 * SECOND  # at most, whatever befalls a producer
# What each sort of schedule is, and how many there are: the step in seconds, on whole seconds for cron.
SORTS = {
    "second": (["--every", "1s"], 1, 40), "three": (["--every", "3s"], 3, 20),
    "cron": (["--cron", "* * * * * *"], 1, 15), "five": (["--cron", "*/5 * * * * *"], 5, 15),
    "jitter": (["--every", "2s", "--jitter", "3s"], 2, 15), "skip": (["--every", "1s", "--overlap", "skip"], 1, 5),
}


def add_all(jm):
    """A schedule of each sort by the command line, its likes by SQL, at moments of their own; all begin
    at once, with nothing to make up for. Returns their first instants."""
    for sort, (args, _, count) in SORTS.items():
        overlap = [] if "--overlap" in args else ["--overlap", "allow"]
        jm.cli("schedule", "add", f"{sort}-0", *args, *overlap, "--type", "noop", "--catch-up", "all",
               "--catch-up-limit", "100000", "--disabled")
        jm.db.execute(
            "INSERT INTO schedules (id, name, type, kind, cron_expression, interval_seconds, anchor_at, overlap, "
            "catch_up, catch_up_limit, jitter_seconds, enabled) SELECT uuid7(), %s || '-' || n, type, kind, "
            "cron_expression, interval_seconds, anchor_at + n * interval '37 ms', overlap, catch_up, "
            "catch_up_limit, jitter_seconds, false FROM schedules, generate_series(1, %s) n WHERE name = %s || '-0'",
            sort, count - 1, sort)
    return begin(jm)


def begin(jm):
    steps = [(sort, step) for sort, (_, step, _) in SORTS.items()]
    jm.db.execute(
        "UPDATE schedules s SET enabled = true, next_run_at = b.base + u.step * interval '1 s' * ceil(extract(epoch "
        "FROM clock_timestamp() + interval '1 s' - b.base) / u.step) FROM unnest(%s::text[], %s::integer[]) AS u "
        "(sort, step), schedules o, LATERAL (SELECT coalesce(o.anchor_at, date_trunc("
        "'minute', clock_timestamp())) AS base) b WHERE o.id = s.id AND split_part(s.name, '-', 1) = u.sort",
        *map(list, zip(*steps)))
    return dict(jm.db.query("SELECT name, next_run_at FROM schedules"))


def caught_up(jm, timeout=60):
    """All that has come by now is decided."""
    now = jm.db.value("SELECT clock_timestamp()")
    wait_until(lambda: jm.db.value("SELECT min(next_run_at) FROM schedules") > now, timeout,
               what="all is decided")


def check_ledger(jm, first):
    """Every instant up to the next one is there once; a job for each that fired, none besides."""
    following = dict(jm.db.query("SELECT name, next_run_at FROM schedules"))
    rows = collections.defaultdict(list)
    for name, *row in jm.db.query("SELECT s.name, t.due_at, coalesce(t.until, t.due_at), t.count, t.outcome "
                                  "FROM schedule_ticks t JOIN schedules s ON s.id = t.schedule_id "
                                  "ORDER BY t.due_at"):
        rows[name].append(row)
    for name, at in first.items():
        step = SORTS[name.split("-")[0]][1] * SECOND
        for due, until, count, outcome in rows[name]:
            assert due == at and until == due + (count - 1) * step, (name, due, at)
            assert outcome == "fired" or name.startswith("skip"), (name, due, outcome)
            at = until + step
        assert at == following[name], (name, at, following[name])
    assert jm.db.one("SELECT count(*) FROM schedule_ticks t FULL JOIN jobs j ON j.id = t.job_id AND j.schedule_id "
                     "= t.schedule_id AND j.due_at = t.due_at WHERE (t.outcome = 'fired' OR j.id IS NOT NULL) AND "
                     "(t.job_id IS NULL OR j.id IS NULL)") == (0,)


def check_published(jm):
    """Every job but those that start from the database is in the topic."""
    def all_there():
        there = {r.headers.get("jobmill-job", b"").decode() for r in jm.kafka.read_all(jm.topic_name())}
        jobs = {str(j) for j, in jm.db.query("SELECT id FROM jobs j WHERE NOT EXISTS (SELECT FROM pending_jobs p "
                                             "WHERE p.job_id = j.id AND p.state = 'ready')")}
        assert jobs and jobs <= there, f"{len(jobs - there)} of {len(jobs)} are not in the topic"
        return True
    wait_until(all_there, 90, 0.5)


def latest(jm, spans=()):
    """How late an instant was decided at most, besides those due while PostgreSQL was away."""
    away = " AND ".join(["NOT t.due_at BETWEEN %s AND %s"] * len(spans)) or "true"
    return jm.db.value(f"SELECT max(decided_at - due_at) FROM schedule_ticks t WHERE t.outcome = 'fired' AND {away}",
                       *[at for span in spans for at in span])


class Fleet:
    def __init__(self, jm):
        self.jm = jm
        with concurrent.futures.ThreadPoolExecutor(PRODUCERS) as pool:
            self.producers = list(pool.map(lambda _: jm.start_producer(), range(PRODUCERS)))
        self.spans = []

    def kill(self, which):
        self.producers[which].kill()
        self.producers[which] = self.jm.start_producer(wait=False)

    def restart_postgres(self):
        start = self.jm.db.value("SELECT clock_timestamp()")
        self.jm.postgres.restart("immediate")
        caught_up(self.jm)
        self.spans.append((start - SECOND, self.jm.db.value("SELECT clock_timestamp()")))


def go_on(jm, ticks):
    """Waits for so many more instants."""
    wanted = jm.db.value("SELECT count(*) FROM schedule_ticks") + ticks
    wait_until(lambda: jm.db.value("SELECT count(*) FROM schedule_ticks") >= wanted, 60, 0.02)


def rampage(jm, chance, kills, restarts):
    fleet = Fleet(jm)
    first = add_all(jm)
    deeds = ["kill"] * kills + ["restart"] * restarts
    chance.shuffle(deeds)
    for deed in deeds:
        go_on(jm, chance.randint(1, 100))
        if deed == "kill":
            fleet.kill(chance.randrange(PRODUCERS))
        else:
            fleet.restart_postgres()
    go_on(jm, 200)
    caught_up(jm)
    jm.db.execute("UPDATE schedules SET enabled = false")
    check_ledger(jm, first)
    check_published(jm)
    late = latest(jm, fleet.spans)
    print(f"{kills} kills, {restarts} restarts: at most {late.total_seconds():.2f} s late")
    assert late < LATE


def test_kills_and_restarts(jm_pg, moment):
    rampage(jm_pg, random.Random(moment(0, 1 << 30)), 10, 1)


@pytest.mark.chaos_only
def test_150_kills_and_10_restarts(jm_pg):
    rampage(jm_pg, random.Random(150), 150, 10)


def test_the_holder_of_locks_is_killed(jm_pg, moment):
    """Killed while its transaction holds the rows: another one takes them at once."""
    jm = jm_pg
    fleet = Fleet(jm)
    first = add_all(jm)
    for _ in range(6):
        def holder():
            return jm.db.value(
                "SELECT a.client_port FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid AND l.granted "
                "AND l.relation = 'schedules'::regclass AND l.mode = 'RowShareLock' WHERE a.application_name "
                "LIKE '%%jobmill-producer%%' AND a.pid <> pg_backend_pid() LIMIT 1")
        port = wait_until(holder, 30, 0.001, "a producer holds locks")
        victim = next((i for i, p in enumerate(fleet.producers) if has_port(p.pid, port)), None)
        if victim is not None:
            fleet.kill(victim)
        go_on(jm, 100)
    caught_up(jm)
    jm.db.execute("UPDATE schedules SET enabled = false")
    check_ledger(jm, first)
    late = latest(jm)
    print(f"holders killed: at most {late.total_seconds():.2f} s late")
    assert late < LATE


def has_port(pid, port):
    """Whether that process has a TCP connection from this port."""
    import os
    inodes = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
        lines = open(f"/proc/{pid}/net/tcp").read().splitlines()[1:]
    except OSError:
        return False
    return any(line.split()[9] in inodes and int(line.split()[1].split(":")[1], 16) == port for line in lines)


def contention(jm, seconds):
    """A hundred schedules, all due in the same instant each second."""
    Fleet(jm)
    jm.cli("schedule", "add", "cron-0", "--cron", "* * * * * *", "--overlap", "allow", "--type", "noop",
           "--catch-up", "all", "--catch-up-limit", "100000", "--disabled")
    jm.db.execute("INSERT INTO schedules (id, name, type, kind, cron_expression, overlap, catch_up, catch_up_limit, "
                  "enabled) SELECT uuid7(), 'cron-' || n, type, kind, cron_expression, overlap, catch_up, "
                  "catch_up_limit, false FROM schedules, generate_series(1, 99) n WHERE name = 'cron-0'")
    first = begin(jm)
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > seconds, seconds + 10, what="time passes")
    caught_up(jm)
    jm.db.execute("UPDATE schedules SET enabled = false")
    check_ledger(jm, first)
    check_published(jm)
    late = jm.db.one("SELECT max(decided_at - due_at), percentile_disc(0.99) WITHIN GROUP (ORDER BY decided_at - "
                     "due_at), avg(decided_at - due_at), count(*) FROM schedule_ticks")
    print(f"late: at most {late[0]}, 99 of 100 {late[1]}, on average {late[2]}, of {late[3]}")
    assert late[0] < LATE and late[3] >= 90 * seconds
    conflicts = [text for _, text in jm.logs() if "deadlock" in text]
    assert not conflicts, conflicts[0][-2000:]


def test_contention(jm, moment):
    contention(jm, 10)


@pytest.mark.chaos_only
def test_contention_for_a_minute(jm):
    contention(jm, 60)
