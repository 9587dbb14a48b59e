"""Predicted peak memory of activations and file sizes against the microcontroller's runtime and the files themselves.

    python -m benchmarks.peak_memory --output=benchmarks/results/peak_memory.json

Random sub-networks of each space with random weights (neither figure depends on them), in int8 and float32, in every
form that leaves kernels whole, one after the other. The peak is the head of tflite-micro's arena. int8 files are run
once, too; float32 ones are not, as the runtime lacks their conversion from uint8.
"""

from absl import flags

from ofa_tf.common import cli

_SPACES = flags.DEFINE_list("spaces", None, "spaces by name; all but the two widest unless given")
_SUBNETS = flags.DEFINE_integer("subnets", 20, "of each space", lower_bound=1)
_MAX_RESOLUTION = flags.DEFINE_integer("max_resolution", 128, "image sides up to this, in pixels")
_SEED = flags.DEFINE_integer("seed", 20, "of the sub-networks")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures")

# The same blocks as w0.5, and minutes of conversion.
WIDEST = ("ofa_mbv3_d234_e346_k357_w1.0", "ofa_mbv3_d234_e346_k357_w1.2")


def main(argv):
    """Draws, converts, runs and compares."""
    del argv
    import numpy as np
    import tqdm

    from ofa_tf import spaces
    from ofa_tf.common import write_json
    from ofa_tf.common.form import FORMS
    from ofa_tf.deploy.micro_runtime import run_micro
    from ofa_tf.devices.block_models import model_bytes
    from ofa_tf.spaces.costs import FILE_SIZES, MEMORY_PRECISIONS, ActivationMemory

    forms = [name for name, form in FORMS.items() if form.kernels == "whole"]
    names = _SPACES.value or [name for name in spaces.names() if name not in WIDEST]
    rows = []
    for name in tqdm.tqdm(names, desc="spaces", disable=None):
        space = spaces.get(name)
        space = space.replace(resolutions=tuple(r for r in space.resolutions if r <= _MAX_RESOLUTION.value))
        rng = np.random.default_rng(_SEED.value)
        for place in range(_SUBNETS.value):
            arch, form = space.sample(rng), forms[place % len(forms)]
            blocks = space.blocks(arch)
            for precision in MEMORY_PRECISIONS:
                data = model_bytes(blocks, precision, form=form)
                run = run_micro(data, np.zeros((1, arch.r, arch.r, 3), np.uint8) if precision == "int8" else None)
                rows.append(
                    {
                        "space": name,
                        "precision": precision,
                        "form": form,
                        "arch": arch.to_dict(),
                        "predicted_peak_memory_bytes": ActivationMemory(precision, form).network_bytes(blocks),
                        "peak_memory_bytes": run.head_bytes,
                        "tail_bytes": run.tail_bytes,
                        "board_tail_bytes": run.board_tail_bytes,
                        "predicted_model_bytes": FILE_SIZES[precision].network_bytes(blocks, form),
                        "model_bytes": len(data),
                    }
                )
    print("space | precision | sub-networks | KB at the peak | predicted against that | the same of the file")
    for name in names:
        for precision in MEMORY_PRECISIONS:
            found = [row for row in rows if (row["space"], row["precision"]) == (name, precision)]
            peaks = [row["peak_memory_bytes"] / 1e3 for row in found]
            print(
                f"{name} | {precision} | {len(found)} | {min(peaks):.1f} to {max(peaks):.1f} | "
                f"{_span(found, 'peak_memory_bytes')} | {_span(found, 'model_bytes')}"
            )
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"seed": _SEED.value, "rows": rows})


def _span(rows, kind: str) -> str:
    errors = [100 * (row[f"predicted_{kind}"] / row[kind] - 1) for row in rows]
    return f"{min(errors):+.2f}% to {max(errors):+.2f}%"


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
