"""Transactions whose commit held and whose answer was lost: each is repeated and changes nothing.
A proxy cuts the connection at exactly that moment."""
import random

import pytest

from lib.pgproxy import PgProxy
from lib.wait import wait_until

CUTS = 12  # a round; ./dev chaos has hundreds by its count of rounds

STATEMENTS = {
    "accept": ("accept_plain", "accept_insert", "accept_take", "accept_defer"),
    "start": ("start_ready",),
    "record": ("record_completed", "record_ended"),
    "everything": ("accept_plain", "accept_insert", "accept_take", "accept_defer", "accept_claim",
                   "start_ready", "record_completed", "record_ended", "record_unclaim",
                   "record_superseded", "lease_renew", "lease_announce"),
}


@pytest.fixture
def proxy(db_url):
    with PgProxy(db_url) as made:
        yield made


def send(jm, where, n):
    """Jobs that pass by the statement that is to be cut."""
    kinds = [{"type": "noop"}, {"type": "noop", "metadata": {"a": 1}},
             {"type": "sleep", "params": {"seconds": 0.01}}]
    if where in ("record", "everything"):
        kinds += [{"type": "twice"}, {"type": "talks"}, {"type": "fail", "params": {"message": "no"},
                                                         "max_attempts": 1}]
    if where in ("start", "everything"):
        kinds = [dict(k, run_at="2020-01-01T00:00:00Z", start_by="2099-01-01T00:00:00Z")
                 for k in kinds] + kinds
    jm.send(*[kinds[i % len(kinds)] for i in range(n)])


def make_types(jm):
    jm.job_type("twice", ["/bin/sh", "-c", f"mkdir {jm.dir}/$(cut -c16-51) 2>&- && exit 75; exit 0"],
                backoff={"initial_s": 0.05})
    jm.job_type("talks", ["/bin/sh", "-c", 'echo one >&2; echo two >&2; echo "{\\"a\\":1}"'])


@pytest.mark.parametrize("where", STATEMENTS)
def test_commits_whose_answer_is_lost(jm, proxy, moment, where):
    make_types(jm)
    database = {"JOBMILL_DATABASE_URL": proxy.url(jm.database_url)}
    jm.start_producer()
    jm.start_worker(env=database)
    rng = random.Random(moment(0, 1 << 30))
    proxy.cut(*STATEMENTS[where], share=0.7, rng=rng, when=("after", "after", "before"))
    sent = 0
    while proxy.cuts < CUTS:
        before = proxy.cuts
        send(jm, where, 24)
        sent += 24
        wait_until(lambda: proxy.cuts > before or jm.db.ended() >= sent, 60, 0.02,
                   lambda: f"a cut, {proxy.cuts} so far; {jm.db.statuses()}")
    proxy.cut()
    jm.wait_ended(sent, 90)
    jm.wait_offsets()
    jm.check()
    assert jm.db.value("SELECT count(*) FROM jobs") == sent
    failed = jm.db.value("SELECT count(*) FROM jobs WHERE type = 'fail'")
    assert jm.db.statuses().get("failed", 0) == failed
    # Nothing ran twice but what was to be tried again; each attempt's output is there once.
    assert jm.db.value("SELECT count(*) FROM jobs WHERE attempt <> "
                       "CASE type WHEN 'twice' THEN 2 ELSE 1 END") == 0
    assert jm.db.value("SELECT count(*) FROM job_attempts WHERE outcome IN ('lost', 'superseded')") == 0
    assert jm.db.value("SELECT count(*) FROM (SELECT FROM job_logs WHERE message = 'two' "
                       "GROUP BY job_id, attempt HAVING count(*) > 1) d") == 0
    assert jm.db.value("SELECT count(*) FROM jobs j WHERE type = 'talks' AND (SELECT count(*) FROM "
                       "job_logs l WHERE l.job_id = j.id AND message IN ('one', 'two')) <> 2") == 0
