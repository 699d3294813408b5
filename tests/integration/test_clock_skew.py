"""Producers whose own clock is wrong: PostgreSQL's decides."""
import glob
import os
import shutil
import signal
import subprocess

import pytest

from lib import page
from lib.paths import bin_dir
from lib.stack import is_ci
from lib.wait import wait_until


def faked(offset):
    """The environment in which a program sees its clock that much off; the monotonic one stays right."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        if is_ci():
            pytest.fail("no faketime")
        pytest.skip("no faketime")
    asan = subprocess.run([shutil.which("cc") or "gcc", "-print-file-name=libasan.so"], capture_output=True, text=True)
    libs = [os.path.realpath(asan.stdout.strip())] if os.path.isabs(asan.stdout.strip()) else []
    libs += [str(bin_dir().parent / "plugins/true_waits.so"), found[0]]
    # The sanitizer's allocator asks for the time inside malloc, which libfaketime answers behind a lock.
    asan_options = os.environ.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": " ".join(libs), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "ASAN_OPTIONS": f"{asan_options}:allocator_release_to_os_interval_ms=-1".lstrip(":")}


def start(jm, offset):
    """A producer whose clock is off. Sanitizer and libfaketime may lock each other up before main() has begun; then
    nothing has been said, and it is started again."""
    for left in (2, 1, 0):
        producer = jm.start_producer(wait=False, env=faked(f"{offset:+d}s"))
        try:
            wait_until(producer.text, 30, what="main() has begun")
        except AssertionError:
            if not left:
                raise
            producer.kill()
            jm.programs.remove(producer)
        else:
            producer.wait_log("ready:", 60)
            return producer
    return None


@pytest.mark.parametrize("offset", [3600, -3600, 400 * 86400])
def test_a_clock_that_is_off_fires_on_time(jm, offset):
    producer = start(jm, offset)
    jm.db.execute("INSERT INTO schedules (id, name, type, kind, interval_seconds, anchor_at, next_run_at, overlap) "
                  "SELECT uuid7(), 's', 'noop', 'interval', 1, t, t + interval '1 second', 'allow' "
                  "FROM date_trunc('second', clock_timestamp()) t")
    wait_until(lambda: jm.db.value("SELECT count(*) FROM schedule_ticks") >= 5, 30)
    late = jm.db.query("SELECT extract(epoch FROM decided_at - due_at)::float FROM schedule_ticks ORDER BY 1")
    assert 0 <= late[0][0] and late[len(late) // 2][0] < 0.25 and late[-1][0] < 2, late
    wait_until(lambda: jm.db.value("SELECT count(*) FROM pending_jobs WHERE state = 'published'") >= 5, 20)
    assert jm.db.value("SELECT count(*) FROM schedule_ticks WHERE outcome <> 'fired'") == 0
    producer.wait_log("this machine's clock is off by %+d.0 s" % offset, 10)
    assert abs(page.metric(producer, "jobmill_clock_skew_seconds") - offset) < 1
    producer.signal(signal.SIGUSR1)
    producer.wait_log(", clock off by %+d s" % offset, 10)
    assert producer.text().count("this machine's clock is off") == 1


def test_a_right_clock_is_not_spoken_of(jm):
    producer = jm.start_producer()
    wait_until(lambda: page.metric(producer, "jobmill_clock_skew_seconds") is not None, 20)
    producer.signal(signal.SIGUSR1)
    producer.wait_log("fired 0", 10)
    assert abs(page.metric(producer, "jobmill_clock_skew_seconds")) < 1
    assert "clock" not in producer.text()
