"""What the pages of docs/migrate name is there: commands with their options, and routes."""
import json
import re
import subprocess

import pytest

from lib.paths import ROOT, bin_dir

PAGES = sorted((ROOT / "docs/migrate").glob("*.md"))


def run(program, *args):
    return subprocess.run([bin_dir() / program, *args], capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def routes():
    found = set()
    for line in run("jobmill-producer", "--print-routes").splitlines():
        method, path = line.split()[:2]
        found.add((method, re.sub(r"\{[^}]*\}", "{}", path.removeprefix("/api/v1"))))
    return found


def code(text):
    return re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S)) + re.findall(r"```\n(.*?)```", text, re.S)


def commands(text):
    for part in code(text):
        for line in part.replace("\\\n", " ").splitlines():
            if line.startswith("jobmill ") and re.match(r"jobmill [a-z]+", line):
                yield line


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_commands_are_there(page):
    helps = {}
    for line in commands(page.read_text()):
        words = [word for word in line.split(" -- ")[0].split()[1:3] if re.fullmatch(r"[a-z]+", word)]
        key = tuple(words)
        if key not in helps:
            done = subprocess.run([bin_dir() / "jobmill", *words, "--help"], capture_output=True, text=True, check=False)
            if done.returncode and len(words) == 2:  # a noun that is a command, with an operand
                done = subprocess.run([bin_dir() / "jobmill", words[0], "--help"], capture_output=True, text=True, check=False)
            assert done.returncode == 0, line
            helps[key] = done.stdout
        for option in re.findall(r"(?<=\s)--[a-z][a-z0-9-]+", line.split(" -- ")[0]):
            assert re.search(rf"^  {option}\b", helps[key], re.M), line


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_routes_are_there(page, routes):
    """METHOD /path, METHOD, METHOD /path; what follows a ? is no path."""
    for part in code(page.read_text()):
        found = re.match(r"(GET|POST|PUT|PATCH|DELETE) (/\S+)", part)
        if not found:
            continue
        path = re.sub(r"\{[^}]*\}", "{}", found[2].split("?")[0].removeprefix("/api/v1"))
        known = {re.sub(r"^/api/v1", "", p) for m, p in routes if m == found[1]}
        assert path in known, (page.name, part)


TYPES = [(page, text) for page in PAGES for text in re.findall(r"```json\n(.*?)```", page.read_text(), re.S)]


def test_there_is_something_to_look_at():
    assert sum(len(list(commands(page.read_text()))) for page in PAGES) > 50 and len(TYPES) == 5


@pytest.mark.parametrize("page,text", TYPES, ids=[page.stem for page, _ in TYPES])
def test_job_types_are_right(page, text, tmp_path):
    definition = json.loads(text)
    for step in definition["steps"]:
        step["exec"]["argv"][0] = "/bin/true"  # theirs is not here
    path = tmp_path / f"{definition['type']}.json"
    path.write_text(json.dumps(definition))
    done = subprocess.run([bin_dir() / "jobmill", "type", "check", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
