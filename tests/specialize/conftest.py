import pytest

from tests.specialize.small_workshop import open_small_workshop


@pytest.fixture(scope="session")
def workshop():
    return open_small_workshop()
