"""`jobmill type test`: a type against its fixtures, what it prints and how it exits. No servers."""
import json
import subprocess

import pytest

from lib.paths import bin_dir
from lib.procs import sanitizer_report

TYPE = {
    "type": "branch",
    "params_schema": {"required": ["region"]},
    "profiles": {"eu": {"region": "eu"}},
    "steps": [
        {"name": "count", "exec": {"argv": ["/bin/echo", '{"n": 7, "l": [1, 2]}']}, "set": {"n": "/n"}},
        {"name": "us", "noop": {}, "when": {"/params/region": "us"}},
        {"name": "old", "sleep": {}, "when": {"/metadata/old": True}}],
}
CASES = [
    {"name": "eu", "profile": "eu", "expect": {
        "result": {"n": 7.0, "l": [1, 2]}, "metadata": {"n": 7},
        "steps": {"count": {"status": "success", "attempts": 1, "data": {"n": 7}}, "us": "skipped", "old": "skipped"}}},
    {"name": "us", "params": {"region": "us"}, "expect": {"steps": {"us": "success"}}},
    {"name": "no region", "expect": {"status": "failed", "error": '"region" is missing'}},
    {"name": "too slow", "params": {"region": "eu", "seconds": 60}, "metadata": {"old": True}, "timeout_s": 1,
     "expect": {"status": "failed", "error": "timed out", "steps": {"old": {"status": "failed"}}}},
]


@pytest.fixture
def run(tmp_path):
    def run(cases, *args, kind=TYPE):
        (tmp_path / "branch.json").write_text(json.dumps(kind))
        if cases is not None:
            (tmp_path / "branch.tests.json").write_text(cases if isinstance(cases, str) else json.dumps(cases))
        done = subprocess.run([bin_dir() / "jobmill", "type", "test", tmp_path / "branch.json", *args],
                              capture_output=True, text=True, timeout=60, cwd=tmp_path)
        found = sanitizer_report(done.stderr)
        assert not found, found
        return done
    return run


def test_as_expected(run):
    done = run(CASES)
    assert done.stdout.splitlines() == ["1..4", "ok 1 - eu", "ok 2 - us", "ok 3 - no region", "ok 4 - too slow"]
    assert (done.returncode, done.stderr) == (0, "")


def test_as_json(run, tmp_path):
    done = run([{"name": "good", "profile": "eu", "expect": {}},
                {"name": "bad", "profile": "eu", "expect": {"status": "failed"}}], "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["failed"]) == (1, 1)
    assert [(case["name"], case["ok"]) for case in said["items"]] == [("good", True), ("bad", False)]
    assert '/status: expected "failed"' in said["items"][1]["differs"]
    (tmp_path / "broken.json").write_text("{")
    checked = subprocess.run([bin_dir() / "jobmill", "type", "check", "--json", tmp_path / "branch.json",
                              tmp_path / "broken.json"], capture_output=True, text=True, timeout=60)
    good, broken = json.loads(checked.stdout)["items"]
    assert checked.returncode == 1 and (good["ok"], good["type"], good["error"]) == (True, "branch", None)
    assert not broken["ok"] and "broken.json:1:" in broken["error"]
    ran = subprocess.run([bin_dir() / "jobmill", "run", "noop", "--json"], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


WRONG = [
    ({"result": {"n": 8, "l": [1, 2]}}, ["/result/n: expected 8, got 7"]),
    ({"result": {"n": 7, "l": [1], "x": None}}, ["/result/l/1: expected nothing, got 2",
                                                 "/result/x: expected null, got nothing"]),
    ({"steps": {"us": "success"}}, ['/steps/us: expected "success", got "skipped"']),
    ({"steps": {"su": "success"}}, ['/steps/su: expected "success", got nothing']),
    ({"metadata": {}}, ["/metadata/n: expected nothing, got 7"]),
    ({"status": "failed", "error": "boom"}, ['/status: expected "failed", got "completed"',
                                             '/error: expected "boom" in it, got nothing']),
]


@pytest.mark.parametrize("expect, lines", WRONG)
def test_not_as_expected(run, expect, lines):
    done = run([{"name": "good", "profile": "eu", "expect": {}}, {"name": "bad", "profile": "eu", "expect": expect}])
    out = done.stdout.splitlines()
    assert done.returncode == 1
    assert out[:3] == ["1..2", "ok 1 - good", "not ok 2 - bad"]
    assert out[3:3 + len(lines)] == ["#   " + line for line in lines]
    assert out[3 + len(lines)].startswith("#   log count: step count: success")


BROKEN = [
    (None, "branch.tests.json: unable to open"),
    ("[", "branch.tests.json:1:1: "),
    ("{}", "fixtures are a list of at least one case"),
    ([{"name": "x"}], "/0: the case has no expect"),
    ([{"name": "x", "expect": {}, "parms": {}}], '/0/parms: unknown key "parms", did you mean "params"?'),
    ([{"name": "x", "expect": {"status": "done"}}], "/0/expect/status: status must be one of completed, failed"),
    ([{"name": "x", "expect": {"stats": "done"}}], '/0/expect/stats: unknown key "stats", did you mean "status"?'),
]


@pytest.mark.parametrize("cases, message", BROKEN)
def test_broken_fixtures(run, cases, message):
    done = run(cases)
    assert done.returncode == 1 and message in done.stderr and not done.stdout, done


def test_a_broken_type(run):
    done = run(CASES, kind={**TYPE, "steps": []})
    assert done.returncode == 1 and "branch.json:1:" in done.stderr and "/steps: " in done.stderr


def test_other_fixtures_and_usage(run, tmp_path):
    (tmp_path / "other.json").write_text(json.dumps(CASES[:1]))
    assert run(None, "--fixtures", "other.json").returncode == 0
    assert run(CASES, "--fixture", "other.json").returncode == 2
    assert run(CASES, "second.json").returncode == 2


def test_fixtures_are_no_types(run, tmp_path):
    """They may lie in jobs.d: a run by name reads the directory."""
    run(CASES)
    done = subprocess.run([bin_dir() / "jobmill-worker", "run", "branch", "--profile", "eu",
                           f"--worker.jobs_dir={tmp_path}"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
