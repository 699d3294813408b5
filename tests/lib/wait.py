"""Waiting for a condition with a deadline, never for a length of time."""
import time

import psycopg
from confluent_kafka import KafkaException


class TimedOut(AssertionError):
    pass


def wait_until(condition, timeout=30, every=0.05, what=None):
    """Calls condition until it gives something true, and returns that.

    A failed assertion, or a database or a broker that is away, counts as "not yet" until the
    deadline, and is then shown.
    """
    deadline = time.monotonic() + timeout
    error = last = None
    while True:
        try:
            last = condition()
            error = None
            if last:
                return last
        except (AssertionError, psycopg.OperationalError, psycopg.InterfaceError,
                KafkaException) as e:
            error = e
        if time.monotonic() > deadline:
            name = what() if callable(what) else what or getattr(condition, "__name__", "condition")
            why = f": {error}" if error else f" (last: {last!r})"
            raise TimedOut(f"not within {timeout} s: {name}{why}") from error
        time.sleep(every)
