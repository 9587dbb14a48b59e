"""Measures the accuracy of random sub-networks on the validation split: the data of the accuracy predictor.

    python -m tools.collect_accuracy --run_dir=RUN --count=500

Pairs are appended to RUN/accuracy.jsonl as they are measured. Rerun to resume; a larger `--count` extends the
file. No pair is measured twice.

    python -m tools.collect_accuracy --run_dir=RUN --count=16000 --ray_address=local --workers=8

shares the work among processes, here or on a Ray cluster (`--ray_address=HOST:6379`) whose machines all see the run and
the images. Needs `pip install ray`. What a lost worker was measuring is measured again.
"""

from absl import flags

from ofa_tf.common import cli

from . import source_flags

_SOURCE = source_flags.define()
_COUNT = flags.DEFINE_integer("count", 500, "how many sub-networks of this --seed the file is to hold", lower_bound=2)
_IMAGES = flags.DEFINE_integer("images", None, "at most so many validation images, evenly spaced", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "of the choice of sub-networks", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "the file of pairs; RUN/accuracy.jsonl unless given")
_RAY_ADDRESS = flags.DEFINE_string("ray_address", None, "a Ray cluster, or local; this process measures unless given")
_WORKERS = flags.DEFINE_integer("workers", 2, "with --ray_address: how many processes measure", lower_bound=1)


def main(argv):
    """Collects."""
    del argv
    import functools

    from ofa_tf.common import InputError
    from ofa_tf.evaluation import Farm
    from ofa_tf.specialize import collect_pairs, evaluator_of
    from ofa_tf.specialize.learning import is_of_run

    if flags.FLAGS["workers"].present and _RAY_ADDRESS.value is None:
        raise InputError(f"--workers={_WORKERS.value}: is for --ray_address; give that, too, or leave it out")
    opened = _SOURCE.open()
    if not _OUTPUT.value and opened.run is None:
        raise InputError("--output: with --supernet there is no run directory to write into; give the file of pairs")
    if not _OUTPUT.value and not is_of_run(opened):
        raise InputError(
            f"--output: {opened.run.path}/accuracy.jsonl is for the run's last stage and its own images, resized as "
            f"they were; give another file"
        )
    path = _OUTPUT.value or opened.run.path / "accuracy.jsonl"
    farm = None
    if _RAY_ADDRESS.value is not None:
        farm = Farm(functools.partial(evaluator_of, **_SOURCE.values()), _RAY_ADDRESS.value, _WORKERS.value)
    pairs = collect_pairs(opened.evaluator, path, count=_COUNT.value, seed=_SEED.value, limit=_IMAGES.value, farm=farm)
    print(f"{path}: {len(pairs)} pairs")


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
