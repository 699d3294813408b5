"""Rules of job types from end to end: conditions of steps, schemas of params, and what a reload makes of wrong ones."""
import json
import signal


def test_when_skips_steps(jm):
    jm.job_type("branch",
                {"name": "count", "exec": {"argv": ["/bin/echo", '{"rows": 3}']}, "set": {"rows": "/rows"}},
                {"name": "none", "noop": {}, "when": {"/steps/count/rows": {"eq": 0}}},
                {"name": "eu", "noop": {}, "when": {"/params/region": "eu", "/metadata/rows": {"gt": 2}}},
                {"name": "last", "noop": {}, "when": {"/outcomes/none": "skipped"}})
    jm.start_worker()
    jm.send({"type": "branch", "id": "eu", "params": {"region": "eu"}}, {"type": "branch", "id": "us"})
    jm.wait_ended(2)
    rows = jm.db.query("SELECT external_id, name, s.status, attempts FROM job_steps s JOIN jobs j ON j.id = job_id "
                       "ORDER BY external_id, seq")
    assert rows == [("eu", "count", "success", 1), ("eu", "none", "skipped", 0), ("eu", "eu", "success", 1),
                    ("eu", "last", "success", 1), ("us", "count", "success", 1), ("us", "none", "skipped", 0),
                    ("us", "eu", "skipped", 0), ("us", "last", "success", 1)]
    assert jm.db.value("SELECT message FROM job_logs WHERE step = 'eu' AND message LIKE '%%skipped%%'") == \
        "step eu: skipped, when does not hold: /params/region eq \"eu\" (it is absent)"
    assert jm.db.statuses() == {"completed": 2}
    jm.check()


def test_a_retried_job_asks_again(jm):
    """The first attempt skips `gate`, sets metadata in `mark` and fails in `once`: the second finds it set."""
    once = jm.script("once.py", f"""#!/usr/bin/python3
import os, sys
if not os.path.exists("{jm.dir}/mark"):
    open("{jm.dir}/mark", "w").close()
    sys.exit(1)
""")
    jm.job_type("again",
                {"name": "gate", "noop": {}, "when": {"/metadata/seen": 1}},
                {"name": "mark", "exec": {"argv": ["/bin/echo", '{"seen": 1}']}, "set": {"seen": "/seen"}},
                {"name": "once", "exec": {"argv": [once]}}, backoff={"initial_s": 0.1})
    jm.start_worker()
    jm.send({"type": "again"})
    jm.wait_ended(1)
    rows = jm.db.query("SELECT attempt, name, status FROM job_steps ORDER BY attempt, seq")
    assert rows == [(1, "gate", "skipped"), (1, "mark", "success"), (1, "once", "failed"),
                    (2, "gate", "success"), (2, "once", "success")]
    jm.check()


def test_params_must_fit(jm):
    jm.job_type("strict", {"name": "run", "noop": {}}, max_attempts=5, profiles={"eu": {"region": "eu"}},
                params_schema={"type": "object", "required": ["region"], "additionalProperties": False,
                               "properties": {"region": {"enum": ["eu", "us"]}, "n": {"type": "integer"}}})
    jm.start_worker()
    jm.send({"type": "strict", "id": "good", "profile": "eu", "params": {"n": 3}},
            {"type": "strict", "id": "bad", "params": {"region": "ue"}},
            {"type": "strict", "id": "typo", "profile": "eu", "params": {"regoin": "eu"}})
    jm.wait_ended(3)
    jobs = {j["external_id"]: (j["status"], j["attempt"], j["error"]) for j in jm.db.rows("SELECT * FROM jobs")}
    assert jobs["good"] == ("completed", 1, None)
    assert jobs["bad"] == ("failed", 1, 'params do not fit params_schema: /params/region: must be one of '
                                        '["eu","us"], and is "ue"')
    assert jobs["typo"] == ("failed", 1, 'params do not fit params_schema: /params/regoin: there is no such '
                                         'member, did you mean "region"?')
    jm.check()


WRONG = [
    ({"params_schema": {"properties": {"n": {"minimun": 1}}}},
     '/params_schema/properties/n/minimun: "minimun" is not among the keywords of JSON Schema that are checked, '
     'did you mean "minimum"?'),
    ({"steps": [{"name": "run", "noop": {}, "when": {"/steps/other/x": 1}}]},
     '/steps/0/when/~1steps~1other~1x: there is no step "other" before this one'),
    ({"steps": [{"name": "run", "plugin": {"path": "/no/such.so", "symbol": "x"}}]},
     "/steps/0/plugin/path: /no/such.so: cannot open shared object file"),
]


def test_a_reload_refuses_what_is_wrong(jm):
    path = jm.job_type("t", {"name": "run", "noop": {}})
    worker = jm.start_worker()
    for count, (wrong, message) in enumerate(WRONG, 1):
        path.write_text(json.dumps({"type": "t", "steps": [{"name": "run", "noop": {}}], **wrong}, indent=1))
        done = jm.cli("type", "check", path, check=False)
        assert done.code == 1 and message in done.err, done
        assert done.err.split(":")[1].isdigit() and done.err.split(":")[2].isdigit(), done
        worker.signal(signal.SIGHUP)
        worker.wait_log(message.split(":")[0], 10)
        jm.send({"type": "t"})
        jm.wait_ended(count)
    assert jm.db.statuses() == {"completed": len(WRONG)}
