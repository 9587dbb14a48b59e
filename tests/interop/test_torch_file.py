"""PyTorch files: numbers come out as numbers, and whatever else a file holds is one line."""

import argparse

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofa_tf import interop, spaces
from ofa_tf.common import InputError
from ofa_tf.interop.ofa_checkpoint import canonical_key, keyed_tensors, read_state_dict
from tests.reference import shared


@pytest.fixture(name="torch")
def _torch():
    return pytest.importorskip("torch", reason="the extra `torch` is not installed")


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float64", "parameter"])
def test_numbers_of_other_types(tmp_path, torch, kind):
    """Half and double precision, and trainable parameters, are read as float32."""
    value = torch.tensor([0.5, -2.0])
    value = torch.nn.Parameter(value) if kind == "parameter" else value.to(getattr(torch, kind))
    torch.save({"state_dict": {"a": value}}, tmp_path / "x.pth")
    read = read_state_dict(tmp_path / "x.pth")["a"]
    assert (read.dtype, read.tolist()) == ("float32", [0.5, -2.0])


def test_what_is_no_number_is_named(tmp_path, torch):
    """Sparse, complex and quantized tensors, names that are no text: no traceback, nothing dropped in silence."""
    path = tmp_path / "x.pth"
    for content, message in (
        ({"a": torch.eye(2).to_sparse()}, "tensor a is .*sparse"),
        ({"a": torch.eye(2) * 1j}, "tensor a is torch.complex64"),
        ({"a": torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8)}, "tensor a is torch.qint8"),
        ({3: torch.eye(2)}, "holds no state_dict"),
    ):
        torch.save({"state_dict": content}, path)
        with pytest.raises(InputError, match=message):
            read_state_dict(path)


@pytest.mark.parametrize("name", [name for name in spaces.names() if not name.endswith("_relu6")])
def test_named_spaces_are_found(tmp_path, torch, name):
    """From the names and shapes of its tensors alone, each named space is told from the others.

    An activation has no tensor: a ReLU6 space is only told by its name, and nobody published one.
    """
    space = spaces.get(name, 5)
    blocks = space.blocks(space.largest())
    head = blocks[-1]
    last = head.feature_channels or head.mid_channels or head.in_channels
    stem = "input_stem.0" if space.family == "resnet" else "first_conv"
    state = {f"{stem}.conv.weight": (blocks[0].out_channels, 3, 3, 3), "classifier.linear.weight": (5, last)}
    running = [block for block in blocks if block.kind not in ("stem", "head")]
    for index, block in enumerate(running):
        state[f"blocks.{index}.conv.point_linear.conv.weight"] = (1,)
        if block.se_channels:
            state[f"blocks.{index}.conv.depth_conv.se.reduce.weight"] = (1,)
    torch.save({key: torch.zeros(shape) for key, shape in state.items()}, tmp_path / "x.pth")
    found = interop.inferred_space(tmp_path / "x.pth")
    assert (found.name, found.num_classes) == (name, 5)


def test_a_stem_without_shape(tmp_path, torch):
    """Is of no named space."""
    torch.save({"first_conv.weight": torch.tensor(1.0), "classifier.weight": torch.zeros(5, 4)}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="of no space that has a name"):
        interop.inferred_space(tmp_path / "x.pth")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100), st.integers(0, 100_000), st.booleans())
def test_damage_is_an_input_error(tmp_path, torch, noise, place, cut):
    """Whatever is written into the file: read, or refused in one line that names it."""
    path = tmp_path / "fuzzed.pth"
    whole = shared("reference/mbv3_w0.35.pth").read_bytes()
    place %= len(whole)
    path.write_bytes(whole[:place] + noise + (b"" if cut else whole[place + len(noise) :]))
    try:
        said = f"fuzzed.pth: {interop.inferred_space(path, 'mobilenet_v3', [0.35]).name}"
    except InputError as error:
        said = str(error)
    assert said.count("fuzzed.pth") >= 1
    assert "\n" not in said


@pytest.mark.parametrize("key", ["state_dict", "model", "net"])
def test_checkpoints_of_a_training(tmp_path, torch, key):
    """With numbers and arrays of NumPy beside the state, under any usual key, behind the prefix of several GPUs."""
    state = {"first_conv.conv.weight": torch.ones(2), "classifier.linear.weight": torch.ones(3, 2)}
    beside = {"epoch": 4, "best_acc": np.mean([70.0, 71.0]), "last": np.float32(1), "history": np.arange(3)}
    plain = tmp_path / "plain.pth"
    torch.save({key: state, **beside}, plain)
    shared_out = tmp_path / "module.pth"
    torch.save({key: {f"module.{name}": value for name, value in state.items()}, **beside}, shared_out)
    found, other = keyed_tensors(plain), keyed_tensors(shared_out)
    assert found.keys() == other.keys() == {canonical_key(name) for name in state}


def test_what_may_run_code_is_not_read(tmp_path, torch):
    """It is named, with a way to save the tensors alone; a file without tensors tells its keys."""
    path = tmp_path / "x.pth"
    torch.save({"state_dict": {"a": torch.ones(1)}, "args": argparse.Namespace(lr=0.1)}, path)
    with pytest.raises(InputError, match=r"holds argparse.Namespace beside .*torch.save\(model.state_dict\(\)"):
        read_state_dict(path)
    torch.save({"weights": {"a": torch.ones(1)}, "epoch": 3}, path)
    with pytest.raises(InputError, match="its keys are weights, epoch"):
        read_state_dict(path)
