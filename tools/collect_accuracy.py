"""Measures the accuracy of random sub-networks on the hold-out: the data of the accuracy predictor.

    python -m tools.collect_accuracy --run_dir=RUN --count=500

Pairs are appended to RUN/accuracy.jsonl as they are measured. The command given again goes on where it stopped; a
larger `--count` extends the file. No pair is measured twice.
"""

from absl import flags

from ofa_tf.common import cli

_RUN_DIR = flags.DEFINE_string("run_dir", None, "the run", required=True)
_COUNT = flags.DEFINE_integer("count", 500, "how many sub-networks the file is to hold", lower_bound=2)
_IMAGES = flags.DEFINE_integer("images", None, "only the first so many hold-out images", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "of the choice of sub-networks", lower_bound=0)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the images' folder; the run's unless given")
_OUTPUT = flags.DEFINE_string("output", None, "the file of pairs; RUN/accuracy.jsonl unless given")


def main(argv):
    """Collects."""
    del argv
    from tools.opening import open_run
    from tools.pipeline import collect_pairs

    opened = open_run(_RUN_DIR.value, data_dir=_DATA_DIR.value)
    path = _OUTPUT.value or opened.run.path / "accuracy.jsonl"
    pairs = collect_pairs(opened.evaluator, path, count=_COUNT.value, seed=_SEED.value, limit=_IMAGES.value)
    print(f"{path}: {len(pairs)} pairs")


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
