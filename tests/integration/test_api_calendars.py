"""Calendars over HTTP."""
import pytest

from lib.api import Api

ICAL = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//test//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTART;VALUE=DATE:20271224\r
DTEND;VALUE=DATE:20271227\r
SUMMARY:Christmas\r
END:VEVENT\r
END:VCALENDAR\r
"""


@pytest.fixture
def api(jm):
    return Api.of(jm.start_producer("--no-scheduler", **{"http.auth": "off"}))


def make(api, name="holidays", **more):
    return api.call("POST", "/api/v1/calendars", {"name": name, "definition": {"exclude": ["sat-sun", "12-25"]}, **more})


def test_made_shown_changed_and_deleted(jm, api):
    made = make(api, description="closed")
    assert made.status == 201 and made.headers["Location"] == "/api/v1/calendars/holidays?project=default"
    assert api.get(made.headers["Location"].removeprefix("/api/v1")) == made.json
    assert make(api).status == 409
    listed = api.get("/calendars")["items"]
    assert [(c["name"], c["exclude"], c["schedules"]) for c in listed] == [("holidays", 2, 0)]
    changed = api.put("/calendars/holidays", {"definition": {"exclude": ["sun"]}})
    assert (changed["version"], changed["description"], changed["definition"]) == (2, "closed", {"exclude": ["sun"]})
    answer = api.call("PUT", "/api/v1/calendars/new", {"definition": {"include": ["mon"]}})
    assert answer.status == 201 and answer.json["version"] == 1
    days = api.get("/calendars/holidays/days?from=2026-12-26&count=3")["items"]
    assert days == [{"date": "2026-12-26", "weekday": "sat", "open": True}, {"date": "2026-12-27", "weekday": "sun", "open": False},
                    {"date": "2026-12-28", "weekday": "mon", "open": True}]
    assert len(api.get("/calendars/holidays/days")["items"]) == 31
    api.delete("/calendars/holidays?dry_run=1")
    api.delete("/calendars/holidays")
    api.delete("/calendars/holidays", 404)
    actions = jm.db.rows("SELECT action, source FROM audit_log WHERE object = 'calendar' AND object_id = 'default/holidays' ORDER BY id")
    assert [tuple(r.values()) for r in actions] == [("create", "api"), ("update", "api"), ("delete", "api")]


def test_schedules_keep_theirs(api):
    make(api)
    api.post("/schedules", {"name": "nightly", "type": "noop", "cron_expression": "0 3 * * *", "calendar": "holidays"})
    assert api.get("/calendars/holidays")["schedules"] == 1
    answer = api.call("DELETE", "/api/v1/calendars/holidays")
    assert answer.status == 409 and "nightly" in answer.json["detail"]
    # What it leaves out is shown.
    notes = [i["note"] for i in api.get("/schedules/nightly/preview?from=2026-12-24T12:00:00Z&count=2")["items"]]
    assert notes == ["excluded by calendar", "excluded by calendar"]
    body = {"cron_expression": "0 3 * * *", "calendar": "holidays"}
    assert api.post("/schedules/preview?from=2026-12-24T12:00:00Z&count=1", body, 200)["items"][0]["note"] == "excluded by calendar"


def test_what_is_wrong_is_named(api):
    def pointer(answer, status=400):
        assert answer.status == status, answer
        return answer.json["errors"][0]["pointer"]
    assert pointer(make(api, definition={"exclude": ["nonday"]})) == "/definition"
    assert pointer(make(api, definition=["sun"])) == "/definition"
    assert pointer(make(api, definition={"exclude": ["mon-sun"]})) == "/definition"
    assert pointer(make(api, "Bad Name")) == "/name"
    assert pointer(make(api, 5)) == "/name"
    assert pointer(make(api, descripton="x")) == "/descripton"
    assert make(api, project="nobody").status == 404
    assert api.call("GET", "/api/v1/calendars/nobody").status == 404
    assert api.call("GET", "/api/v1/calendars/nobody/days").status == 404
    make(api)
    for day in ("2026-02-30", "x", "2026-12-25T00:00:00Z"):
        assert api.call("GET", f"/api/v1/calendars/holidays/days?from={day}").json["errors"][0]["parameter"] == "from"


def test_of_an_icalendar_file(jm, api):
    def send(query="", body=ICAL, kind="text/calendar"):
        return api.call("POST", "/api/v1/calendars/holidays/import" + query, body, Content_Type=kind)
    dry = send("?dry_run=1&from_year=2026&to_year=2028")
    assert dry.status == 200 and dry.json["definition"] == {"exclude": ["2027-12-24..2027-12-26"]}
    assert jm.db.value("SELECT count(*) FROM calendars") == 0
    assert send("?from_year=2026&to_year=2028").status == 201
    assert send("?from_year=2026&to_year=2028").status == 409
    assert send("?from_year=2026&to_year=2028&replace=1", kind="text/calendar; charset=utf-8").json["version"] == 2
    assert send(kind="application/json").status == 415
    assert send(body=b"no calendar").status == 400
    assert send("?from_year=2028&to_year=2026").json["errors"][0]["parameter"] == "to_year"


def test_a_key_sees_the_calendars_of_its_project(jm):
    producer = jm.start_producer("--no-scheduler")
    jm.db.execute("INSERT INTO projects (name) VALUES ('shop')")
    shop = Api.of(producer, jm.cli("key", "create", "--name", "s", "--scope", "admin", "--project", "shop").out.strip())
    boss = Api.of(producer, jm.cli("key", "create", "--name", "a", "--scope", "admin").out.strip())
    reader = Api.of(producer, jm.cli("key", "create", "--name", "r", "--scope", "read").out.strip())
    assert make(shop).json["project"] == "shop"
    assert make(boss, "other").json["project"] == "default"
    assert [c["name"] for c in shop.get("/calendars")["items"]] == ["holidays"]
    assert shop.call("GET", "/api/v1/calendars/other").status == 404
    hidden = shop.call("GET", "/api/v1/calendars/other?project=default")
    absent = shop.call("GET", "/api/v1/calendars/other?project=nobody")
    assert hidden.json["detail"].replace("default", "nobody") == absent.json["detail"]
    assert make(reader, "x").status == 403
    # Schedules likewise: an id of another project is as one that there is not.
    mine = boss.post("/schedules", {"name": "nightly", "type": "noop", "cron_expression": "0 3 * * *"})
    hidden = shop.call("GET", f"/api/v1/schedules/{mine['id']}")
    absent = shop.call("GET", f"/api/v1/schedules/{mine['id'][:-4]}ffff")
    assert (hidden.status, absent.status) == (404, 404)
    assert hidden.json["detail"].replace(mine["id"], "") == absent.json["detail"].replace(mine["id"][:-4] + "ffff", "")
    for method, path, body in [("PUT", "", {"queue": "x"}), ("DELETE", "", None), ("POST", "/run", None), ("POST", "/disable", None),
                               ("POST", "/rollback", {"version": 1}), ("GET", "/versions", None), ("GET", "/ticks", None),
                               ("GET", "/history", None), ("GET", "/preview", None), ("GET", "/why?at=2026-01-01T00:00:00Z", None),
                               ("POST", "/backfill", {"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"})]:
        answer = shop.call(method, f"/api/v1/schedules/{mine['id']}{path}", body)
        assert answer.status == 404, (method, path, answer)
    assert shop.call("POST", "/api/v1/schedules", {"name": "x", "type": "noop", "cron_expression": "0 3 * * *", "project": "default"}).status == 404
    assert shop.post("/schedules", {"name": "x", "type": "noop", "cron_expression": "0 3 * * *"})["project"] == "shop"
    assert [s["name"] for s in shop.get("/schedules/export")["schedules"]] == ["x"]
    document = {"schedules": [{"name": "y", "type": "noop", "cron_expression": "0 3 * * *", "project": "default"}]}
    assert shop.call("POST", "/api/v1/schedules/import", document).status == 400
    assert jm.db.value("SELECT count(*) FROM schedules WHERE project = 'default'") == 1
