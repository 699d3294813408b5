"""Many requests at once, and workers that are killed while theirs are open."""
import asyncio

import pytest

from lib.http_server import HttpServer, many_at_once
from lib.wait import wait_until


@pytest.fixture
def server():
    one = HttpServer()
    yield one
    one.close()


def test_kill_worker_with_requests_open(jm, server, moment):
    """What was under way is requested again, with the same key, and recorded once."""
    count = 100

    async def some_time(request, exchange):
        await asyncio.sleep(0.2 + hash(request.headers["idempotency-key"]) % 100 / 100)
        exchange.answer(200, {"ok": True})
    server.routes["/"] = some_time
    jm.job_type("call", {"name": "run", "http": {"method": "POST", "url": server.url()}})
    jm.start_producer()
    victim = jm.start_worker(lease_s=2, http_allow_private="true")
    jm.send(*[{"type": "call"}] * count)
    some = moment(1, 90)
    wait_until(lambda: len(server.requests) >= some, 30, 0.01, what=f"{some} requests")
    victim.kill()
    jm.start_worker(lease_s=2, http_allow_private="true")
    jm.wait_ended(count, 60)
    assert jm.db.statuses() == {"completed": count}
    keys = {r.headers["idempotency-key"] for r in server.requests}
    assert keys == {f"{job}:run" for job, in jm.db.query("SELECT id::text FROM jobs")}
    jm.check()


@pytest.mark.chaos_only
def test_five_thousand_at_once(jm):
    """The server answers none before it has them all; then as many again over the same connections."""
    many_at_once(jm, 5000)
    jm.check()
