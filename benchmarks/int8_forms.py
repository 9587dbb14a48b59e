"""Latency of int8 files in every form against float32, on this machine: five sub-networks of the published w1.0 space.

    python -m benchmarks.int8_forms --output=benchmarks/results/int8_forms.json

The smallest, the largest and three random sub-networks at 160x160, with random weights (time does not depend on them),
converted in float32 (forms "fused" and "fused-rows") and in int8 in each of `common.form.FORMS`, timed in turns, one
thread.
"""

from absl import flags

from ofa_tf.common import cli

_SPACE = flags.DEFINE_string("space", "ofa_mbv3_d234_e346_k357_w1.0", "a space by name")
_RESOLUTION = flags.DEFINE_integer("resolution", 160, "image side in pixels", lower_bound=1)
_FORMS = flags.DEFINE_list("forms", None, "which forms; all unless given")
_ROUNDS = flags.DEFINE_integer("rounds", 15, "turns of all files", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")


def main(argv):
    """Converts, measures and prints."""
    del argv
    import dataclasses

    import numpy as np
    import tqdm

    from ofa_tf import spaces
    from ofa_tf.common import write_json
    from ofa_tf.common.form import FORMS
    from ofa_tf.deploy import Runner
    from ofa_tf.devices.block_models import model_bytes
    from ofa_tf.devices.measure import random_input

    space = spaces.get(_SPACE.value)
    rng = np.random.default_rng(0)
    archs = [space.smallest(), *(space.sample(rng) for _ in range(3)), space.largest()]
    kinds = [("float32", "fused"), ("float32", "fused-rows"), *(("int8", form) for form in _FORMS.value or FORMS)]
    rows = []
    for place, arch in enumerate(tqdm.tqdm(archs, desc="sub-networks", disable=None)):
        arch = dataclasses.replace(arch, r=_RESOLUTION.value)
        runners = [Runner(model_bytes(space.blocks(arch), precision, form=form)) for precision, form in kinds]
        for runner in runners:
            runner.fill(random_input(runner, rng))
        times = np.empty((_ROUNDS.value, len(kinds)))
        for turn in times:
            for index in rng.permutation(len(kinds)):
                turn[index] = runners[index].time(10, 0.02, warmup_runs=2).median_ms
        medians = np.median(times, axis=0)
        for (precision, form), runner, ms in zip(kinds, runners, medians.tolist(), strict=True):
            rows.append(
                {
                    "subnet": place,
                    "macs": space.count_macs(arch),
                    "precision": precision,
                    "form": form,
                    "median_ms": ms,
                    "of_float32": ms / float(medians[0]),
                    "of_fastest_float32": ms / float(medians[:2].min()),
                    "partitions": runner.partitions,
                }
            )
    print("form | of the time of float32 fused, median (least to greatest) | of the faster float32 | partitions")
    for precision, form in kinds:
        found = [row for row in rows if (row["precision"], row["form"]) == (precision, form)]
        shares = [row["of_float32"] for row in found]
        of_fastest = float(np.median([row["of_fastest_float32"] for row in found]))
        print(
            f"{precision} {form} | {np.median(shares):.3f} ({min(shares):.3f} to {max(shares):.3f}) | "
            f"{of_fastest:.3f} | {max(row['partitions'] for row in found)}"
        )
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"space": space.name, "resolution": _RESOLUTION.value, "rows": rows})


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
