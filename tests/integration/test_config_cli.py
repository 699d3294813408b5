"""Configuration and the command line, as scripts use them."""
import os
import subprocess

import pytest

from lib.paths import ROOT, bin_dir

PROGRAMS = ["jobmill-worker", "jobmill-producer", "jobmill"]
DAEMONS = PROGRAMS[:2]


def run(program, *args, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("JOBMILL_")}
    return subprocess.run([bin_dir() / program, *args], env={**clean, **env}, capture_output=True,
                          text=True, timeout=30, check=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version(program):
    done = run(program, "--help")
    assert done.returncode == 0 and "Usage" in done.stdout or "usage" in done.stdout.lower()
    assert run(program, "--version").stdout.split()[-1].count(".") == 2


@pytest.mark.parametrize("program", DAEMONS)
def test_sources_in_order(tmp, program):
    """File, then environment, then command line; each value says where it came from."""
    conf = tmp / "a.conf"
    conf.write_text("[topics]\nprefix = from-file\npartitions = 3\n[worker]\nlease_s = 7\n")
    done = run(program, "--config", str(conf), "--print-config", "--worker.lease_s=9",
               JOBMILL_TOPICS_PARTITIONS="5")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()

    def line(key):
        return next(x for x in lines if x.strip().startswith(key))
    assert "from-file" in line("prefix") and "5" in line("partitions") and "9" in line("lease_s")


@pytest.mark.parametrize("program", DAEMONS)
@pytest.mark.parametrize("argument, near", [("--worker.lease=5", "lease_s"),
                                            ("--wroker.lease_s=5", "worker")])
def test_unknown_key_names_the_nearest(program, argument, near):
    done = run(program, argument)
    assert done.returncode == 2 and near in done.stderr


@pytest.mark.parametrize("argument", ["--worker.lease_s=1", "--worker.lease_s=x",
                                      "--worker.queues=A", "--topics.prefix=a b",
                                      "--log.level=loud"])
def test_values_are_checked(argument):
    done = run("jobmill-worker", argument)
    assert done.returncode == 2 and argument[2:].split("=")[0] in done.stderr


@pytest.mark.parametrize("program", DAEMONS)
def test_unknown_environment_name(program):
    assert run(program, "--print-config", JOBMILL_WORKER_LEASES="5").returncode == 2


@pytest.mark.parametrize("program", DAEMONS)
def test_passwords_are_masked(program):
    url = "postgresql://me:s3cret-pw@127.0.0.1:1/x"
    done = run(program, "--print-config", JOBMILL_DATABASE_URL=url,
               JOBMILL_KAFKA_SASL_PASSWORD="kafka-s3cret")
    assert "s3cret" not in done.stdout + done.stderr


def test_passwords_do_not_enter_the_log(jm_sql):
    """With the database not to be reached, the worker says so without the password."""
    jm_sql.database_url = "postgresql://me:s3cret-pw@127.0.0.1:1/x"
    worker = jm_sql.start_worker(wait=False)
    from lib.wait import wait_until
    wait_until(lambda: worker.text().strip(), 20)
    worker.terminate()
    assert "s3cret" not in worker.text()


@pytest.mark.parametrize("args, code", [
    (["nonsense"], 2), (["job"], 2), (["job", "nonsense"], 2), (["job", "show"], 2),
    (["job", "submit", "--type"], 2), (["job", "list", "--nonsense"], 2)])
def test_usage_errors_are_2(args, code):
    done = run("jobmill", *args)
    assert done.returncode == code, done.stderr
    assert done.stderr.strip()


@pytest.mark.parametrize("args", [["--help"], ["job", "--help"], ["job", "submit", "--help"],
                                  ["schedule", "--help"], ["schema", "--help"]])
def test_help_of_every_level(args):
    done = run("jobmill", *args)
    assert done.returncode == 0 and done.stdout.strip()


def test_unreachable_database_is_1(tmp):
    done = run("jobmill", "job", "list", JOBMILL_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert done.returncode == 1 and done.stderr.strip()


def test_topics(jm):
    jm.cli("topics", "create", "mail")
    jm.cli("topics", "create", "mail")
    listed = jm.cli("topics", "list").out
    assert "mail" in listed and "default" in listed
    jm.kafka.made.append(jm.topic_name("mail"))


def test_doctor(jm):
    """All well: 0; a database that breaks the promises, or no broker: 1, with a word on how to mend."""
    jm.start_worker()
    good = jm.cli("doctor", check=False)
    assert good.code == 0, good
    bad = jm.cli("doctor", "--kafka.bootstrap.servers=127.0.0.1:1", check=False)
    assert bad.code == 1
    name = jm.database_url.rsplit("/", 1)[1]
    jm.db.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    bad = jm.cli("doctor", check=False)
    assert bad.code == 1 and "synchronous_commit" in bad.out + bad.err


def test_run_needs_neither_kafka_nor_database(make_stack):
    stack = make_stack(None, None)
    stack.job_type("hello", ["/bin/sh", "-c", "echo '{\"x\": 1}'"])
    done = stack.cli("run", "hello", f"--worker.jobs_dir={stack.jobs_dir}", check=False)
    assert done.code == 0 and '"x"' in done.out, done
    checked = stack.cli("type", "check", str(stack.jobs_dir / "hello.json"), check=False)
    assert checked.code == 0, checked
    (stack.jobs_dir / "bad.json").write_text('{"type": "bad",\n "stepz": []}')
    checked = stack.cli("type", "check", str(stack.jobs_dir / "bad.json"), check=False)
    assert checked.code != 0 and "bad.json:2" in checked.out + checked.err and "steps" in \
        checked.out + checked.err


def test_generated_files_are_up_to_date():
    """docs/configuration.md and the sample file are what the table gives."""
    for option, path in (("--print-config-markdown", "docs/configuration.md"),
                         ("--print-config-sample", "compose/jobmill.conf.sample")):
        if not (ROOT / path).exists():
            pytest.skip(f"{path} is not there")
        done = run("jobmill", option)
        if done.returncode == 2:
            pytest.skip(f"no {option}")
        assert done.stdout == (ROOT / path).read_text()
