"""Server-sent events: a job's state, and the events of everything."""
import pytest

from lib.api import Api
from lib.wait import wait_until


@pytest.fixture
def api(jm):
    return Api.of(jm.start_producer(**{"http.auth": "off"}))


@pytest.mark.tsan
def test_state_of_a_job_until_it_ends(jm, api):
    job = jm.db.value("SELECT submit('noop')")
    with api.listen(f"/jobs/{job}/events") as listener:
        name, data, ident = listener.next()
        assert (name, data["status"], data["attempt"]) == ("status", "pending", 0)
        jm.start_worker()
        events = listener.until("end")
        assert events[-2][1]["status"] == "completed"
        assert listener.next() is None
    # Who comes back with the state that he has is told only that there is no more.
    with api.listen(f"/jobs/{job}/events", Last_Event_ID=events[-2][2]) as listener:
        assert [e[0] for e in listener.until("end")] == ["end"]


def test_an_empty_last_event_id_is_none(jm, api):
    """Alike on all streams: they begin as they do without."""
    job = jm.db.value("SELECT submit('nobody-runs-this')")
    for path in ("/events", f"/jobs/{job}/logs?follow=1", f"/jobs/{job}/events"):
        with api.listen(path, Last_Event_ID="") as listener:
            assert listener.status == 200, path
    with api.listen(f"/jobs/{job}/events", Last_Event_ID="") as listener:
        assert listener.next()[0] == "status"


def test_a_job_that_is_not_there(jm, api):
    answer = api.call("GET", "/api/v1/jobs/01a227d5-9622-7422-9fdf-09bd781321ce/events")
    assert answer.status == 404 and answer.json["code"] == "not_found"


def test_a_job_that_is_deleted_meanwhile(jm, api):
    job = jm.db.value("SELECT submit('nobody-runs-this')")
    with api.listen(f"/jobs/{job}/events") as listener:
        assert listener.next()[0] == "status"
        jm.db.execute("DELETE FROM pending_jobs WHERE job_id = %s", job)
        jm.db.execute("DELETE FROM jobs WHERE id = %s", job)
        assert listener.next()[0] == "end"


def end_jobs(jm, n, project="default"):
    if project != "default":
        jm.db.execute("INSERT INTO projects (name) VALUES (%s) ON CONFLICT DO NOTHING", project)
    jobs = [str(jm.db.value("SELECT submit('noop', '{}', jsonb_build_object('project', %s::text))", project))
            for _ in range(n)]
    return jobs


@pytest.mark.tsan
def test_events_of_everything_resume_where_one_left(jm, api):
    jm.start_worker()
    end_jobs(jm, 1)  # so that the topic is there
    jm.wait_ended(1)
    with api.listen("/events") as listener:
        assert listener.status == 200
        name, event, place = end_until_told(jm, listener)
        assert name == "jobmill.job.completed" and event["source"] == "/jobmill/default"
        seen = {event["subject"]}
        all_ended(jm)
        while (more := quiet(listener)):
            seen.add(more[1]["subject"])
            place = more[2]
    missed = end_jobs(jm, 30)
    all_ended(jm)
    with api.listen("/events", Last_Event_ID=place) as back, api.listen("/events?type=jobmill.schedule") as other:
        got = []
        while not set(missed) <= {e[1]["subject"] for e in got}:
            got.append(back.next())
        told = [e[1]["subject"] for e in got]
        assert len(told) == len(set(told)) and not seen & set(told), "nothing is told twice"
        # and a third one, from the middle
        with api.listen("/events", Last_Event_ID=got[9][2]) as third:
            rest = [third.next()[1]["subject"] for _ in got[10:]]
        assert sorted(rest) == sorted(told[10:]), "partitions are read side by side, in whatever order"
        with pytest.raises(TimeoutError):
            other.next(0.5)


def all_ended(jm):
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs WHERE completed_at IS NULL") == 0, 30,
               what="all have ended")


def quiet(listener):
    """The next event, or None when none comes for two seconds."""
    try:
        return listener.next(2)
    except TimeoutError:
        return None


def end_until_told(jm, listener):
    """One who has just come is told from a moment on that only he knows: jobs until he is."""
    for _ in range(50):
        end_jobs(jm, 1)
        try:
            return listener.next(1)
        except TimeoutError:
            pass
    raise AssertionError("the listener was told nothing")


def test_events_of_one_project(jm, api):
    jm.start_worker()
    end_jobs(jm, 1)
    jm.wait_ended(1)
    with api.listen("/events?project=p2") as mine, api.listen("/events") as all_of_them:
        end_until_told(jm, all_of_them)
        job = end_jobs(jm, 1, "p2")[0]
        assert mine.next()[1]["subject"] == job


def test_bad_places(api):
    for place in ("x", "0", "0:", "0:-1", "64:1", "0:1;1:2"):
        answer = api.call("GET", "/api/v1/events", Last_Event_ID=place)
        assert answer.status == 400, place
        assert answer.json["code"] == "bad_header"


def test_listeners_are_told_when_the_producer_stops(jm):
    producer = jm.start_producer(**{"http.auth": "off"})
    api = Api.of(producer)
    job = jm.db.value("SELECT submit('nobody-runs-this')")
    with api.listen(f"/jobs/{job}/events") as one, api.listen("/events") as two:
        assert one.next()[0] == "status"
        assert producer.terminate() == 0
        assert one.until("stopping") and two.until("stopping")


def test_nothing_is_missed_from_the_first_word_on(jm, api):
    """Neither the very first event, whose topic is not there yet, nor one that comes as soon as the headers are there."""
    jm.topic()
    with api.listen("/events") as listener:
        jm.start_worker()
        job = str(jm.db.value("SELECT submit('noop')"))
        assert listener.next(30)[1]["subject"] == job
    for _ in range(10):
        with api.listen("/events") as listener:
            job = str(jm.db.value("SELECT submit('noop')"))
            assert listener.next(30)[1]["subject"] == job


def listen_to_all(api, job):
    return [api.listen(path) for path in ("/events", f"/jobs/{job}/logs?follow=1", f"/jobs/{job}/events")]


def last_words(listener):
    """Everything up to the end of the stream, which comes soon; the last event."""
    last = None
    while (event := listener.next(timeout=5)) is not None:
        last = event
    return last


@pytest.mark.tsan
@pytest.mark.parametrize("how", ["here", "elsewhere", "expiry", "session", "project"])
def test_streams_end_with_their_key(jm, how):
    """Revoked, expired or gone: a stream is told so and closed within a second or so, as no request gets in any more."""
    jm.cli("project", "add", "shop")
    producer = jm.start_producer()
    admin = Api.of(producer, jm.cli("key", "create", "--name", "boss", "--scope", "admin").out.strip())
    job = jm.db.value("SELECT submit('nobody-runs-this', '{}', '{\"project\": \"shop\"}')")
    bound = jm.cli("key", "create", "--name", "k", "--scope", "read", "--project", "shop",
                   *(["--expires", "3s"] if how == "expiry" else [])).out.strip()
    kept = listen_to_all(admin, job)
    if how == "session":
        cookie = admin.with_key(bound).call("POST", "/api/v1/session").headers["Set-Cookie"].split(";")[0]
        ended = [admin.with_key(None).listen(path, Cookie=cookie) for path in
                 ("/events", f"/jobs/{job}/logs?follow=1", f"/jobs/{job}/events")]
    else:
        ended = listen_to_all(admin.with_key(bound), job)
    assert [listener.status for listener in ended] == [200, 200, 200]
    if how == "here":
        admin.delete("/keys/" + bound[3:11])
    elif how == "project":
        jm.db.execute("DELETE FROM api_keys WHERE name = 'k'")
    elif how != "expiry":
        jm.cli("key", "revoke", bound[3:11])
    assert [last_words(listener)[:2] for listener in ended] == 3 * [
        ("dropped", {"reason": "the key holds no longer"})]
    assert admin.with_key(bound).call("GET", "/api/v1/whoami").status == 401
    for listener in kept:  # other keys' streams go on
        try:
            while True:
                assert listener.next(timeout=0.2), "ended as well"
        except TimeoutError:
            pass
    for listener in kept + ended:
        listener.close()
