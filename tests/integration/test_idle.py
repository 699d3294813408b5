"""What a producer with nothing to do costs the database."""
import collections
import re
import time

import pytest

from lib.wait import wait_until

STATEMENT = re.compile(r"^jobmill[^|]*\|LOG:  (?:statement|execute)[ :]+(\S+)", re.M)


def log_statements(jm):
    """From now on the server's log names every statement and who sent it."""
    for setting in ("log_statement = 'all'", "log_line_prefix = '%a|'"):
        jm.db.execute(f"ALTER SYSTEM SET {setting}")
    jm.db.execute("SELECT pg_reload_conf()")


def statements(jm):
    """How often each was sent by the programs."""
    return collections.Counter(STATEMENT.findall(jm.postgres.log.read_text(errors="replace")))


@pytest.mark.slow
def test_an_idle_producer_asks_once_a_second(jm_pg):
    """Also with schedules that are not due, jobs that wait for their time, and rows of the past."""
    jm = jm_pg
    log_statements(jm)
    jm.db.execute("INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, next_run_at) "
                  "SELECT uuid7(), 's' || i, 'noop', 'interval', 86400, now(), now() + interval '1 day' "
                  "FROM generate_series(1, 100) i")
    jm.db.execute("SELECT count(submit('noop', '{}', jsonb_build_object('run_at', "
                  "to_char(now() + interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI:SSZ')))) FROM generate_series(1, 100)")
    jm.start_producer()
    wait_until(lambda: jm.db.value("SELECT count(*) FROM workers"), 20)
    time.sleep(10)
    before, began = statements(jm), time.monotonic()
    time.sleep(60)
    asked, seconds = statements(jm) - before, time.monotonic() - began
    print(dict(asked))
    assert 40 <= sum(asked.values()) <= seconds + 1, asked


def janitor_waits(db):
    return db.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jobmill-producer janitor' "
                    "AND wait_event_type = 'Lock' AND datname = current_database()")


def add_schedule(db):
    return db.value("INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, next_run_at) "
                    "SELECT uuid7(), 's' || t, 'noop', 'interval', 3600, t, t FROM clock_timestamp() t RETURNING id")


def fired_after(db, schedule):
    return db.value("SELECT extract(epoch FROM decided_at - due_at) FROM schedule_ticks WHERE schedule_id = %s",
                    schedule)


def published_after(db):
    return db.value("SELECT extract(epoch FROM max(visible_at - uuid7_time(job_id))) FROM pending_jobs "
                    "WHERE state = 'published' HAVING count(*) = (SELECT count(*) FROM pending_jobs)")


def test_what_nobody_announces_is_seen_by_the_look(jm):
    jm.start_producer()
    wait_until(lambda: jm.db.value("SELECT count(*) FROM workers"), 20)
    late = []
    for _ in range(5):
        schedule = add_schedule(jm.db)
        late.append(float(wait_until(lambda: fired_after(jm.db, schedule), 10, 0.02)))
    assert max(late) < 1.5, late  # a second, and room for a busy machine
    wait_until(lambda: published_after(jm.db), 10)
    for _ in range(5):
        jm.db.value("SELECT submit('noop')")
        assert float(wait_until(lambda: published_after(jm.db), 10, 0.02)) < 2


def test_an_announced_schedule_is_seen_at_once(jm):
    jm.start_producer()
    wait_until(lambda: jm.db.value("SELECT count(*) FROM workers"), 20)
    late = []
    for _ in range(5):
        schedule = add_schedule(jm.db)
        jm.db.execute("NOTIFY jobmill, 'schedules'")
        late.append(float(wait_until(lambda: fired_after(jm.db, schedule), 10, 0.02)))
    assert sorted(late)[2] < 0.1, late


def test_without_a_look_scheduler_and_relay_ask_for_themselves(jm):
    """The janitor hangs, here at its own row."""
    jm.start_producer()
    wait_until(lambda: jm.db.value("SELECT count(*) FROM workers"), 20)
    with jm.db.connect() as other:
        other.execute("BEGIN")
        other.execute("UPDATE workers SET pid = pid")
        wait_until(lambda: janitor_waits(jm.db), 20)
        schedule = add_schedule(jm.db)
        jm.db.value("SELECT submit('noop')")
        assert wait_until(lambda: fired_after(jm.db, schedule), 10, 0.02) < 2.5
        assert wait_until(lambda: published_after(jm.db), 10, 0.02) < 4
        assert janitor_waits(jm.db)
        other.execute("ROLLBACK")
