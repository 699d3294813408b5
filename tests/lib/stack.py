"""Everything one test works with: a database, topics, a directory, and our programs on them."""
import json
import os
import pathlib
import subprocess
import sys
import uuid

from lib import invariants
from lib.database import Db
from lib.paths import bin_dir
from lib.procs import Program, end_all, sanitizer_report
from lib.topics import Topics
from lib.wait import wait_until

SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:abort_on_error=0:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "exitcode=66:ignore_noninstrumented_modules=1:history_size=4",
}
READY_S = 60


class Result:
    """What a command said."""

    def __init__(self, argv, done):
        self.argv = argv
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"{' '.join(self.argv)} → {self.code}\n{self.out}\n{self.err}"


class Stack:
    def __init__(self, directory, database_url, bootstrap, prefix=None):
        self.dir = pathlib.Path(directory)
        self.database_url = database_url
        self.bootstrap = bootstrap
        self.prefix = prefix or "jmt." + uuid.uuid4().hex[:12]
        self.jobs_dir = self.dir / "jobs.d"
        self.jobs_dir.mkdir(exist_ok=True)
        self.programs = []
        self.counts = {}
        self.db = Db(database_url) if database_url else None
        self.kafka = Topics(bootstrap) if bootstrap else None

    # Set-up

    def env(self, **more):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith("JOBMILL_") and k not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}
        for name, value in SANITIZERS.items():
            env.setdefault(name, value)
        if self.database_url:
            env["JOBMILL_DATABASE_URL"] = self.database_url
        if self.bootstrap:
            env["JOBMILL_KAFKA_BOOTSTRAP_SERVERS"] = self.bootstrap
        env["JOBMILL_TOPICS_PREFIX"] = self.prefix
        env.update(more)
        return env

    def topic(self, queue="default", partitions=4):
        """Makes the topic of a queue; returns its name."""
        return self.kafka.create(self.topic_name(queue), partitions)

    def topic_name(self, queue="default"):
        return f"{self.prefix}.jobs.{queue}"

    @property
    def events_topic(self):
        return f"{self.prefix}.events"

    def group(self, queue="default"):
        return f"{self.prefix}.{queue}"

    def job_type(self, name, *steps, **more):
        """Writes jobs.d/<name>.json; a step is a list of arguments for exec, or a whole object."""
        objects = [{"name": f"s{i}", "exec": {"argv": s}} if isinstance(s, list) else s
                   for i, s in enumerate(steps, 1)]
        definition = {"type": name, "steps": objects, **more}
        path = self.jobs_dir / f"{name}.json"
        path.write_text(json.dumps(definition))
        return path

    def script(self, name, text):
        """An executable file; returns its path."""
        path = self.dir / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    # Programs

    def _start(self, program, args, config, section, wait, env):
        count = self.counts[program] = self.counts.get(program, 0) + 1
        argv = [bin_dir() / program, *args]
        for key, value in config.items():
            argv.append(f"--{key if '.' in key else section + '.' + key}={value}")
        started = Program(argv, self.dir / f"{program}-{count}.log", env=self.env(**(env or {})),
                          name=f"{program}-{count}")
        self.programs.append(started)
        if wait:
            started.wait_log("ready:", READY_S)
        return started

    def start_worker(self, *args, wait=True, env=None, **config):
        if self.kafka and self.events_topic not in self.kafka.made:
            self.kafka.made.append(self.events_topic)  # the worker makes it; it goes with the test
        config.setdefault("jobs_dir", self.jobs_dir)
        return self._start("jobmill-worker", args, config, "worker", wait, env)

    def start_producer(self, *args, wait=True, env=None, **config):
        config.setdefault("http.listen", "127.0.0.1:0")
        return self._start("jobmill-producer", args, config, "relay", wait, env)

    def worker_id(self, program):
        """The row of a started worker or producer."""
        return wait_until(lambda: self.db.value(
            "SELECT id FROM workers WHERE pid = %s ORDER BY id DESC LIMIT 1", program.pid), 20,
            what=f"{program.name} registers")

    def cli(self, *args, check=True, env=None, timeout=60, stdin=None):
        argv = [str(bin_dir() / "jobmill"), *[str(a) for a in args]]
        done = subprocess.run(argv, env=self.env(**(env or {})), capture_output=True, text=True,
                              timeout=timeout, input=stdin)
        result = Result(argv, done)
        found = sanitizer_report(done.stderr)
        assert not found, found
        if check:
            assert result.code == 0, result
        return result

    # Conditions

    def send(self, *messages, queue="default", **more):
        return self.kafka.send(self.topic_name(queue), *messages, **more)

    def wait_ended(self, count, timeout=60, where="true", *args):
        """Waits until so many jobs have ended."""
        return wait_until(lambda: self.db.ended(where, *args) >= count, timeout, 0.1,
                          lambda: f"{count} jobs ended, of {self.db.statuses()}")

    def wait_status(self, job_id, status, timeout=30):
        def reached():
            job = self.db.job(job_id)
            assert job, f"no job {job_id}"
            assert job["status"] == status, f"{job['status']} (error {job['error']})"
            return job
        return wait_until(reached, timeout, what=f"job {job_id} is {status}")

    def wait_offsets(self, queue="default", timeout=30):
        """Waits until the group has committed everything that is in the topic."""
        topic = self.topic_name(queue)

        def done():
            ends = self.kafka.size(topic)
            have = sum(max(0, o) for o in self.kafka.committed(self.group(queue), topic).values())
            assert have == ends, f"{have} of {ends} records committed"
            return True
        return wait_until(done, timeout, 0.3, "offsets committed")

    def check(self, queues=("default",), **options):
        """The invariants program over this test's database and topics."""
        found = invariants.check(self.database_url, self.bootstrap,
                                 [self.topic_name(q) for q in queues], **options)
        assert not found, "invariants broken:\n" + "\n".join(found[:40])

    # The end

    def finish(self):
        """Ends every program; returns what was wrong."""
        wrong = end_all(self.programs)
        if self.db:
            self.db.close()
        return wrong

    def logs(self):
        return [(p.name, p.tail(80)) for p in self.programs]


def is_ci():
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")
