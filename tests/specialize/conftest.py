"""What the tests of specialization share."""

import pytest

from tests.specialize.small import MacsAccuracy, open_small


@pytest.fixture(scope="session")
def opened():
    return open_small()


@pytest.fixture(scope="session")
def predictor(opened):
    return MacsAccuracy(opened.net.space)
