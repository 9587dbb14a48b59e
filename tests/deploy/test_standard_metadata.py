"""TFLite Model Metadata: the bytes of every table by the schema's slots, the zip behind; and MediaPipe as a reader."""

import zipfile

import flatbuffers
import numpy as np
import pytest
from flatbuffers import number_types

from ofa_tf import deploy
from ofa_tf.data.preprocessing import SYMMETRIC
from ofa_tf.deploy.standard_metadata import standard_metadata, with_labels

NAMES = ["cat", "dog", "bird", "f\u00efsh"]


class Table:
    """A table read by slots, as a compiled schema does."""

    def __init__(self, data: bytes, position: int):
        self.table = flatbuffers.table.Table(data, position)

    def field(self, slot: int) -> int | None:
        offset = self.table.Offset(4 + 2 * slot)
        return self.table.Pos + offset if offset else None

    def text(self, slot: int) -> str:
        return self.table.String(self.field(slot)).decode()

    def enumerator(self, slot: int) -> int:
        return self.table.Get(number_types.Int8Flags, self.field(slot))

    def inner(self, slot: int) -> "Table":
        return Table(self.table.Bytes, self.table.Indirect(self.field(slot)))

    def tables(self, slot: int) -> list["Table"]:
        offset = self.table.Offset(4 + 2 * slot)
        start, length = self.table.Vector(offset), self.table.VectorLen(offset)
        return [Table(self.table.Bytes, self.table.Indirect(start + 4 * index)) for index in range(length)]

    def numbers(self, slot: int) -> list[float]:
        return self.table.GetVectorAsNumpy(number_types.Float32Flags, self.table.Offset(4 + 2 * slot)).tolist()


def root(data: bytes) -> Table:
    assert flatbuffers.util.BufferHasIdentifier(data, 0, b"M001")
    return Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))


@pytest.mark.parametrize(
    ("input_type", "mean", "std", "low", "high"),
    [("uint8", 0, 1, 0, 255), ("float32", 128, 128, -1, 127 / 128), ("int8", 128, 1, -128, 127)],
)
def test_every_table_is_where_the_schema_has_it(input_type, mean, std, low, high):
    """Protects apps: a slot that is off by one is another field, or none."""
    model = root(
        standard_metadata(
            "net", "words", input_name="images", input_type=input_type, output_names=["probabilities"],
            output_range=(0.0, 1.0), labelled=True,
        )
    )  # fmt: skip
    assert (model.text(0), model.text(1), model.text(4), model.text(7)) == ("net", "words", "ofa_tf", "1.0.0")
    (graph,) = model.tables(3)
    ((images,), (scores,)) = graph.tables(2), graph.tables(3)
    assert (images.text(0), scores.text(0)) == ("images", "probabilities")
    # Content: an image, in RGB; and features.
    assert (images.inner(3).enumerator(0), images.inner(3).inner(1).enumerator(0)) == (2, 1)
    assert scores.inner(3).enumerator(0) == 1
    (unit,) = images.tables(4)
    assert unit.enumerator(0) == 1
    assert (unit.inner(1).numbers(0), unit.inner(1).numbers(1)) == ([mean], [std])
    assert (images.inner(5).numbers(0), images.inner(5).numbers(1)) == ([high], [low])
    assert (scores.inner(5).numbers(0), scores.inner(5).numbers(1)) == ([1.0], [0.0])
    (file,) = scores.tables(6)
    assert (file.text(0), file.enumerator(2)) == ("labels.txt", 2)


def test_unknown_scores_and_names_are_left_out():
    data = standard_metadata(
        "net", "", input_name="images", input_type="uint8", output_names=["logits"], output_range=None, labelled=False
    )
    (scores,) = root(data).tables(3)[0].tables(3)
    assert (scores.field(5), scores.field(6)) == (None, None)


def test_the_names_lie_behind_the_file_as_they_are(tmp_path):
    """Protects readers that map the file: not compressed; and two exports of one network from differing."""
    data = with_labels(b"TFL3" * 100, NAMES)
    assert data.startswith(b"TFL3" * 100)
    assert "\n".join(NAMES).encode() in data
    assert data == with_labels(b"TFL3" * 100, NAMES)
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode() == "".join(f"{name}\n" for name in NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic", "int8"])
@pytest.mark.parametrize("input_type", ["uint8", "float32"])
def test_mediapipe_answers_with_names_and_confidences(subnet, tmp_path, precision, input_type):
    """Protects what app developers do: the file in ImageClassifier, as it is; its answers are LiteRT's."""
    mediapipe = pytest.importorskip("mediapipe", reason="the extra `mediapipe` is not installed")
    from mediapipe.tasks.python import BaseOptions, vision

    network = deploy.Network.of_subnet(subnet.net, subnet.arch, SYMMETRIC, subnet.statistics, facts={"names": NAMES})
    path = tmp_path / "net.tflite"
    network.export(path, precision, representative_images=subnet.images, input_type=input_type, max_drop=1.0)
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=str(path)))
    images = subnet.images if input_type == "uint8" else (subnet.images.astype(np.float32) - 128) / 128
    expected = deploy.Runner(path).predict(images)
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for image, scores in zip(subnet.images, expected, strict=True):
            pixels = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
            answers = classifier.classify(pixels).classifications[0].categories
            found = {answer.category_name: answer.score for answer in answers}
            assert found == pytest.approx(dict(zip(NAMES, scores.tolist(), strict=True)), abs=0.02)
