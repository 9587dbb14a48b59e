"""Top-1 of the sub-networks of a finished row on the 5,000 held-out images, at the size they were trained at.

    python -m benchmarks.cifar10_score --row=s_delayed_seed0 --run_dir=runs/cifar10/s_delayed_seed0 --output=row.json

Of a supernet: the eight corners (least and greatest depth, expand ratio and kernel size, everywhere) and 30 random
ones, the same for all rows of a space. Of a network that was trained alone: that one. Each is calibrated first.
"""

import itertools

from absl import flags

from ofa_tf.common import cli

_ROW = flags.DEFINE_string("row", None, "a row of benchmarks/cifar10_config.py", required=True)
_RUN_DIR = flags.DEFINE_string("run_dir", None, "its finished run", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "the images' folder; the run's unless given")
_COUNT = flags.DEFINE_integer("count", 30, "random sub-networks", lower_bound=0)
_OVERRIDES = flags.DEFINE_multi_string("override", [], "for trying this out: what the run's training was given, too")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures", required=True)

_NOT_OF_THE_RECIPE = ("space", "dataset", "data_dir", "validation", "data_seed", "choices")

# Of the random sub-networks: any number, the same for all rows.
_SEED = 2026


def subnets_of(space, count: int) -> dict:
    """The sub-networks that are scored, by name; of a space of one network, that one."""
    import numpy as np

    if space.num_architectures == 1:
        return {_corner_name(*(space.choices(field)[0] for field in ("d", "e", "ks"))): space.largest()}
    ends = [(space.choices(field)[0], space.choices(field)[-1]) for field in ("d", "e", "ks")]
    corners = {_corner_name(d, e, ks): space.arch(d=d, e=e, ks=ks) for d, e, ks in itertools.product(*ends)}
    drawn = {f"random {index}": space.sample(np.random.default_rng([_SEED, index])) for index in range(count)}
    return corners | drawn


def _corner_name(d: int, e: float, ks: int) -> str:
    return f"D{d}-W{e}-K{ks}"


def main(argv):
    """Evaluates and writes."""
    del argv
    import json

    from benchmarks.cifar10_config import get_config
    from ofa_tf import spaces
    from ofa_tf.common import InputError, write_json
    from ofa_tf.specialize import open_source
    from ofa_tf.training import Recipe

    config = json.loads(json.dumps(get_config(_ROW.value).to_dict()))
    opened = open_source(_RUN_DIR.value, data_dir=_DATA_DIR.value)
    if not _OVERRIDES.value:
        planned = Recipe.from_config({name: it for name, it in config.items() if name not in _NOT_OF_THE_RECIPE})
        choices = {name: tuple(values) for name, values in config.get("choices", {}).items()}
        planned_space = spaces.get(config["space"]).restricted(**choices).replace(num_classes=10)
        planned_split = config["validation"], config["data_seed"]
        found = opened.run.recipe, opened.run.space, tuple(opened.run.dataset[name] for name in ("validation", "seed"))
        if (planned, planned_space, planned_split) != found:
            raise InputError(
                f"--run_dir={_RUN_DIR.value}: its recipe, space or validation split is not that of --row={_ROW.value}; "
                f"give its own run"
            )
    space, seconds = opened.net.space, [line["seconds"] for line in opened.run.read_log("timing")]
    subnets = []
    for name, arch in subnets_of(space, _COUNT.value).items():
        found = opened.evaluator.evaluate(arch, split="validation")
        macs, params = space.count_macs(arch), space.count_params(arch)
        subnets.append({"subnet": name, "top1": found.top1, "macs": macs, "params": params, "arch": arch.to_dict()})
        print(f"{name}: {100 * found.top1:.1f}%, {macs / 1e6:.2f} million MACs", flush=True)
    write_json(
        _OUTPUT.value,
        {
            "row": _ROW.value,
            "config": config,
            **({"overrides": _OVERRIDES.value} if _OVERRIDES.value else {}),
            "data": opened.run.dataset["digest"],
            "teacher": opened.run.teacher,
            "split": "validation",
            "images": found.images,
            "resolution": space.resolutions[-1],
            # Of the epochs that were logged; what was lost to a kill and done again is not in it.
            "training_seconds": sum(seconds),
            "subnets": subnets,
        },
    )


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
