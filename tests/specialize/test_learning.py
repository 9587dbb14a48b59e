"""The closed loop: measured networks correct the table, evaluated ones extend the pairs, and nothing counts twice."""

import dataclasses

import numpy as np
import pytest

from ofa_tf.common import InputError
from ofa_tf.common.locks import locked
from ofa_tf.predictors import BlockLatency, LatencyTable, PairsFile
from ofa_tf.spaces import costs
from ofa_tf.spaces.population import distinct_blocks
from ofa_tf.specialize import (
    TargetDevices,
    TargetResult,
    collect_pairs,
    learn_accuracies,
    learn_latencies,
    open_pairs,
)
from ofa_tf.specialize.learning import is_of_run, learn
from ofa_tf.training import Recipe, RunDirectory
from tests.specialize.small import open_small, small_target


@pytest.fixture
def table(opened) -> LatencyTable:
    blocks = distinct_blocks(opened.net.space, None)
    latencies = {block.key: BlockLatency(costs.macs(block) / 1e5 + 1e-6, None, 0.0, 10) for block in blocks}
    return LatencyTable("host", "float32", 1, "fused", blocks=latencies)


def results_of(space, table, count, measured_ms):
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(count)]
    return [
        TargetResult(
            small_target(f"t{index}", limits={"latency_ms": 99}),
            "verified",
            arch=arch,
            rounds=[{"arch": arch.to_dict(), "measured": {"latency_ms": measured_ms(table.predict(space, [arch])[0])}}],
        )
        for index, arch in enumerate(archs)
    ]


def test_measured_networks_correct_the_table(opened, table, tmp_path):
    """A device that is slower by a line: the table has learned it, from one network more than the least."""
    space, networks = opened.net.space, tmp_path / "networks.jsonl"
    results = results_of(space, table, 8, lambda sum_ms: float(1.5 * sum_ms + 0.2))
    assert learn_latencies(table, space, networks, results[:3]) is table
    learned = learn_latencies(table, space, networks, results)
    assert learned.correction.scale == pytest.approx(1.5, rel=0.01)
    assert learned.correction.offset_ms == pytest.approx(0.2, rel=0.05)
    assert len(networks.read_text().splitlines()) == 8
    # The same results again are nothing new, and what is right stays.
    assert learn_latencies(learned, space, networks, results) is learned
    assert len(networks.read_text().splitlines()) == 8


def test_tables_of_one_name_are_two(opened, table, predictor, tmp_path):
    """What was measured for one is kept apart from what was measured for another of the same name elsewhere."""
    results = []
    for folder, slower in (("a", 1.5), ("b", 3.0)):
        path = tmp_path / folder / "int8.json"
        path.parent.mkdir()
        table.save(path)
        for result in results_of(opened.net.space, table, 8, lambda sum_ms, slower=slower: float(slower * sum_ms)):
            limits = {"latency_ms": 99}
            target = small_target(
                f"{folder}{len(results)}", limits=limits, latency_table=str(path), precision="float32", form="fused"
            )
            measured = {"latency_ms": result.rounds[0]["measured"]["latency_ms"]}
            results.append(dataclasses.replace(result, target=target, measured=measured))
    bench = TargetDevices(tmp_path / "out" / "tables")
    (tmp_path / "out" / "tables").mkdir(parents=True)
    learn(tmp_path / "out", results, lambda target: predictor, None, bench, [].append)
    learned = [LatencyTable.load(tmp_path / folder / "int8.json").correction.scale for folder in ("a", "b")]
    assert learned == pytest.approx([1.5, 3.0], rel=0.01)
    # Files of another precision say nothing of it.
    int8 = [dataclasses.replace(it, target=dataclasses.replace(it.target, precision="int8")) for it in results[:8]]
    told = []
    learn(tmp_path / "out", int8, lambda target: predictor, None, bench, told.append)
    assert any("another kind than its own" in text for text in told)
    assert LatencyTable.load(tmp_path / "a" / "int8.json").correction.scale == learned[0]


def test_pairs_of_other_images_are_not_the_runs(opened, tmp_path):
    """Accuracies on other images than the run's go beside the results: the run's own file stays of one kind."""
    recipe = Recipe(stages={}, preprocessing=opened.evaluator.preprocessing)
    run = RunDirectory(tmp_path, opened.net.space, {"digest": opened.dataset.digest}, recipe)
    own = dataclasses.replace(opened, run=run)
    assert is_of_run(own)
    assert not is_of_run(dataclasses.replace(own, run=dataclasses.replace(run, dataset={"digest": "others"})))
    stretched = dataclasses.replace(recipe, preprocessing=dataclasses.replace(recipe.preprocessing, resize="stretch"))
    assert not is_of_run(dataclasses.replace(own, run=dataclasses.replace(run, recipe=stretched)))


def test_a_right_table_is_left_alone(opened, table, tmp_path):
    space = opened.net.space
    results = results_of(space, table, 6, float)
    assert learn_latencies(table, space, tmp_path / "networks.jsonl", results) is table


def test_evaluated_networks_extend_the_pairs(opened, tmp_path):
    """Those of these weights and images, once each."""
    arch = opened.net.space.smallest()
    evaluated = [{"arch": arch.to_dict(), "top1": 0.5, "top5": 0.9, "images": 50, "split": "validation"}]
    result = TargetResult(small_target(), "verified", opened.digests, arch, evaluated=evaluated)
    others = dataclasses.replace(result, source={"weights": "others", "data": "others"})
    path = tmp_path / "accuracy.jsonl"
    for _ in range(2):
        assert len(learn_accuracies(opened, path, [result, others])) == 1
    [pair] = PairsFile(path)
    assert (pair.arch, pair.top1, pair.images, pair.extra["top5"]) == (arch, 0.5, 50, 0.9)
    foreign = PairsFile(tmp_path / "foreign.jsonl", opened.net.space, weights="others", images="others")
    foreign.add(arch, 0.5, images=50, split="validation")
    with pytest.raises(InputError, match="holds accuracies of other weights or images"):
        open_pairs(opened.evaluator, tmp_path / "foreign.jsonl")


def test_what_was_collected_is_not_measured_again(tmp_path, monkeypatch):
    """Also where an image of the split was found to be damaged, which counts in no figure from then on."""
    opened = open_small()
    split, path = opened.dataset.split("validation"), tmp_path / "accuracy.jsonl"
    monkeypatch.setitem(split.damaged, int(split.indices[3]), "damaged")
    pairs = collect_pairs(opened.evaluator, path, count=3)
    assert [pair.images for pair in pairs] == [len(split) - 1] * 3
    monkeypatch.setattr(opened.evaluator, "evaluate", None)
    assert len(collect_pairs(opened.evaluator, path, count=3)) == 3


def test_one_process_at_a_time_collects_into_a_file(opened, tmp_path):
    """Two would write the same pairs twice."""
    path = tmp_path / "accuracy.jsonl"
    with locked(path, "held"), pytest.raises(InputError, match="another process collects into it"):
        collect_pairs(opened.evaluator, path, count=3)
