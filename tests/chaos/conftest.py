"""Each fault test runs --count times (default: JOBMILL_CHAOS_COUNT, else 1), each time at another
moment."""
import os
import random
import time

import pytest


def rounds_of(config):
    return config.getoption("--count") or int(os.environ.get("JOBMILL_CHAOS_COUNT", "1"))


def pytest_configure(config):
    config.addinivalue_line("markers", "chaos_only: takes long; left out where each test runs once")


def pytest_collection_modifyitems(config, items):
    if rounds_of(config) == 1:
        items[:] = [item for item in items if not item.get_closest_marker("chaos_only")]


def pytest_generate_tests(metafunc):
    rounds = rounds_of(metafunc.config)
    if "moment" in metafunc.fixturenames:
        metafunc.parametrize("moment", range(rounds), indirect=True,
                             ids=[f"round{i}" for i in range(rounds)])


@pytest.fixture
def rounds(request):
    """How often each fault befalls: 1, or the count of ./dev chaos. For tests that go by a number of
    their own instead of being run again."""
    return rounds_of(request.config)


@pytest.fixture
def moment(request):
    """Chance for one round: moment(low, high) gives a number, always the same for the round unless
    JOBMILL_CHAOS_SEED says otherwise."""
    seed = os.environ.get("JOBMILL_CHAOS_SEED", "0")
    if seed == "time":
        seed = str(time.time_ns())
    print(f"JOBMILL_CHAOS_SEED={seed}")
    return random.Random(f"{seed}/{request.node.originalname}/{request.param}").randint
