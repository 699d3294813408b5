"""What every case of the benchmark works with: servers, fresh stacks, the load, and how a rate is read."""
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import uuid

from lib.database import Server
from lib.paths import bin_dir
from lib.servers import Kafka, Postgres, kafka_available
from lib.stack import Stack
from lib.wait import wait_until

NOOP = '{"type":"noop"}'
PARTITIONS = 6
TICKS = os.sysconf("SC_CLK_TCK")


class Missing(Exception):
    """What a case needs is not in this version; the text says what."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


class Bench:
    def __init__(self, directory, args):
        self.dir = directory
        self.args = args
        self.servers = []
        self.stacks = []
        self.processes = []
        self.n = 0
        self.databases = None
        self.history_stack = None

    def start(self):
        """Servers, unless the environment names some."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
        self.url = os.environ.get("JOBMILL_DATABASE_URL")
        if not self.url:
            self.servers.append(Postgres(self.dir / "postgres").create().start())
            self.url = self.servers[-1].url
        self.bootstrap = os.environ.get("JOBMILL_KAFKA_BOOTSTRAP_SERVERS")
        if not self.bootstrap:
            if not kafka_available():
                sys.exit("no Kafka broker: run `./dev up` first, or name one")
            self.servers.append(Kafka(self.dir / "kafka").create().start())
            self.bootstrap = self.servers[-1].bootstrap
        os.environ.setdefault("JOBMILL_TEST_RUN", "bench" + uuid.uuid4().hex[:4])
        self.databases = Server(self.url, self.dir)

    def stack(self):
        """A fresh database, topic and directory, and no checkpoint of an earlier case still to come."""
        self.n += 1
        path = self.dir / f"run{self.n}"
        path.mkdir()
        path.chmod(0o755)
        stack = Stack(path, self.databases.create(), self.bootstrap)
        self.stacks.append(stack)
        stack.topic(partitions=PARTITIONS)
        stack.db.execute("CHECKPOINT")
        return stack

    def drop(self, stack, quietly=False):
        self.stacks.remove(stack)
        wrong = stack.finish()
        stack.kafka.delete()
        self.databases.drop(stack.database_url)
        shutil.rmtree(stack.dir, ignore_errors=True)
        if wrong and not quietly:
            raise RuntimeError("\n".join(wrong))

    def drop_all(self):
        """What a case that failed has left; the history stays for the next round."""
        for stack in [s for s in self.stacks if s is not self.history_stack]:
            self.drop(stack, quietly=True)
        self.end_processes()

    def close(self):
        self.history_stack = None
        if self.databases:
            self.drop_all()
            self.databases.drop_run()
        for server in self.servers:
            server.destroy()

    def process(self, argv, **options):
        """A helper process that ends with the case."""
        process = subprocess.Popen([str(a) for a in argv], text=True, **options)
        self.processes.append(process)
        return process

    def end_processes(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)
        self.processes = []

    def load_argv(self, stack, count, value=NOOP, keys=0, rate=0):
        return [bin_dir() / "bench_load", self.bootstrap, stack.topic_name(), str(count), value,
                str(keys), str(rate)]

    def load(self, stack, count, value=NOOP, **more):
        subprocess.run(self.load_argv(stack, count, value, **more), check=True, timeout=300)

    def worker(self, stack, **config):
        """A worker with the slots of the benchmark."""
        config.setdefault("concurrency_async", self.args.async_slots)
        try:
            return stack.start_worker(**config)
        except (RuntimeError, AssertionError):
            said = stack.programs[-1].text()
            for line in said.splitlines():
                if "not supported" in line or "unknown" in line:
                    raise Missing(line.split("worker: ", 1)[-1]) from None
            raise

    def probe(self, stack, message, what):
        """One job before the load: a version that cannot run it says so here. A worker must run."""
        worker = stack.programs[-1]
        stack.send(message)
        try:
            stack.wait_ended(1, timeout=20)
        except AssertionError:
            wait = stack.db.one("SELECT reason FROM pending_jobs LIMIT 1")
            dead = stack.db.one("SELECT detail FROM dead_letters LIMIT 1")
            refused = [line for line in worker.text().splitlines() if stack.jobs_dir.name in line]
            said = (dead or wait or refused[-1:] or ["no job appeared"])[0]
            raise Missing(f"{what}: {said}") from None
        status, error = stack.db.one("SELECT status, error FROM jobs")
        if status != "completed":
            raise Missing(f"{what}: the job {status}: {error}")

    def wait_done(self, stack, count, timeout=600):
        """Waits until so many jobs are recorded, without asking much of the database."""
        def done():
            return stack.db.value("SELECT coalesce(sum(jobs), 0) FROM job_stats") >= count
        wait_until(done, timeout, 0.2, f"{count} jobs")

    def check_all_completed(self, stack, count):
        states = stack.db.statuses()
        if states != {"completed": count}:
            raise RuntimeError(f"expected {count} completed jobs, found {states}")

    def rate(self, stack, count, where="true", column="created_at"):
        """From the accepting of the first to the recording of the last."""
        seconds = stack.db.value(f"SELECT extract(epoch FROM max(updated_at) - min({column})) "
                                 f"FROM jobs WHERE {where}")
        return count / float(seconds)

    def server_cpu_s(self):
        """CPU seconds of PostgreSQL, its ended processes too; None when it is on another machine."""
        with self.databases._admin() as conn:
            backend = conn.execute("SELECT pg_backend_pid()").fetchone()[0]
            found = stat_of(backend)
        if not found or found[0] != "postgres":
            return None
        postmaster = found[1][1]
        total = sum(int(f) for f in stat_of(postmaster)[1][11:15])
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            found = stat_of(path.name)
            if found and found[1][1] == postmaster:
                total += int(found[1][11]) + int(found[1][12])
        return total / TICKS


def stat_of(pid):
    """(name, fields behind it) of /proc/PID/stat, or None."""
    try:
        name, rest = pathlib.Path(f"/proc/{pid}/stat").read_text().split("(", 1)[1].rsplit(")", 1)
    except OSError:
        return None
    return name, rest.split()
