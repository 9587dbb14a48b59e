"""The steps of tools.specialize."""

import pytest

from ofa_tf.common import InputError
from ofa_tf.predictors import PairsFile
from tests.specialize.small_workshop import open_small_workshop, small_target
from tools.specializing import specialize_into


class SmallOpening:
    """Stands for `Opening`."""

    def __call__(self):
        return open_small_workshop()


def test_results_are_told_where_nothing_can_be_learned(tmp_path, capsys):
    """Accuracies of other weights are in the way: one error, after the results and the page."""
    opening = SmallOpening()
    space = opening().opened.net.space
    foreign = PairsFile(tmp_path / "accuracy.jsonl", space, weights="others", images="others")
    foreign.add(space.smallest(), 0.5, images=50, split="holdout")
    with pytest.raises(InputError, match="holds accuracies of other weights or images"):
        specialize_into(tmp_path, [small_target()], opening, table_rounds=1, learn=True)
    told = capsys.readouterr().out
    assert told.startswith("small: verified; macs ")
    assert f"report: {tmp_path / 'report.html'}" in told
