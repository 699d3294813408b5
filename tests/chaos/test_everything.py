"""Everything at once: load from every side while processes and servers die and come back at random."""
import signal

from lib.load import Load, settle
from lib.wait import wait_until

STEPS = 8


class Fleet:
    """Two producers and three workers on servers of their own, and what may befall them."""

    def __init__(self, jm, moment):
        self.jm = jm
        self.moment = moment
        self.producers = [jm.start_producer() for _ in range(2)]
        self.workers = [jm.start_worker(lease_s=2, shutdown_grace_s=1) for _ in range(3)]
        self.frozen = []

    def befall(self):
        what = self.moment(0, 6)
        if what == 0:
            self.replace(self.workers, lambda p: p.kill(), self.worker)
        elif what == 1:
            self.replace(self.workers, lambda p: p.terminate(), self.worker)
        elif what == 2:
            self.replace(self.producers, lambda p: p.kill(), lambda: self.jm.start_producer(wait=False))
        elif what == 3:
            victim = self.workers.pop(0)
            victim.pause()
            self.frozen.append(victim)
            self.workers.append(self.worker())
        elif what == 4:
            self.jm.postgres.restart("immediate")
        elif what == 5:
            self.jm.broker.restart(signal.SIGKILL)
        else:
            self.thaw()
        return what

    def worker(self):
        return self.jm.start_worker(wait=False, lease_s=2, shutdown_grace_s=1)

    @staticmethod
    def replace(those, end, start):
        victim = those.pop(0)
        end(victim)
        those.append(start())

    def thaw(self):
        for p in self.frozen:
            p.resume()
        self.frozen = []


def test_everything_at_once(private_postgres, private_kafka, make_stack, moment):
    from lib.database import Server
    jm = make_stack(Server(private_postgres.url, private_postgres.dir).create(),
                    private_kafka.bootstrap)
    jm.postgres, jm.broker = private_postgres, private_kafka
    jm.topic()
    jm.job_type("work", ["/bin/sh", "-c", "sleep 0.$(($(date +%N | cut -c1) % 3))"],
                max_attempts=30, backoff={"initial_s": 0.1, "max_s": 1})
    schedule = jm.cli("schedule", "add", "s", "--every", "1s", "--type", "noop", "--overlap",
                      "allow", "--catch-up", "all").out.strip()
    fleet = Fleet(jm, moment)
    befell = []
    with Load(jm, pause=0.1) as load:
        for _ in range(STEPS):
            jm.send(*[{"type": "work", "max_attempts": 30}] * 5,
                    *[{"type": "sleep", "params": {"seconds": 1}, "max_attempts": 30}] * 5)
            with load.lock:
                load.accepted += 10
            more = jm.db.ended() + moment(1, 60)
            wait_until(lambda: jm.db.ended() >= more, 60, 0.02,
                       lambda: f"it goes on after {befell}: {jm.db.statuses()}")
            befell.append(fleet.befall())
        fleet.thaw()
        more = jm.db.ended() + 50
        wait_until(lambda: jm.db.ended() >= more, 60, what=lambda: f"it goes on after {befell}")
    jm.db.execute("UPDATE schedules SET paused = true WHERE id = %s", schedule)
    settle(jm, load, 120)
    wrong = jm.finish()
    assert not wrong, "\n".join(wrong)
