"""Real PostgreSQL and Kafka servers of the tests' own, which tests may stop, freeze and restart."""
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time

import psycopg

from lib.paths import ROOT
from lib.wait import wait_until


_PORTS = range(10000, 20000)  # below those that the kernel gives to who connects, and those of compose/local
_claims = []


def free_port():
    """A port of 127.0.0.1 for a server that is told its port, and may start on it late or again. It is this process's
    as long as it runs: a name in the abstract namespace of Unix sockets keeps other tests from it."""
    while True:
        port = random.choice(_PORTS)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0jobmill-test-port-{port}")
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port


def pg_bin():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"),
                   key=lambda p: int(p.parent.name))
    if found:
        return found[-1]
    initdb = shutil.which("initdb")
    return pathlib.Path(initdb).parent if initdb else None


class Postgres:
    """A cluster in a directory of its own, with PostgreSQL's default durability."""

    def __init__(self, directory, port=None):
        self.dir = pathlib.Path(directory)
        self.data = self.dir / "data"
        self.log = self.dir / "postgres.log"
        self.port = port or free_port()
        self.process = None
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

    @property
    def url(self):
        return f"postgresql://jobmill@127.0.0.1:{self.port}/postgres"

    def database_url(self, name):
        return f"postgresql://jobmill@127.0.0.1:{self.port}/{name}"

    def _as_owner(self, argv):
        if os.geteuid() == 0:
            return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups",
                    "--inh-caps=-all", *argv]
        return argv

    def create(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.dir, self.user)
        subprocess.run(
            self._as_owner([str(pg_bin() / "initdb"), "-D", str(self.data), "-U", "jobmill", "-A",
                            "trust", "-E", "UTF8", "--no-locale", "--no-sync"]),
            check=True, stdout=subprocess.DEVNULL, cwd="/")
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\n"
                       f"unix_socket_directories = ''\nmax_connections = 300\n"
                       f"max_wal_size = 4GB\nautovacuum_naptime = 10s\n")
        return self

    def start(self, timeout=60):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                self._as_owner([str(pg_bin() / "postgres"), "-D", str(self.data)]),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/")
        wait_until(self.answers, timeout, what="PostgreSQL answers")
        return self

    def answers(self):
        if self.process and self.process.poll() is not None:
            raise RuntimeError("PostgreSQL ended: " + self.log.read_text()[-2000:])
        try:
            with psycopg.connect(self.url, connect_timeout=2):
                return True
        except psycopg.Error:
            return False

    def stop(self, mode="fast", timeout=60):
        """mode: fast, or immediate (as a crash: recovery at the next start)."""
        if not self.process or self.process.poll() is not None:
            return
        self.freeze(False)
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT if mode == "immediate" else signal.SIGINT)
        self.process.wait(timeout)

    def restart(self, mode="immediate"):
        self.stop(mode)
        self.start()

    def freeze(self, on=True):
        """SIGSTOP to every process of the cluster, or SIGCONT."""
        try:
            os.killpg(self.process.pid, signal.SIGSTOP if on else signal.SIGCONT)
        except ProcessLookupError:
            pass
        for pid in self._backends():
            try:
                os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)
            except ProcessLookupError:
                pass

    def _backends(self):
        for path in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in path.read_text().split():
                yield int(pid)

    def destroy(self):
        self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)


def kafka_libs():
    """The directory of the jars of a Kafka server, or None."""
    candidates = []
    if os.environ.get("KAFKA_HOME"):
        home = pathlib.Path(os.environ["KAFKA_HOME"])
        candidates += [home / "libs", home / "lib", home]
    candidates.append(ROOT / "build" / "kafka" / "libs")
    for path in candidates:
        if list(path.glob("kafka_2.1*-*.jar")):
            return path
    return None


def kafka_available():
    return kafka_libs() is not None and shutil.which("java") is not None


class Kafka:
    """One KRaft broker in a directory of its own."""

    def __init__(self, directory, port=None):
        self.dir = pathlib.Path(directory)
        self.port = port or free_port()
        self.controller_port = free_port()
        self.log = self.dir / "kafka.log"
        self.process = None

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def _java(self, *argv):
        return ["java", "-Xmx384m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-cp", f"{kafka_libs()}/*", *argv]

    def create(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        (self.dir / "server.properties").write_text(
            f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self.controller_port}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
log.dirs={self.dir}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
num.partitions=1
""")
        subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", "am9ibWlsbHRlc3RzMDAwMA",
                       "-c", str(self.dir / "server.properties")),
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def start(self, timeout=90):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", str(self.dir / "server.properties")),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        wait_until(self.answers, timeout, what="Kafka answers")
        return self

    def answers(self):
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient
        if self.process and self.process.poll() is not None:
            raise RuntimeError("Kafka ended: " + self.log.read_text()[-2000:])
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                pass
            admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
            return bool(admin.list_topics(timeout=2).brokers)
        except (OSError, KafkaException):
            return False

    def stop(self, how=signal.SIGTERM, timeout=60):
        if not self.process or self.process.poll() is not None:
            return
        self.freeze(False)
        self.process.send_signal(how)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def restart(self, how=signal.SIGTERM):
        self.stop(how)
        self.start()

    def freeze(self, on=True):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def destroy(self):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)
