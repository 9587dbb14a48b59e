"""Well-known networks from keras.applications, exported as ours are: what a sub-network's latency is compared with.

Random weights: time does not depend on what was learned. Accuracies are the published ones, where there is a source.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from ofa_tf.common import InputError, atomic_path, read_json, write_json
from ofa_tf.common.download import cache_folder
from ofa_tf.common.form import precision_of
from ofa_tf.deploy import convert
from ofa_tf.devices.block_models import SAMPLES, made_by, normalize, randomize

NUM_CLASSES = 1000
_MOBILENETS = "TensorFlow's MobileNet page (tensorflow/models, research/slim/nets/mobilenet)"
_EFFICIENTNET = "Tan and Le, EfficientNet, 2019"


@dataclasses.dataclass(frozen=True)
class Baseline:
    """How a network is built, its published ImageNet top-1 in percent by precision, where that stands, and its first
    layer after the preprocessing that it brings along, if any.
    """

    build: Callable[..., keras.Model]
    published_top1: dict[str, float] = dataclasses.field(default_factory=dict)
    source: str = ""
    first: str = ""


def _mobilenet_v3(build: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    return functools.partial(build, include_preprocessing=False)


BASELINES = {
    "mobilenet_v2": Baseline(keras.applications.MobileNetV2),
    "mobilenet_v3_small": Baseline(_mobilenet_v3(keras.applications.MobileNetV3Small), {"float32": 67.5}, _MOBILENETS),
    "mobilenet_v3_large": Baseline(
        _mobilenet_v3(keras.applications.MobileNetV3Large), {"float32": 75.2, "int8": 73.9}, _MOBILENETS
    ),
    "efficientnet_b0": Baseline(
        keras.applications.EfficientNetB0, {"float32": 76.3}, _EFFICIENTNET, first="stem_conv_pad"
    ),
}


@dataclasses.dataclass(frozen=True)
class BaselineFile:
    """A baseline as a TFLite file, from raw images, uint8 (1, resolution, resolution, 3), to 1,000 logits.

    In "int16x8" it takes and gives float32, images normalized: the converter writes no other borders there.
    `published_top1` is in percent, None where it is not published for this resolution and precision.
    """

    name: str
    resolution: int
    precision: str
    path: pathlib.Path
    macs: int
    params: int
    published_top1: float | None
    source: str

    def to_dict(self, latency_ms: float) -> dict[str, Any]:
        """What a report needs, ready for JSON, with the latency that was measured."""
        fields = {key: value for key, value in dataclasses.asdict(self).items() if key != "path"}
        return {**fields, "latency_ms": latency_ms}


def baseline_file(name: str, resolution: int, precision: str = "float32") -> BaselineFile:
    """Converts a baseline, by the function that converts sub-networks, unless that was done before.

    Files are kept in the user's cache folder, and belong to the versions of the libraries and of the code that made
    them. Raises `InputError` where there is no such baseline, precision or resolution.
    """
    check_names([name])
    precision_of(precision)
    if not 32 <= resolution <= 1024:
        raise InputError(f"baseline {name}: resolution is {resolution}, expected an image side from 32 to 1024 pixels")
    version = hashlib.sha256(json.dumps(made_by(sys.modules[__name__])).encode()).hexdigest()[:16]
    path = cache_folder() / "baselines" / f"{name}-r{resolution}-{precision}-{version}.tflite"
    model = _model(name, resolution)
    if not path.exists():
        data = _converted(model, precision)
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    top1 = BASELINES[name].published_top1.get(precision) if resolution == 224 else None
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    source = BASELINES[name].source if top1 else ""
    return BaselineFile(name, resolution, precision, path, macs(model), trainable, top1, source)


def measure_baselines(
    path: str | os.PathLike,
    names: Sequence[str],
    *,
    resolution: int,
    precision: str,
    threads: int,
    measure: Callable[[pathlib.Path, int], float],
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Measures baselines on this machine into a JSON file, from which a report takes them; what it has is kept.

    Args:
        path: usually `baselines.json` in the folder of a specialization.
        names: some of `BASELINES`.
        resolution: image side in pixels.
        precision: one of `deploy.PRECISIONS`.
        threads: of the interpreter.
        measure: gives the latency of a file with so many threads, in milliseconds.
        say: told what is measured.

    Raises:
        InputError: as `baseline_file`.

    Example:
        measure_baselines("OUT/baselines.json", ["mobilenet_v2"], resolution=224, precision="int8", threads=1,
                          measure=lambda path, threads: Runner(path, threads=threads).time().median_ms)
    """
    path = pathlib.Path(path)
    kept = read_json(path, "baselines") if path.exists() else {}
    for name in names:
        key = f"{name}, {resolution} pixels, {precision}, {threads} threads"
        if key not in kept:
            say(f"baseline {key}")
            file = baseline_file(name, resolution, precision)
            kept[key] = file.to_dict(measure(file.path, threads))
            write_json(path, kept)


def check_names(names: Sequence[str]) -> None:
    """Raises `InputError` where one is none of `BASELINES`."""
    for name in names:
        if name not in BASELINES:
            raise InputError(f"baseline {name!r} is unknown; known are {', '.join(BASELINES)}")


def _model(name: str, resolution: int) -> keras.Model:
    baseline = BASELINES[name]
    model = baseline.build(
        input_shape=(resolution, resolution, 3), weights=None, classes=NUM_CLASSES, classifier_activation=None
    )
    if not baseline.first:
        return model
    # Exported files have their preprocessing in front, one multiplication and addition; this would be another.
    return keras.Model(model.get_layer(baseline.first).input, model.output, name=model.name)


def _converted(model: keras.Model, precision: str) -> bytes:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((SAMPLES, *model.inputs[0].shape[1:]), np.float32)
    randomize(model, images, rng)
    if not precision_of(precision).integer:
        return convert(model, precision, prepare=normalize)
    return convert(model, precision, representative=images, input_type="uint8", output_type="uint8")


def macs(model: keras.Model) -> int:
    """Of convolutions and dense layers, as `spaces.costs` counts them."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)):
            weights = int(np.prod(layer.kernel.shape))
            total += weights * int(np.prod(layer.output.shape[1:-1]))
    return total
