"""Callbacks: a job whose callback_url is called, signed, once it has ended in whatever way."""
import hashlib
import hmac

import pytest

from lib.ids import uuid7
from lib.receiver import Receiver
from lib.wait import wait_until

ALLOWED = {"http_allow_private": "true"}


@pytest.fixture
def receiver():
    server = Receiver(flaky=[503, 200], gone=[410])
    yield server
    server.close()


def delivered(jm, job_id, status="completed", timeout=30):
    def there():
        job = jm.db.job(job_id)
        assert job and job["callback_status"] == status, job and (job["status"], job["callback_error"])
        return job
    return wait_until(there, timeout, what=f"callback of {job_id} is {status}")


def callback_of(jm, job_id):
    row, = jm.db.rows("SELECT * FROM jobs WHERE callback_of = %s", job_id)
    return row


@pytest.mark.tsan
def test_completed_and_failed(jm, receiver):
    good, bad = uuid7(), uuid7()
    jm.start_worker(**ALLOWED)
    jm.send({"type": "noop", "id": good, "callback_url": receiver.url(), "metadata": {"po": 7}},
            {"type": "fail", "id": bad, "callback_url": receiver.url(), "params": {"message": "no luck"},
             "max_attempts": 1})
    job = delivered(jm, good)
    assert job["callback_error"] is None and job["status"] == "completed"
    body, = receiver.of(good)
    assert (body["status"], body["type"], body["project"]) == ("completed", "noop", "default")
    assert body["metadata"] == {"po": 7} and body["attempt"] == 1 and body["error"] is None
    assert {"created_at", "started_at", "completed_at", "duration_ms", "result", "external_id"} <= set(body)
    delivered(jm, bad)
    assert receiver.of(bad)[0]["status"] == "failed" and "no luck" in receiver.of(bad)[0]["error"]
    call = callback_of(jm, good)
    assert (call["type"], call["submitted_by"], call["queue"]) == ("jobmill.callback", "callback", "default")
    jm.check()


def test_signed(jm, receiver, tmp):
    secret = tmp / "secret"
    secret.write_text("hush")
    secret.chmod(0o600)
    jm.start_worker(callback_secret_file=secret, **ALLOWED)
    job_id = uuid7()
    jm.send({"type": "noop", "id": job_id, "callback_url": receiver.url()})
    delivered(jm, job_id)
    request, = receiver.requests
    stamp, sign = (part.split("=", 1)[1] for part in request["headers"]["X-Jobmill-Signature"].split(","))
    wanted = hmac.new(b"hush", stamp.encode() + b"." + request["body"], hashlib.sha256).hexdigest()
    assert sign == wanted
    jm.check()


def test_retried_and_given_up(jm, receiver):
    jm.start_worker(**ALLOWED)
    flaky, gone = uuid7(), uuid7()
    jm.send({"type": "noop", "id": flaky, "callback_url": receiver.url("flaky")},
            {"type": "noop", "id": gone, "callback_url": receiver.url("gone")})
    job = delivered(jm, gone, "failed")
    assert "410" in job["callback_error"] and job["status"] == "completed"
    wait_until(lambda: "503" in (jm.db.job(flaky)["callback_error"] or ""), 20)
    assert jm.db.job(flaky)["callback_status"] is None
    jm.db.execute("UPDATE pending_jobs SET visible_at = now()")
    assert delivered(jm, flaky)["callback_error"] is None
    assert len(receiver.of(flaky)) == 2
    # Once it can be reached again, a person sends it once more.
    receiver.answers["/gone"] = [200]
    jm.start_producer()
    again = jm.cli("job", "retry", callback_of(jm, gone)["id"]).out.strip()
    jm.wait_status(again, "completed")
    assert delivered(jm, gone)["callback_error"] is None
    jm.check()


def test_private_addresses_are_refused_by_default(jm, receiver):
    jm.start_worker()
    job_id = uuid7()
    jm.send({"type": "noop", "id": job_id, "callback_url": receiver.url()})
    job = delivered(jm, job_id, "failed")
    assert job["callback_error"] and not receiver.requests
    jm.check()


def test_every_way_to_end_releases_tells_and_counts(jm, receiver):
    """Completed, failed, cancelled pending and running, expired, lost, for want of a parent: each end gives
    its dedup key back (or keeps it), lets its dependents know, calls back, and is counted."""
    jm.job_type("after", {"name": "run", "noop": {}}, depends="ended")
    jm.start_producer()
    first = jm.start_worker(lease_s=2, **ALLOWED)
    later = ["--run-at", "2099-01-01T00:00:00Z"]

    def submit(name, *args):
        return jm.cli("job", "submit", "--callback-url", receiver.url(), "--dedup-key", name, *args).out.strip()

    def ready(job_id):
        jm.db.execute("UPDATE pending_jobs SET visible_at = now() WHERE job_id = %s", job_id)

    ways = {
        "completed": submit("completed", "--type", "noop", *later),
        "failed": submit("failed", "--type", "fail", "--max-attempts", "1", *later),
        "cancelled": submit("cancelled", "--type", "noop", *later),
        "asked": submit("asked", "--type", "noop", *later),
        "stopped": submit("stopped", "--type", "sleep", "--params", '{"seconds": 60}'),
        "expired": submit("expired", "--type", "nobody", "--priority", "5", "--start-by", "2099-01-01T00:00:00Z"),
        "lost": submit("lost", "--type", "sleep", "--params", '{"seconds": 50}', "--max-attempts", "1"),
    }
    ways["orphan"] = submit("orphan", "--type", "noop", "--depends-on", f'["{ways["cancelled"]}"]')
    after = {name: jm.cli("job", "submit", "--type", "after", "--depends-on", f'["{job_id}"]').out.strip()
             for name, job_id in ways.items()}
    for name in ("stopped", "lost"):
        jm.wait_status(ways[name], "running")
    assert jm.db.value("SELECT count(*) FROM dedup_keys") == len(ways)
    jm.cli("job", "cancel", ways["stopped"])
    jm.wait_status(ways["stopped"], "cancelled")
    delivered(jm, ways["stopped"])  # a call whose worker is lost may come twice
    first.kill()
    jm.start_worker(**ALLOWED)
    jm.cli("job", "cancel", ways["cancelled"])
    jm.db.execute("UPDATE jobs SET cancel_requested = '{}' WHERE id = %s", ways["asked"])
    jm.db.execute("UPDATE pending_jobs SET start_by = now() WHERE job_id = %s", ways["expired"])
    ready(ways["completed"])
    ready(ways["failed"])
    ends = {"completed": "completed", "failed": "failed", "cancelled": "cancelled", "asked": "cancelled",
            "stopped": "cancelled", "expired": "expired", "lost": "failed", "orphan": "cancelled"}
    for name, status in ends.items():
        jm.wait_status(ways[name], status)
        delivered(jm, ways[name])
        assert [b["status"] for b in receiver.of(ways[name])] == [status], name
        jm.wait_status(after[name], "completed")
    assert jm.db.query("SELECT key FROM dedup_keys") == [("completed",)]
    jm.check()


def test_left_out_of_lists(jm, receiver):
    jm.start_worker(**ALLOWED)
    job_id = uuid7()
    jm.send({"type": "noop", "id": job_id, "callback_url": receiver.url()})
    delivered(jm, job_id)
    call = str(callback_of(jm, job_id)["id"])
    for args in ([], ["--project", "default"], ["--status", "completed"]):
        assert [j["id"] for j in jm.cli("job", "list", "--json", *args).json()["items"]] == [job_id]
        assert call in jm.cli("job", "list", "--json", "--callbacks", *args).out
    assert call in jm.cli("job", "list", "--json", "--type", "jobmill.callback").out
    assert "completed" in jm.cli("job", "show", job_id).out
    jm.check()


def test_schedule_hands_its_url_on(jm, receiver):
    jm.start_worker(**ALLOWED)
    jm.cli("schedule", "add", "s", "--type", "noop", "--at", "2099-01-01T00:00:00Z")
    jm.db.execute("UPDATE schedules SET callback_url = %s, next_run_at = now(), run_at = now()", receiver.url())
    jm.start_producer()
    jm.wait_ended(1)
    job_id = jm.db.value("SELECT id FROM jobs WHERE schedule_id IS NOT NULL")
    delivered(jm, job_id)
    jm.check()


@pytest.mark.parametrize("url", ["ftp://a/", "x", "http://", "http:///x", "http://u@a/", "http://a/" + "x" * 2000])
def test_bad_urls(jm, url):
    jm.start_worker()
    jm.send({"type": "noop", "callback_url": url})
    wait_until(lambda: jm.db.query("SELECT reason, field FROM dead_letters") == [("bad_field", "callback_url")], 20)
    refused = jm.cli("job", "submit", "--type", "noop", "--callback-url", url, check=False)
    assert refused.code == 2 and "callback_url" in refused.err
