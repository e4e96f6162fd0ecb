"""What all tests share: two marks, a Hypothesis profile without chance, and MNIST loaded once."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import nnfunc as nn

# A busy machine is slow, and that is no failure.
slow = [HealthCheck.too_slow]
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, database=None, max_examples=50, suppress_health_check=slow
)
settings.load_profile("repeatable")


def pytest_configure(config):
    config.addinivalue_line("markers", "rows(*ids): the rows of the source documents whose numbers the test asserts")
    config.addinivalue_line("markers", "traps(*ids): the traps of the source documents that the test stands guard over")


@pytest.fixture(scope="session")
def mnist():
    """((x_train, t_train), (x_test, t_test)), read-only, since every test sees the same arrays."""
    data = nn.load_mnist()
    for a in (*data[0], *data[1]):
        a.flags.writeable = False
    return data


@pytest.fixture
def rng():
    return np.random.default_rng(20)
