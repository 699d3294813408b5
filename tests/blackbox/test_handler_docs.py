"""docs/handlers.md cannot rot: its handlers run, and its transcripts are replayed, by the worker's own step runner."""
import json
import os
import re
import subprocess

import pytest

from lib.paths import PYTHON, ROOT, bin_dir
from lib.transcript import read

DOCS = (ROOT / "docs" / "handlers.md").read_text()
TRANSCRIPTS = sorted((ROOT / "tests" / "corpus" / "handler").glob("*.txt"))
EXAMPLES = dict(re.findall(r"^`(copyrows[\w.]+)`[^\n]*:\n\n```\w+\n(.*?)^```$", DOCS, re.S | re.M))
PROGRAMS = {".sh": ["/bin/sh"], ".py": [PYTHON], ".mjs": ["node"]}


def run(path, *args):
    done = subprocess.run([bin_dir() / "jobmill-worker", "run", path, *args,
                           f"--worker.work_dir={os.path.dirname(path)}/work"], capture_output=True, text=True, timeout=60,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def definition(tmp, argv, **more):
    path = tmp / "copy.json"
    path.write_text(json.dumps({"type": "copy", "backoff": {"initial_s": 0.01}, "steps": [
        {"name": "run", "exec": {"argv": argv, "env": {"PATH": os.environ["PATH"]}, **more}}]}))
    return str(path)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path, tmp):
    assert path.read_text() in DOCS
    lines = read(path)
    jobs = sum(what == "stdin" for what, _ in lines)
    argv = [PYTHON, str(ROOT / "tests" / "lib" / "transcript.py"), str(path)]
    loop = {"mode": "loop"} if "loop" in path.stem else {}
    code, out, err = run(definition(tmp, argv, **loop), "--params", lines[0][1], "--attempts", str(jobs))
    wanted = [rest.partition(" ") for what, rest in lines if what == "gives"]
    assert code == (0 if ("status", " ", "completed") in wanted else 1), err
    for what, _, text in wanted:
        if what == "result":
            assert out == text + "\n", err
        elif what == "error":
            assert "failed in " in err and f": {text}" in err, err
        elif what == "log":
            level, _, message = text.partition(" ")
            assert re.search(rf"^ *[\d.]+  {level} +run: {re.escape(message)}( |$)", err, re.M), err


def test_every_transcript_is_there():
    assert {path.stem for path in TRANSCRIPTS} >= {"once", "permanent", "broken", "loop", "loop_broken"}
    assert set(EXAMPLES) == {"copyrows.sh", "copyrows_plain.py", "copyrows.py", "copyrows.mjs"}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example(name, tmp):
    script = tmp / name
    script.write_text(EXAMPLES[name])
    assert EXAMPLES[name].count("\n") <= 40
    argv = [*PROGRAMS[script.suffix], str(script)]
    modes = [{}, {"mode": "loop"}] if name in ("copyrows.py", "copyrows.mjs") else [{}]
    for mode in modes:
        path = definition(tmp, argv, **mode)
        code, out, err = run(path, "--params", '{"rows": 250}')
        assert code == 0 and json.loads(out) == {"rows": 250}, err
        assert "copying 250 rows" in err and 'metadata: {"region":"eu"}' in err
        assert re.search(r"verify: success in \d+ ms  \{\"checksum\":", err), err
        assert re.search(r'progress: \{"total":250,"ok":250\}', err) and '"name":"report.csv","size":9' in err, err
        code, out, err = run(path, "--attempts", "3")
        assert code == 1 and "params.rows is missing" in err and "(permanent)" in err, err


def test_bash_loop(tmp):
    body, = re.findall(r"^In bash:\n\n```sh\n(.*?)```", DOCS, re.S | re.M)
    code, out, err = run(definition(tmp, ["bash", "-c", body], mode="loop"))
    assert code == 0 and json.loads(out)["length"] > 100, err
