"""tools.search with the limits of small devices, by the predictor that ships: no training, no TensorFlow."""

import json
import pathlib

import pytest

from ofa_tf.spaces import Arch
from ofa_tf.spaces.costs import FILE_SIZES, ActivationMemory
from ofa_tf.zoo import accuracy_predictor
from tests.binaries import run_binary


def search(output: pathlib.Path, *arguments: str, code: int = 0) -> str:
    """Searches at 96 pixels; returns stderr."""
    always = ("--predictor=ofa_imagenette_mbv3", "--resolutions=96", f"--output={output}")
    done = run_binary("tools.search", *always, *arguments)
    assert done.returncode == code, done.stderr[-2000:]
    return done.stderr


@pytest.fixture(name="space", scope="module")
def _space():
    return accuracy_predictor("ofa_imagenette_mbv3").space


def test_peak_memory_beside_other_limits(tmp_path, space):
    """What was predicted is of the form that stands in the result, and inside all limits."""
    output = tmp_path / "arch.json"
    limits = ("--max_peak_memory_bytes=130e3", "--max_model_bytes=900e3", "--max_macs=20e6", "--generations=20")
    search(output, *limits)
    found = json.loads(output.read_text())
    blocks = space.blocks(Arch.from_json(found["arch"]))
    assert (found["precision"], found["form"]) == ("int8", "fused-same")
    assert found["predicted"]["peak_memory_bytes"] == ActivationMemory("int8", "fused-same").network_bytes(blocks)
    assert found["predicted"]["model_bytes"] == FILE_SIZES["int8"].network_bytes(blocks, "fused-same")
    assert found["predicted"]["peak_memory_bytes"] <= 130e3
    assert found["predicted"]["model_bytes"] <= 900e3
    assert found["macs"] <= 20e6
    search(output, "--max_model_bytes=900e3", "--generations=20")
    assert json.loads(output.read_text())["form"] == "folded-rows"


def test_the_front_of_peak_memory(tmp_path, space):
    """In the precision and form that the flags name; its axis is the peak."""
    output = tmp_path / "front.json"
    search(output, "--front", "--max_peak_memory_bytes=600e3", "--precision=float32", "--form=split-same")
    front = json.loads(output.read_text())
    memory = ActivationMemory("float32", "split-same")
    peaks = [point["peak_memory_bytes"] for point in front["points"]]
    assert front["kind"] == "peak_memory_bytes"
    assert peaks == sorted(peaks)
    assert len(peaks) > 3
    assert max(peaks) <= 600e3
    for point in front["points"]:
        assert point["peak_memory_bytes"] == memory.network_bytes(space.blocks(Arch.from_json(point["arch"])))
    assert output.with_suffix(".svg").exists()


def test_a_front_takes_as_many_generations_as_asked_for(tmp_path):
    """Without any, it is what the search began with."""
    fronts = []
    for number, generations in enumerate((0, 0, 60)):
        output = tmp_path / f"{number}.json"
        search(output, "--front", "--max_macs=20e6", f"--generations={generations}")
        fronts.append([point["predicted_top1"] for point in json.loads(output.read_text())["points"]])
    assert fronts[0] == fronts[1]
    assert max(fronts[2]) > max(fronts[0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--max_peak_memory_bytes"),
        (("--max_peak_memory_bytes=150e3", "--form=fused-rows"), "leave out -rows"),
        (("--max_peak_memory_bytes=150e3", "--precision=float16"), "expected one of float32, int8"),
        (("--max_peak_memory_bytes=20e3",), "raise the limit to that"),
        (("--max_peak_memory_bytes=150e3", "--form=loose"), "--form"),
        (("--max_macs=20e6", "--front", "--population=50"), "--population: a front keeps"),
    ],
)
def test_mistakes_are_one_line(tmp_path, arguments, said):
    output = tmp_path / "arch.json"
    message = search(output, *arguments, code=2)
    assert said in message
    assert "Traceback" not in message
    assert not output.exists()
