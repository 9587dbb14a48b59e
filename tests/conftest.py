"""What all tests share: none is timed, a busy machine is no fault; and which files are begun first."""

import hypothesis

from tests.reference import ROOT

# A worker takes whole files, in this order: the longest ones first, so that none is left with one at the end.
LONGEST = (
    "tests/training/test_trainer.py",
    "tests/networks/test_supernet.py",
    "tests/tools/test_binaries.py",
)

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_modifyitems(items):
    """Puts the longest files first."""
    place = {ROOT / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))
