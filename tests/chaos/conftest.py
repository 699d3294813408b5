"""Each fault test runs --count times (default: JOBMILL_CHAOS_COUNT, else 1), each time at another
moment."""
import os
import random
import time

import pytest


def pytest_generate_tests(metafunc):
    rounds = metafunc.config.getoption("--count") or int(os.environ.get("JOBMILL_CHAOS_COUNT", "1"))
    if "moment" in metafunc.fixturenames:
        metafunc.parametrize("moment", range(rounds), indirect=True,
                             ids=[f"round{i}" for i in range(rounds)])


@pytest.fixture
def moment(request):
    """Chance for one round: moment(low, high) gives a number, always the same for the round unless
    JOBMILL_CHAOS_SEED says otherwise."""
    seed = os.environ.get("JOBMILL_CHAOS_SEED", "0")
    if seed == "time":
        seed = str(time.time_ns())
    print(f"JOBMILL_CHAOS_SEED={seed}")
    return random.Random(f"{seed}/{request.node.originalname}/{request.param}").randint
