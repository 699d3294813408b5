"""Topics that go away, come back, are made anew, or are read again from the beginning."""
import signal
import subprocess
import threading

from lib.load import Load, settle
from lib.paths import bin_dir
from lib.wait import wait_until


def delete_topic(jm):
    topic = jm.topic_name()
    jm.kafka.admin().delete_topics([topic], operation_timeout=20)[topic].result()


def test_recreated_under_load(jm, moment):
    """`topics recreate` with workers running and jobs coming from SQL: nothing is lost or run twice,
    and the workers come back by themselves."""
    # All have the new setting: a relay that sends meanwhile may be the one who makes the topic.
    wanted = {"topics.partitions": 5}
    jm.start_producer(**wanted)
    workers = [jm.start_worker(**wanted) for _ in range(2)]
    sent = moment(1, 300)
    jm.send(*[{"type": "noop"}] * sent)
    # While a record waits to be accepted, the command refuses: the next test.
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs") == sent, 60, what="all records are accepted")
    with Load(jm, kafka=False) as load:
        before = jm.db.ended() + moment(20, 60)
        wait_until(lambda: jm.db.ended() >= before, 60, what="jobs run")

        jm.cli("topics", "recreate", "default", "--topics.partitions=5", timeout=120)
        before = jm.db.ended()
        wait_until(lambda: jm.db.ended() > before + 50, 60, what="it goes on")
    listed = {t["topic"]: t for t in jm.cli("topics", "list", "--json").json()["items"]}
    assert listed[jm.topic_name()]["partitions"] == 5
    jm.send(*[{"type": "noop"}] * 100)
    load.accepted += 100
    settle(jm, load, queues=())  # the records of the old topic are gone
    for worker in workers:
        assert "joined the queue again" in worker.text(), worker.tail()
    assert jm.db.value("SELECT count(*) FROM locks") == 0


def test_recreate_refuses_to_lose_records(jm, moment):
    """No worker has read them: they exist nowhere else."""
    jm.send(*[{"type": "noop"}] * 7)
    done = jm.cli("topics", "recreate", "default", check=False)
    assert done.code == 1 and "7 records" in done.err, done
    assert jm.kafka.size(jm.topic_name()) == 7
    assert jm.cli("topics", "recreate", "nosuch", check=False).code == 3
    assert jm.cli("topics", "recreate", "default", "--lose-records").code == 0
    wait_until(lambda: jm.kafka.size(jm.topic_name()) == 0, 30, what="the new topic is empty")


def test_recreate_waits_for_consumers_that_do_not_leave(jm, moment):
    """Somebody else's consumer is in the group, or Ctrl-C comes meanwhile: nothing is deleted."""
    from confluent_kafka import Consumer
    other = Consumer({"bootstrap.servers": jm.bootstrap, "group.id": jm.group()})
    other.subscribe([jm.topic_name()])
    stop = threading.Event()
    in_group = threading.Event()

    def poll():
        while not stop.is_set():
            other.poll(0.1)
            if other.assignment():
                in_group.set()
    polling = threading.Thread(target=poll)
    polling.start()
    try:
        assert in_group.wait(30)
        done = jm.cli("topics", "recreate", "default", "--timeout", "2", check=False)
        assert done.code == 1 and "have not left" in done.err, done
        interrupted = subprocess.Popen([bin_dir() / "jobmill", "topics", "recreate", "default"], env=jm.env(),
                                       stderr=subprocess.PIPE, text=True)
        assert "waiting for" in interrupted.stderr.readline()
        interrupted.send_signal(signal.SIGINT)
        said = interrupted.communicate(timeout=30)[1]
        assert interrupted.returncode == 1 and "is as it was" in said, said
        assert jm.topic_name() in [t["topic"] for t in
                                   jm.cli("topics", "list", "--json").json()["items"]]
        assert jm.db.value("SELECT count(*) FROM locks") == 0
    finally:
        stop.set()
        polling.join()
        other.close()


def test_deleted_behind_its_back(jm, moment):
    """Somebody deletes the topic while everything runs: jobs of SQL and of schedules still run."""
    jm.start_producer(sweep_after_s=2)
    jm.start_worker()
    schedule = jm.cli("schedule", "add", "s", "--every", "1s", "--type", "noop").out.strip()
    with Load(jm, kafka=False) as load:
        before = jm.db.ended() + moment(10, 100)
        wait_until(lambda: jm.db.ended() >= before, 60, what="jobs run")
        delete_topic(jm)
        before = jm.db.ended() + 100
        wait_until(lambda: jm.db.ended() >= before, 90, what="it goes on")
    jm.db.execute("UPDATE schedules SET paused = true WHERE id = %s", schedule)
    wait_until(lambda: jm.db.value("SELECT count(*) FROM jobs WHERE status IN "
                                   "('pending','running')") == 0, 90, what="all have ended")
    assert load.ids <= {i for i, in jm.db.query("SELECT id FROM jobs WHERE status = 'completed'")}
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1


def test_offsets_reset_to_the_beginning(jm, moment):
    """Every record is delivered again: each meets its own job."""
    jm.job_type("exec", ["/bin/true"])
    n = moment(200, 2000)
    jm.send(*[{"type": "noop", "id": f"n{i}"} for i in range(n)], *[{"type": "exec"}] * 20)
    worker = jm.start_worker()
    jm.wait_ended(n + 20)
    jm.wait_offsets()
    assert worker.terminate() == 0
    jm.kafka.rewind(jm.group(), jm.topic_name())
    jm.start_worker()
    jm.wait_offsets()
    jm.send({"type": "noop"})
    jm.wait_ended(n + 21)
    assert jm.db.value("SELECT count(*) FROM jobs") == n + 21
    assert jm.db.value("SELECT max(attempt) FROM jobs") == 1
    jm.wait_offsets()
    jm.check()
