"""Images per second of the training pipeline, against a bare loop of `tf.image.decode_and_crop_jpeg` and resize.

    python -m benchmarks.data_throughput --images=imagenet_sample.tar \\
        --output=benchmarks/results/data_throughput.json

The bare loop is `tf.data` with as many calls in parallel, and is handed the crops that the pipeline draws: it need not
even read the photos' sizes. The pipeline does all that training gets: shuffling, drawing, colour, flip, uint8. Both
sides run in turns, after a first turn that is not counted. Goal: at least 0.8 of the bare loop.
"""

import pathlib
import tarfile
import tempfile
import time

from absl import flags

from ofa_tf.common import cli

_IMAGES = flags.DEFINE_string("images", None, "tar file of <class>/*.JPEG", required=True)
_RESOLUTIONS = flags.DEFINE_list("resolutions", ["128", "160", "224"], "image sides in pixels")
_BATCH = flags.DEFINE_integer("batch", 64, "images per batch", lower_bound=1)
_TURNS = flags.DEFINE_integer("turns", 5, "timed turns of each side", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Measures and prints."""
    del argv
    import numpy as np

    from ofa_tf.common import InputError, write_json

    if not pathlib.Path(_IMAGES.value).is_file():
        raise InputError(f"--images={_IMAGES.value}: no such file; expected a tar file of <class>/*.JPEG")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(_IMAGES.value) as archive:
            archive.extractall(folder, filter="data")
        paths = sorted(map(str, pathlib.Path(folder).rglob("*.JPEG")))
        for resolution in map(int, _RESOLUTIONS.value):
            sides = {"bare": bare_batches(paths, resolution), "pipeline": pipeline_batches(paths, resolution)}
            speeds = {side: [] for side in sides}
            for turn in range(_TURNS.value + 1):
                for side, batches in sides.items():
                    speed = images_per_second(batches)
                    if turn:
                        speeds[side].append(speed)
            medians = {side: float(np.median(values)) for side, values in speeds.items()}
            ratio = medians["pipeline"] / medians["bare"]
            rows.append({"resolution": resolution, **medians, "ratio": ratio})
            print(f"{resolution} px: bare {medians['bare']:.0f}, pipeline {medians['pipeline']:.0f} images/s: "
                  f"{ratio:.2f} (goal at least 0.80)", flush=True)  # fmt: skip
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"images": len(paths), "batch": _BATCH.value, "turns": _TURNS.value, "rows": rows})


def pipeline_batches(paths: list[str], resolution: int):
    """The project's batches of all images, in one epoch."""
    from ofa_tf import data

    split = data.Split.make("sample train", "files", paths, [0] * len(paths))
    dataset = data.ImageDataset("sample", ("photo", "other"), {"train": split, "validation": split})
    steps = data.steps_per_epoch(dataset, _BATCH.value)
    return data.training_batches(
        dataset, batch_size=_BATCH.value, resolutions=(resolution,), augmentation=data.Augmentation(), seed=0,
        steps=steps,
    )  # fmt: skip


def bare_batches(paths: list[str], resolution: int):
    """Decode, crop and resize alone, of crops that the augmentation drew beforehand."""
    import numpy as np
    import tensorflow as tf

    from ofa_tf import data
    from ofa_tf.data.augmentation import Draws, _window, draw
    from ofa_tf.data.batches import PARALLEL_CALLS

    draws = draw(data.Augmentation(), tf.constant([0, 0], tf.int64), len(paths))
    sizes = [tf.io.extract_jpeg_shape(tf.io.read_file(path))[:2] for path in paths]
    windows = tf.constant(
        np.stack([_window(size, Draws(*(v[i] for v in draws)), data.Augmentation()) for i, size in enumerate(sizes)])
    )
    names = tf.constant(paths)
    order = np.random.default_rng(0).permutation(len(paths))[: len(paths) // _BATCH.value * _BATCH.value]

    def image_of(index):
        encoded = tf.io.read_file(names[index])
        image = tf.image.decode_and_crop_jpeg(encoded, windows[index], channels=3)
        return tf.image.resize(image, (resolution, resolution)), 0

    dataset = tf.data.Dataset.from_tensor_slices(order).map(image_of, num_parallel_calls=PARALLEL_CALLS)
    return dataset.batch(_BATCH.value).prefetch(2)


def images_per_second(batches) -> float:
    """From the first batch, which starts the pipeline, to the last."""
    iterator = iter(batches)
    next(iterator)
    began, count = time.perf_counter(), 0
    for images, _ in iterator:
        count += len(images)
    return count / (time.perf_counter() - began)


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
