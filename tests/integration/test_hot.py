"""Ending a job is a heap-only update: no index row is written for it."""
import pytest

from lib.wait import wait_until

JOBS = 5000


def updates(db):
    return db.one("SELECT coalesce(sum(n_tup_upd), 0), coalesce(sum(n_tup_hot_upd), 0) "
                  "FROM pg_stat_user_tables WHERE schemaname = 'jobmill' "
                  "AND relname ~ '^jobs_[0-9]{8}$'")


def test_updates_are_hot(jm):
    worker = jm.start_worker()
    jm.send(*[{"type": "noop", "params": {"i": i}} for i in range(JOBS)])
    jm.wait_ended(JOBS, 60)
    jm.wait_offsets()
    assert worker.terminate() == 0  # what its sessions counted is reported at their end
    wait_until(lambda: updates(jm.db)[0] >= JOBS, 20, what="statistics have arrived")
    total, hot = updates(jm.db)
    assert hot / total >= 0.95, f"{hot} of {total} updates were heap-only"


@pytest.mark.parametrize("kind", ["index", "predicate"])
def test_no_index_names_what_ending_a_job_changes(db, kind):
    """status, attempt, worker and what is written at the end appear in no index of jobs."""
    changing = {"status", "attempt", "started_at", "completed_at", "duration_ms", "updated_at",
                "worker_id", "progress", "items_total", "items_ok", "items_failed", "result",
                "error", "errors", "max_attempts", "has_dependents", "callback_status",
                "callback_error"}
    found = db.query(
        "SELECT c.relname, pg_get_indexdef(c.oid), pg_get_expr(i.indpred, i.indrelid) "
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indrelid = 'jobs'::regclass")
    assert found
    for name, definition, predicate in found:
        text = predicate or "" if kind == "predicate" else definition.split(" USING ")[1]
        words = set(text.replace("(", " ").replace(")", " ").replace(",", " ").split())
        assert not words & changing, (name, text)
