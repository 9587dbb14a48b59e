"""Files of targets: what they say arrives, and every mistake is one line with the file, the target and the field."""

import json

import hypothesis
import pytest
from hypothesis import strategies

import ofa_tf
from ofa_tf.common import InputError
from ofa_tf.specialize import Target, default_name, read_targets

GOOD = """
defaults: {device: host, resolutions: [96, 128], candidates: 4}
targets:
  - {name: fast, limits: {latency_ms: 1.5}}
  - {name: board, device: board, limits: {peak_memory_bytes: 150000, model_bytes: 900000}, resolutions: [96]}
  - {name: note, device: note10, latency_table: tables/note10, limits: {latency_ms: 20}, predictor: far/away.npz}
"""


def test_targets_and_their_defaults(tmp_path):
    (tmp_path / "tables" / "note10").mkdir(parents=True)
    path = tmp_path / "targets.yaml"
    path.write_text(GOOD)
    fast, board, note = read_targets(path)
    assert fast == Target("fast", "host", {"latency_ms": 1.5}, resolutions=(96, 128), candidates=4)
    assert (board.device, board.resolutions) == ("board", (96,))
    assert dict(board.limits) == {"peak_memory_bytes": 150000, "model_bytes": 900000}
    assert note.latency_table == str(tmp_path / "tables" / "note10")
    assert note.predictor == "far/away.npz"


def test_json_and_a_targets_own_fields_are_read_back(tmp_path):
    target = Target("one", "host", {"macs": 1e6}, resolutions=(96,), images=20, max_drop=0.1)
    path = tmp_path / "targets.json"
    path.write_text(json.dumps({"targets": [target.to_config()]}))
    assert read_targets(path) == [target]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("{device: host, limits: {macs: 1}}", r"target 1: field name is missing"),
        ("{name: a, device: host}", r"target 1 \(a\): field limits is missing"),
        ("{name: a, limits: {macs: 1}}", "field device is missing"),
        ("{name: a, device: host, limits: {}}", r"limits is {}, expected at least one of latency_ms"),
        ("{name: a, device: host, limits: {speed: 3}}", "limits has the field 'speed', expected latency_ms"),
        ("{name: a, device: host, limits: {macs: 150e3}}", "limits.macs is '150e3', .* write 150000"),
        ("{name: a, device: host, limits: {macs: -1}}", "limits.macs is -1, expected a number above 0"),
        ("{name: a, device: host, limits: {macs: .nan}}", "limits.macs is nan"),
        ("{name: a, device: host, limits: {macs: true}}", "limits.macs is True"),
        ("{name: a/b, device: host, limits: {macs: 1}}", "name is 'a/b', expected letters"),
        ("{name: .., device: host, limits: {macs: 1}}", "name is '..'"),
        ("{name: a, device: host, limits: {macs: 1}, precision: int4}", "precision is 'int4', expected one of float32"),
        ("{name: a, device: host, limits: {macs: 1}, form: best}", "form is 'best'"),
        ("{name: a, device: host, limits: {macs: 1}, resolutions: 96}", "resolutions is 96, expected image sides"),
        ("{name: a, device: host, limits: {macs: 1}, resolutions: [big]}", "resolutions is .'big',."),
        (
            "{name: a, device: host, limits: {macs: 1}, candidates: 0}",
            "candidates is 0, expected a whole number from 1",
        ),
        ("{name: a, device: host, limits: {macs: 1}, candidates: 99}", "candidates is 99, expected at most 25"),
        ("{name: a, device: host, limits: {macs: 1}, seed: no}", "seed is False"),
        ("{name: a, device: host, limits: {macs: 1}, max_drop: 3}", "max_drop is 3, expected a number from 0 to 1"),
        ("{name: a, device: host, limits: {macs: 1}, colour: red}", "field colour is unknown"),
        ("{name: a, device: host, limits: {macs: 1}, precision: float32, quantization_aware_epochs: 1}", "expected 0"),
        ("{name: a, device: host, limits: {peak_memory_bytes: 1}, precision: dynamic}", "precision is 'dynamic'"),
        ("three", "target 1: found 'three', expected fields"),
    ],
)
def test_mistakes_in_a_target(tmp_path, fields, says):
    path = tmp_path / "targets.yaml"
    path.write_text(f"targets:\n  - {fields}\n")
    with pytest.raises(InputError, match=says) as caught:
        read_targets(path)
    assert str(caught.value).startswith(f"{path}: target 1")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("targets: []", "expected the field targets"),
        ("- name: a", "expected the field targets"),
        ("targets: [{name: a b, device: x, limits: {macs: 1}}, {name: A_b, device: x, limits: {macs: 1}}]", "target 2"),
        ("goals: 1\ntargets: [{name: a, device: host, limits: {macs: 1}}]", "field goals is unknown"),
        ("defaults: 3\ntargets: [{name: a, device: host, limits: {macs: 1}}]", "defaults is int"),
        ("targets: [", "is not YAML or JSON"),
        ("targets: [{name: a, device: x, limits: {macs: 1}, limits: {params: 1}}]", "'limits' occurs twice"),
        ("targets: []\ntargets: []", "'targets' occurs twice"),
        # What is merged may come from two places; what is wrong then is found behind it.
        ("a: &a {x: 1}\nb: &b {y: 2}\ntargets:\n  <<: *a\n  <<: *b", "expected the field targets"),
        ("targets: !!python/object/apply:os.getcwd []", "is not YAML or JSON"),
    ],
)
def test_mistakes_in_a_file(tmp_path, text, says):
    path = tmp_path / "targets.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_targets(path)


@pytest.mark.parametrize("text", ["x" * 5000, "a\\0b"])
def test_what_no_path_can_be_is_left_for_the_targets_turn(tmp_path, text):
    """It is refused when the table is opened, as that target's failure."""
    path = tmp_path / "targets.yaml"
    path.write_text(f'targets: [{{name: a, device: x, limits: {{macs: 1}}, latency_table: "{text}"}}]')
    assert len(read_targets(path)) == 1


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file, expected targets"):
        read_targets(tmp_path / "none.yaml")


json_values = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(), inner, max_size=3),
    max_leaves=5,
)


@hypothesis.given(field=strategies.sampled_from(list(Target.__dataclass_fields__)), value=json_values)
@hypothesis.settings(max_examples=300, deadline=None)
def test_any_value_of_any_field_is_taken_or_refused(field, value):
    """Never another error than `InputError`; what is taken is read back the same."""
    fields = {"name": "a", "device": "host", "limits": {"macs": 1e6}, field: value}
    try:
        target = Target.from_config(fields)
    except InputError:
        return
    assert Target.from_config(target.to_config()) == target


@hypothesis.given(
    strategies.lists(strategies.floats(min_value=1e-9, max_value=1e15), min_size=2, max_size=2, unique=True),
    strategies.text(),
)
def test_other_limits_make_other_names(limits, device):
    """And so other folders, however alike they are, and however long the rest is."""
    kinds = ("latency_ms", "macs", "params", "model_bytes", "peak_memory_bytes")
    for count in (1, len(kinds)):
        names = [default_name(f"x{device}", "int8", dict.fromkeys(kinds[:count], limit)) for limit in limits]
        assert len(set(names)) == 2
        for name, limit in zip(names, limits, strict=True):
            assert Target(name, "host", {"macs": limit}).name == name
    assert default_name("host", "int8", {"latency_ms": 2.0, "macs": 3e8}) == "host int8 latency_ms 2 macs 3e+08"
    assert default_name("host", "int8", {"macs": 12345678.0}) == "host int8 macs 12345678"
    # What is no number has a name, too, so that the target's own check answers.
    with pytest.raises(InputError, match="latency_ms"):
        ofa_tf.specialize(max_latency_ms="2", output="nowhere")
