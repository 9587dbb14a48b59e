"""Supernets on stretched images: what opens them, what is told apart, and what the files say."""

import dataclasses
import json

import numpy as np
import pytest

from ofa_tf import deploy
from ofa_tf.common import InputError
from ofa_tf.data import SYMMETRIC, evaluation_image
from ofa_tf.evaluation import Evaluator
from ofa_tf.networks import PackedSupernet
from ofa_tf.specialize import TargetResult, learn_accuracies, open_pairs, open_source, specialize
from tests.binaries import run_binary
from tests.data.image_files import encoded, gradient
from tests.micro import nano_net
from tests.specialize.small import small_target


@pytest.fixture(name="photos", scope="module")
def _photos(tmp_path_factory):
    """A folder of oblong photos."""
    folder = tmp_path_factory.mktemp("photos")
    for split, count in (("train", 6), ("validation", 2)):
        for name in "abcdefghij":
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                image = np.roll(gradient(30, 60), 7 * index + 11 * ord(name), axis=1)
                (folder / split / name / f"{index}.png").write_bytes(encoded(image, "PNG"))
    return folder


def packed(path, **changes) -> str:
    """A supernet in a file; None leaves a field out of its preprocessing."""
    fields = {**SYMMETRIC.to_config(), **changes}
    fields = {name: value for name, value in fields.items() if value is not None}
    PackedSupernet(nano_net(1), fields, class_names=tuple("abcdefghij")).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("stored", "asked", "expected"),
    [(None, None, "crop"), ("stretch", None, "stretch"), (None, "stretch", "stretch"), ("stretch", "crop", "crop")],
)
def test_a_supernet_keeps_how_its_images_were_resized(tmp_path, photos, stored, asked, expected):
    """In its file; older files mean crop, and whoever opens it may ask for the other, in calibration as well."""
    opened = open_source(supernet=packed(tmp_path / "net.npz", resize=stored), data_dir=str(photos), resize=asked)
    evaluator = opened.evaluator
    assert evaluator.preprocessing == dataclasses.replace(SYMMETRIC, resize=expected)
    images, _ = evaluator.images("validation", 24)
    pixels = np.roll(gradient(30, 60), 11 * ord("a"), axis=1)
    np.testing.assert_array_equal(images[0], evaluation_image(pixels, 24, 0.875, expected))
    assert opened.source["resize"] == asked
    other = open_source(supernet=str(tmp_path / "net.npz"), data_dir=str(photos), resize=_other(expected))
    assert (evaluator.calibration_set(24)[0] != other.evaluator.calibration_set(24)[0]).any()


def _other(resize: str) -> str:
    return "crop" if resize == "stretch" else "stretch"


def test_a_way_of_resizing_that_there_is_not(tmp_path, photos):
    """One line, from Python and on the command line, and one where there are no images to resize."""
    supernet = packed(tmp_path / "net.npz")
    with pytest.raises(InputError, match="resize is 'squeeze', expected one of crop, stretch"):
        open_source(supernet=supernet, data_dir=str(photos), resize="squeeze")
    with pytest.raises(InputError, match="resize is given, and no supernet"):
        specialize(output=tmp_path / "out", max_latency_ms=1.0, resize="stretch")
    done = run_binary("tools.evaluate", f"--supernet={supernet}", "--arch=largest", "--resize=squeeze")
    assert done.returncode == 2
    assert "resize" in done.stderr.strip().splitlines()[-1]


def test_accuracies_on_stretched_images_are_not_those_on_cropped_ones(opened, tmp_path):
    """Neither a file of pairs nor what is learned of targets mixes the two."""
    old = opened.evaluator
    evaluator = Evaluator(
        opened.net,
        opened.dataset,
        preprocessing=dataclasses.replace(old.preprocessing, resize="stretch"),
        augmentation=old.augmentation,
    )
    stretched = dataclasses.replace(opened, evaluator=evaluator)
    # What was written before there was a choice is of cropped images.
    assert set(opened.digests) == {"weights", "data"}
    assert stretched.digests == {**opened.digests, "resize": "stretch"}
    arch = opened.net.space.smallest()
    evaluated = [{"arch": arch.to_dict(), "top1": 0.5, "top5": 0.9, "images": 50, "split": "validation"}]
    results = [
        TargetResult(small_target(), "verified", {**source, "predictor": "p"}, arch, evaluated=evaluated)
        for source in (opened.digests, stretched.digests)
    ]
    for number, source in enumerate((opened, stretched)):
        path = tmp_path / f"{number}.jsonl"
        assert len(learn_accuracies(source, path, [results[1 - number]])) == 0
        assert len(learn_accuracies(source, path, results)) == 1
        with pytest.raises(InputError, match="or resized otherwise"):
            open_pairs((stretched, opened)[number].evaluator, path)


def test_the_command_line_makes_a_file_for_stretched_images(tmp_path, photos):
    """--resize reaches calibration, check, description and card."""
    supernet, output = packed(tmp_path / "net.npz"), tmp_path / "model.tflite"
    done = run_binary(
        "tools.export_tflite", f"--supernet={supernet}", "--arch=smallest", f"--data_dir={photos}", "--resize=stretch",
        "--precision=float32", f"--output={output}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["images"] == 20
    facts = deploy.read_description(output)
    assert (facts["preprocessing"]["resize"], facts["provenance"]["resize"]) == ("stretch", "stretch")
    assert "the whole upright image stretched" in output.with_suffix(".md").read_text(encoding="utf-8")
