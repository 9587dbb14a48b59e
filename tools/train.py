"""Trains a once-for-all network: by progressive shrinking, or by another schedule of docs/training.md.

    python -m tools.train --run_dir=runs/photos --dataset=folder --data_dir=photos
    python -m tools.train --run_dir=runs/digits --config=ofa_tf/configs/digits.py --config.stages.full.epochs=40

A folder holds `train/<class>/` with images and, where there are such, `validation/<class>/` and `test/<class>/`
(docs/images.md says which files are images). The config file holds the whole
experiment; `--config.field=value` overrides a field. The run directory gets `run.json`, `metrics.jsonl` (a line per
epoch and per evaluated sub-network), the same for TensorBoard (`tensorboard --logdir=RUN/tensorboard`), and
`stages/<stage>.npz`. The command given again resumes an interrupted run, at
the very step.

    python -m tools.train --config=ofa_tf/configs/few_photos.py --init_from=ofa_efficientnet_lite --data_dir=photos \\
        --run_dir=runs/few

begins with a trained supernet: one that ships, a run directory, an `.npz` of tools.pack_supernet or tools.import_ofa.
Its classifier is replaced where the classes differ. That is the way for a few hundred photos.

`--teacher=` gives a network that is trained already and teaches all sub-networks, in every stage: a supernet as above
(its largest network teaches) or a `.keras` file. It must know the same classes. Where the config's feature_ratio is
above 0, as the default's, it must be a supernet of the run's space, or give --config.feature_ratio=0.

Several GPUs of a machine are used automatically. On several machines the same command runs on each, with TF_CONFIG set
(https://www.tensorflow.org/guide/distributed_training) and a --run_dir that all of them see; the first one writes. A
worker that waits longer than --peer_timeout_s for another one ends, and the same commands resume the run.
"""

from absl import flags

from ofa_tf.common import cli
from ofa_tf.configs import FIELDS

from . import source_flags

_RUN_DIR = flags.DEFINE_string("run_dir", None, "the folder for the run; an interrupted one is resumed", required=True)
_CONFIG = cli.define_config("ofa_tf/configs/photos.py", "the experiment", FIELDS)
_DATASET = flags.DEFINE_string("dataset", None, "folder, digits, a TFDS name or a path; the config's unless given")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the images' folder; the config's unless given")
_VALIDATION = source_flags.define_validation()
_SPACE = flags.DEFINE_string(
    "space", None, "a space by name or as a .json file (docs/spaces.md); the config's unless given"
)
_INIT_FROM = flags.DEFINE_string(
    "init_from", None, "a trained supernet to begin with: a name, a run, a file, or keras:MobileNetV3Large"
)
_TEACHER = flags.DEFINE_string(
    "teacher", None, "a trained network that teaches in every stage: a supernet by name, a run, an .npz or .keras file"
)
_TEACHER_INPUTS = flags.DEFINE_enum(
    "teacher_inputs", None, ["pixels", "normalized"],
    "what a .keras teacher takes: 0 to 255, or normalized as the run's images; only where the model does not rescale",
)  # fmt: skip
_TEACHER_RESOLUTION = flags.DEFINE_integer(
    "teacher_resolution", None,
    "image side at which a supernet is asked for its answers; the step's unless given, as always for its maps",
    lower_bound=1, upper_bound=1024,
)  # fmt: skip
_STAGES = flags.DEFINE_list("stages", None, "run only these stages of the recipe, for example full,kernel")
_DISTRIBUTE = flags.DEFINE_enum(
    "distribute", "auto", ["auto", "one", "mirrored", "workers"],
    "one device, all of this machine, or the workers of TF_CONFIG; auto: by TF_CONFIG and the number of GPUs",
)  # fmt: skip
_PEER_TIMEOUT_S = flags.DEFINE_float("peer_timeout_s", 45.0, "how long a worker waits for another one", lower_bound=1.0)
_DETERMINISTIC = flags.DEFINE_bool("deterministic", False, "the same bits in every run on the same machine; slower")
_TENSORBOARD = flags.DEFINE_bool("tensorboard", True, "write the curves for TensorBoard, too")


def main(argv):
    """Runs the stages."""
    del argv
    import sys

    from ofa_tf.common import InputError
    from ofa_tf.specialize import evaluator_for, read_initial
    from ofa_tf.training import Cluster, Trainer, open_experiment, set_deterministic

    from .opening import read_teacher

    if _DETERMINISTIC.value:
        set_deterministic()
    cluster = Cluster.open(_DISTRIBUTE.value, timeout_s=_PEER_TIMEOUT_S.value)
    config = _CONFIG.value.to_dict()
    for flag in (_DATASET, _DATA_DIR, _SPACE):
        if flag.value is not None:
            config[flag.name] = flag.value
    # What a command line says beats a folder's own split; what a config says is for folders without one.
    given = cli.config_overrides()
    validation = given.get("validation", given.get("holdout")) if _VALIDATION.value is None else _VALIDATION.value
    initial = None
    if _INIT_FROM.value is not None:
        if _SPACE.value is not None:
            raise InputError(f"--space={_SPACE.value}: --init_from decides the space; leave --space out")
        for field in given:
            if field == "space" or (field.startswith("preprocessing.") and field != "preprocessing.resize"):
                raise InputError(f"--config.{field}: --init_from decides it; leave it out")
        initial = read_initial(_INIT_FROM.value)
    for flag in (_TEACHER_INPUTS, _TEACHER_RESOLUTION):
        if flag.value is not None and _TEACHER.value is None:
            raise InputError(f"--{flag.name}={flag.value}: says how a --teacher is asked, and there is none; give one")
    teacher = (
        None
        if _TEACHER.value is None
        else read_teacher(_TEACHER.value, _TEACHER_INPUTS.value, _TEACHER_RESOLUTION.value)
    )
    run_directory, dataset = open_experiment(
        _RUN_DIR.value, config, stages=_STAGES.value, initial=initial, replicas=cluster.replicas, teacher=teacher,
        validation=validation,
    )  # fmt: skip
    print(dataset.found(), file=sys.stderr)
    trainer = Trainer(run_directory, dataset, initial, cluster, teacher, event_files=_TENSORBOARD.value)
    evaluator = evaluator_for(trainer.net, run_directory, dataset)
    trainer.train(_STAGES.value, evaluate=lambda arch: evaluator.evaluate(arch, split="validation").to_dict())
    print(f"{_RUN_DIR.value}: finished stages {', '.join(run_directory.finished_stages())}")


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
