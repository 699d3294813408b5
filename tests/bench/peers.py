"""What others do with a full queue of jobs that do nothing, on the same servers. Installed by
tests/bench/peers/install.sh under build/peers/."""
import json
import shutil
import socket
import subprocess
import time

from lib.paths import ROOT
from lib.servers import free_port

HOME = ROOT / "build" / "peers"


def install():
    subprocess.run([ROOT / "tests" / "bench" / "peers" / "install.sh"], check=True, timeout=1500)


def node():
    return next(HOME.glob("node/node_modules/node-linux-*/bin/node"))


def run(argv, count):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=400,
                          check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    said = json.loads(done.stdout.splitlines()[-1])
    if said["jobs"] != count:
        raise RuntimeError(f"{said['jobs']} of {count} jobs were recorded")
    return count / said["seconds"]


def on_postgres(bench, *argv):
    url = bench.databases.create("template1")
    try:
        return run([*argv, url, bench.args.peer_jobs], bench.args.peer_jobs)
    finally:
        bench.databases.drop(url)


def river(bench):
    return {"river": on_postgres(bench, HOME / "river")}


def pgboss(bench):
    return {"pgboss": on_postgres(bench, node(), HOME / "node" / "pgboss.js")}


def await_port(port, process):
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError("Redis ended")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("Redis does not answer")


def bullmq(bench):
    port = free_port()
    directory = bench.dir / "redis"
    directory.mkdir()
    redis = bench.process([HOME / "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir",
                           directory, "--appendonly", "yes", "--appendfsync", "always", "--save",
                           ""], stdout=subprocess.DEVNULL)
    try:
        await_port(port, redis)
        return {"bullmq": run([node(), HOME / "node" / "bullmq.js", port, bench.args.peer_jobs],
                              bench.args.peer_jobs)}
    finally:
        bench.end_processes()
        shutil.rmtree(directory, ignore_errors=True)


NAMES = (river, pgboss, bullmq)
