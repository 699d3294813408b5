"""What comes from the table of commands beside the parser: help, man pages, docs/cli.md, completion in bash, zsh and fish."""
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import time

import pytest

from lib.paths import ROOT, bin_dir

# Each noun and verb of the contract; what it has beside them may stand in the table too.
COMMANDS = {
    "schema": "init migrate status reset",
    "topics": "create list recreate",
    "job": "submit list show logs steps result cancel retry delete search recent stats wait",
    "schedule": "add list show update delete enable disable pause resume run backfill history ticks versions rollback preview "
                "export import sync",
    "dead": "list show redrive",
    "worker": "list",
    "type": "list show check test",
    "lock": "list set acquire extend release run",
    "calendar": "add list show delete import",
    "document": "get set history diff rollback",
    "key": "create list revoke",
    "project": "add list show delete",
    "audit": "list",
    "cleanup": "",
    "backup": "",
    "restore": "",
    "run": "",
    "doctor": "",
}


def jobmill(*args):
    done = subprocess.run([bin_dir() / "jobmill", *args], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (args, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def table():
    """{noun: {verb: set of options}} as --help tells it."""
    nouns = re.findall(r"^  (\S+) +\S", jobmill("--help").split("\nNouns:\n")[1].split("\n\n")[0], re.M)
    out = {}
    for noun in nouns:
        text = jobmill(noun, "--help")
        if "\nVerbs:\n" not in text:
            out[noun] = {"": options_of(text)}
            continue
        verbs = re.findall(r"^  (\S+) +\S", text.split("\nVerbs:\n")[1].split("\n\n")[0], re.M)
        out[noun] = {verb: options_of(jobmill(noun, verb, "--help")) for verb in verbs}
    return out


def options_of(text):
    part = text.split("\nOptions:\n")
    return set(re.findall(r"^  (--[a-z0-9-]+)", part[1].split("\n\n")[0], re.M)) if len(part) > 1 else set()


def test_every_command_of_the_contract_is_there(table):
    missing = {(noun, verb) for noun, verbs in COMMANDS.items() for verb in verbs.split() or [""]
               if verb not in table.get(noun, {})}
    assert not missing


def sections(text):
    return {verb: part for verb, part in re.findall(r"^## ([^\n]+)\n(.*?)(?=^#|\Z)", text, re.M | re.S)}


def test_man_pages_have_every_verb_and_option(table):
    pages = jobmill("--print-man").split()
    assert set(pages) == {"jobmill.1", "jobmill.conf.5"} | {f"jobmill-{noun}.1" for noun in table}
    program = jobmill("--print-man", "jobmill")
    for noun, verbs in table.items():
        text = jobmill("--print-man", noun)
        assert f"*jobmill-{noun}*(1)" in program
        parts = sections(text) if "" not in verbs else {"": text}
        assert set(parts) == set(verbs), noun
        for verb, options in verbs.items():
            assert set(re.findall(r"^\*(--[a-z0-9-]+)\*", parts[verb], re.M)) == options, (noun, verb)


def test_the_reference_has_every_verb_and_option(table):
    text = (ROOT / "docs/cli.md").read_text()
    parts = {name: part for name, part in re.findall(r"^### jobmill ([^\n]+)\n(.*?)(?=^##|\Z)", text, re.M | re.S)}
    assert set(parts) == {f"{noun} {verb}".strip() for noun, verbs in table.items() for verb in verbs}
    for noun, verbs in table.items():
        for verb, options in verbs.items():
            rows = set(re.findall(r"^\| `(--[a-z0-9-]+)", parts[f"{noun} {verb}".strip()], re.M))
            assert rows == options, (noun, verb)


def need(program):
    path = shutil.which(program)
    if not path:
        assert not os.environ.get("CI"), f"{program} is missing"
        pytest.skip(f"no {program}")
    return path


def test_man_pages_are_pages(tmp_path):
    need("scdoc")
    subprocess.run([ROOT / "compose/manpages.sh", bin_dir() / "jobmill", tmp_path / "share"], check=True, timeout=120)
    pages = {page.name: page.read_text() for page in (tmp_path / "share/man").glob("man*/*")}
    assert set(pages) == set(jobmill("--print-man").split()) | {"jobmill-worker.8", "jobmill-producer.8"}
    for name, text in pages.items():
        assert f'.TH "{name[:-2]}" "{name[-1]}"' in text
    assert "interval" not in pages["jobmill.1"] and r"\fBjobmill job submit\fR --type" not in pages["jobmill.1"]
    # Nothing of a text has become markup: a name with underscores stays one.
    assert "auto_migrate" in pages["jobmill.conf.5"] and r"@\fI" not in pages["jobmill.conf.5"]
    for script in "bash-completion/completions/jobmill", "zsh/site-functions/_jobmill", "fish/vendor_completions.d/jobmill.fish":
        assert (tmp_path / "share" / script).stat().st_size > 1000


# ---- completion ----

CASES = [
    ("sched", {"schedule"}),
    ("job l", {"list", "logs"}),
    ("job list --status ", {"pending", "running", "completed", "failed", "cancelled", "expired"}),
    ("job list --status fa", {"failed"}),
    ("--config /dev/null lock ac", {"acquire"}),
    ("job logs x --lev", {"--level"}),
    ("schedule ticks nightly --kind b", {"backfill"}),
    ("job list --color ne", {"never"}),
    ("schedule add x --dry", {"--dry-run"}),
    ("worker list --a", {"--all"}),
    ("doctor --js", {"--json"}),
    ("schedule import ./uniq", {"./unique.json"}),
    ("job list --type ", set()),
]


@pytest.fixture
def completion(tmp_path):
    (tmp_path / "unique.json").write_text("{}")
    os.chdir(tmp_path)

    def script(shell):
        path = tmp_path / f"completion.{shell}"
        path.write_text(jobmill("--print-completion", shell))
        done = subprocess.run([need(shell), "-n", path], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 and not done.stderr, done
        return path
    yield script
    os.chdir(ROOT)


def in_bash(script, line):
    words = ["jobmill"] + [word for word in re.split(r"(=)|\s+", line) if word is not None]
    words = [word for word in words[:-1] if word] + words[-1:]
    code = (f"source {script}; COMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}; _jobmill; "
            "printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr, done
    return set(done.stdout.split())


@pytest.mark.parametrize("line,words", CASES, ids=[c[0] for c in CASES])
def test_bash(completion, line, words):
    assert in_bash(completion("bash"), line) == words


def test_bash_takes_values_behind_an_equals_sign(completion):
    script = completion("bash")
    assert in_bash(script, "job list --status=") >= {"pending", "failed"}
    assert in_bash(script, "job list --status=c") == {"completed", "cancelled"}


def test_bash_knows_every_option(completion, table):
    script = completion("bash")
    everywhere = {"--json", "--color", "--config", "--help"}
    for noun, verbs in table.items():
        for verb, options in verbs.items():
            assert in_bash(script, f"{noun} {verb} --".replace("  ", " ")) == options | everywhere, (noun, verb)


def in_fish(script, line):
    done = subprocess.run([need("fish"), "--no-config", "-c", f"source {script}; complete -C {shlex.quote('jobmill ' + line)}"],
                          capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr, done.stderr[:2000]
    return {row.split("\t")[0] for row in done.stdout.splitlines()}


@pytest.mark.parametrize("line,words", CASES, ids=[c[0] for c in CASES])
def test_fish(completion, line, words):
    assert in_fish(completion("fish"), line) == words


class Zsh:
    """A zsh on a terminal of its own, with the completion loaded."""

    def __init__(self, script):
        zsh = need("zsh")
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", PS1="$ ")
            os.execv(zsh, ["zsh", "-f", "-i"])
        self.type(f"autoload -U compinit; compinit -u -D; source {script}; echo loa''ded\n")
        self.wait("loaded\r\n")

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self, what):
        end = time.monotonic() + 30
        while what not in self.seen:
            assert time.monotonic() < end, (what, self.seen)
            if select.select([self.fd], [], [], 0.5)[0]:
                self.seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x08.", "", os.read(self.fd, 65536).decode(errors="replace"))

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.mark.parametrize("line,words", [c for c in CASES if len(c[1]) == 1], ids=[c[0] for c in CASES if len(c[1]) == 1])
def test_zsh(completion, line, words):
    """One word that is left is put into the line, so that the next one typed stands behind it."""
    zsh = Zsh(completion("zsh"))
    try:
        word, = words
        zsh.seen = ""
        zsh.type(f"echo '['; : jobmill; jobmill_test() {{ print -r -- \"got:$*:\" }}\n")
        zsh.wait("[\r\n")
        zsh.type("compdef _jobmill jobmill_test\n")
        zsh.type(f"jobmill_test {line}\t\n")
        zsh.wait("got:")
        zsh.wait(":\r\n")
        got = zsh.seen.split("got:")[-1].split(":\r\n")[0].split()[-1]
        assert got.rstrip("=") == word
    finally:
        zsh.close()
