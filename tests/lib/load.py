"""Load in the background of a fault test, and what must be true when it has ended."""
import threading

import psycopg

from lib.wait import wait_until


class Load:
    """Writes records and calls jobmill.submit() in the background, and counts what was accepted."""

    def __init__(self, jm, sql=True, kafka=True, pause=0.05):
        self.jm = jm
        self.accepted = 0
        self.ids = set()
        self.stop = threading.Event()
        self.pause = pause
        self.errors = []
        self.threads = [threading.Thread(target=self._run, args=(f,))
                        for f, on in ((self._kafka, kafka), (self._sql, sql)) if on]
        self.lock = threading.Lock()

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join(90)

    def _run(self, f):
        while not self.stop.is_set():
            try:
                f()
            except psycopg.Error:
                self.stop.wait(0.2)  # away: what was not committed was not accepted
            except Exception as e:
                self.errors.append(e)
                return
            self.stop.wait(self.pause)

    def _kafka(self):
        self.jm.send(*[{"type": "noop"}] * 20)
        with self.lock:
            self.accepted += 20

    def _sql(self):
        with psycopg.connect(self.jm.database_url, connect_timeout=2) as conn:
            rows = conn.execute("SELECT jobmill.submit('noop') FROM generate_series(1, 10)"
                                ).fetchall()
        with self.lock:
            self.ids.update(r[0] for r in rows)


def settle(jm, load, timeout=90, queues=("default",)):
    """Everything accepted has ended; what SQL committed is there by id. queues: those whose topics
    have all that was ever written to them."""
    assert not load.errors, load.errors
    assert load.accepted or load.ids

    def ended():
        left = jm.db.value("SELECT count(*) FROM jobs WHERE status IN ('pending','running')")
        done = jm.db.ended()
        assert left == 0 and done >= load.accepted + len(load.ids), \
            f"{left} open, {done} ended of {load.accepted} + {len(load.ids)}"
        return True
    wait_until(ended, timeout, 0.3)
    have = {i for i, in jm.db.query("SELECT id FROM jobs")}
    assert load.ids <= have
    jm.wait_offsets(timeout=60)
    assert set(jm.db.statuses()) == {"completed"}
    jm.check(queues)
