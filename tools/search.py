"""Searches the architecture with the best predicted accuracy inside a budget, in seconds and without training.

    python -m tools.search --predictor=RUN/accuracy_predictor.npz --latency_table=host_int8.json --max_latency_ms=1.5 \
        --output=arch.json
    python -m tools.search --predictor=RUN/accuracy_predictor.npz --max_macs=3e6 --output=arch.json
    python -m tools.search --predictor=RUN/accuracy_predictor.npz --latency_table=host_int8.json --max_latency_ms=5 \
        --front --output=front.json
    python -m tools.search --predictor=RUN/accuracy_predictor.npz --max_peak_memory_bytes=150e3 \
        --max_model_bytes=900e3 --output=arch.json

Any combination of limits may be given. The output holds the architecture under "arch", for tools.evaluate and
tools.export_tflite, its predicted top-1 and its predicted costs. A budget that nothing fits ends with the smallest
value that can be reached. With `--front` the output holds the best accuracies over the whole range up to the first
limit given (latency, MACs, parameters, file bytes, peak bytes, in this order); `.csv` and `.svg` beside it hold the
same as a table and as a plot.

`--max_model_bytes` and `--max_peak_memory_bytes` are of the file as tools.export_tflite writes it with the same
`--precision` and `--form`. The peak is that of the activations, as a microcontroller's runtime places them in its
arena; with a limit on it, the form is "fused-same" unless given. docs/microcontrollers.md says what else takes a
board's memory.

`--predictor` takes the name of a predictor that ships (ofa_mbv3_d234_e346_k357_w1.0: ImageNet top-1 at 224 pixels, so
that no training and no data set is needed), a file of tools.fit_accuracy_predictor, or a published `.pth`.
`--latency_table` takes a file of mobile_bench.build_latency_table or of tools.fit_latency_predictor, or a published
`.yaml` or the folder with them.
"""

import json
import sys

from absl import flags

from ofa_tf.common import cli
from ofa_tf.spaces.form import FORMS, MICROCONTROLLER_FORM

_PREDICTOR = flags.DEFINE_string("predictor", None, "predicts the accuracy, see above", required=True)
_LATENCY_TABLE = flags.DEFINE_string("latency_table", None, "predicts the latency, see above")
_MAX_LATENCY_MS = flags.DEFINE_float("max_latency_ms", None, "latency limit in milliseconds, needs --latency_table")
_MAX_MACS = flags.DEFINE_float("max_macs", None, "limit of multiply-accumulates, for example 200e6")
_MAX_PARAMS = flags.DEFINE_float("max_params", None, "limit of parameters")
_MAX_MODEL_BYTES = flags.DEFINE_float("max_model_bytes", None, "limit of the .tflite file's bytes")
_MAX_PEAK_MEMORY_BYTES = flags.DEFINE_float(
    "max_peak_memory_bytes", None, "limit of the activations' bytes at their peak, in int8 or float32"
)
_PRECISION = flags.DEFINE_enum(
    "precision", "int8", ["float32", "float16", "dynamic", "int8"], "of the file whose bytes are limited"
)
_FORM = flags.DEFINE_enum("form", None, list(FORMS), "how that file is written, see above")
_RESOLUTIONS = flags.DEFINE_list(
    "resolutions", None, "image sides to search, all that the predictor knows unless given"
)
_FRONT = flags.DEFINE_bool("front", False, "search the whole front up to the limit instead of one architecture")
_POPULATION = flags.DEFINE_integer("population", 100, "architectures kept per generation", lower_bound=2)
_GENERATIONS = flags.DEFINE_integer("generations", 500, "rounds of children", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 0, "equal seeds give equal results", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the result", required=True)


def main(argv):
    """Searches."""
    del argv
    from ofa_tf.common import write_json, write_text
    from ofa_tf.report import TradeoffSeries, tradeoff_plot
    from ofa_tf.search import evolutionary_search, pareto_search
    from tools.opening import open_accuracy_predictor

    predictor = open_accuracy_predictor(_PREDICTOR.value)
    space = predictor.space
    constraints = _constraints()
    common = {"seed": _SEED.value, "resolutions": _resolutions()}
    if _FRONT.value:
        front = pareto_search(space, predictor, constraints, **common)
        front.save(_OUTPUT.value)
        stem = _OUTPUT.value.removesuffix(".json")
        front.save_csv(f"{stem}.csv")
        points = tuple((point.costs[front.kind], 100 * point.predicted_accuracy) for point in front.candidates)
        line = TradeoffSeries(f"{space.name}, predicted", points)
        write_text(f"{stem}.svg", tradeoff_plot([line], name="front", cost_label=front.kind))
        for candidate in front.candidates:
            print(f"{front.kind} {candidate.costs[front.kind]:.6g}, predicted top-1 {candidate.predicted_accuracy:.4f}")
        return
    result = evolutionary_search(
        space, predictor, constraints, population=_POPULATION.value, generations=_GENERATIONS.value, **common
    )
    found = {
        "space": space.name,
        "arch": result.arch.to_dict(),
        # Asked once more: this one warns where it should not be relied on.
        "predicted_top1": float(predictor.predict(space, [result.arch])[0]),
        "predicted": dict(result.costs),
        "macs": space.count_macs(result.arch),
        "params": space.count_params(result.arch),
        "evaluated": result.evaluated,
    }
    if _form() is not None:
        # What the predicted bytes are of, and tools.export_tflite is to be given.
        found |= {"precision": _PRECISION.value, "form": _form()}
    write_json(_OUTPUT.value, found)
    print(json.dumps(found))
    _tell_about_weights(space.name)


def _constraints() -> list:
    from ofa_tf.common import InputError
    from ofa_tf.search import Constraint
    from ofa_tf.spaces.activation_memory import ActivationMemory
    from tools.opening import open_latency_predictor

    constraints = []
    if (_MAX_LATENCY_MS.value is None) != (_LATENCY_TABLE.value is None):
        raise InputError("--max_latency_ms and --latency_table go together: one of them is missing; give both")
    if _MAX_LATENCY_MS.value is not None:
        table = open_latency_predictor(_LATENCY_TABLE.value)
        constraints.append(Constraint("latency_ms", _MAX_LATENCY_MS.value, predictor=table))
    for kind, flag in (("macs", _MAX_MACS), ("params", _MAX_PARAMS)):
        if flag.value is not None:
            constraints.append(Constraint(kind, flag.value))
    written = {"precision": _PRECISION.value} | ({} if _form() is None else {"form": _form()})
    if _MAX_MODEL_BYTES.value is not None:
        constraints.append(Constraint("model_bytes", _MAX_MODEL_BYTES.value, **written))
    if _MAX_PEAK_MEMORY_BYTES.value is not None:
        memory = ActivationMemory(**written)
        constraints.append(Constraint("peak_memory_bytes", _MAX_PEAK_MEMORY_BYTES.value, memory=memory))
    if not constraints:
        raise InputError(
            "no budget given; give --max_latency_ms, --max_macs, --max_params, --max_model_bytes or "
            "--max_peak_memory_bytes"
        )
    return constraints


def _form() -> str | None:
    return _FORM.value or (None if _MAX_PEAK_MEMORY_BYTES.value is None else MICROCONTROLLER_FORM)


def _resolutions() -> list[int] | None:
    from ofa_tf.common import InputError

    if _RESOLUTIONS.value is None:
        return None
    if not all(text.strip().isdecimal() for text in _RESOLUTIONS.value):
        raise InputError(f"--resolutions={','.join(_RESOLUTIONS.value)}: expected image sides such as 160,192,224")
    return [int(text) for text in _RESOLUTIONS.value]


def _tell_about_weights(space_name: str) -> None:
    """A predictor of a published space comes without the weights it speaks of."""
    from ofa_tf import interop

    if space_name in interop.published_names():
        print(
            f"the weights of space {space_name} are not here; python -m tools.import_ofa --checkpoint={space_name} "
            f"--output={space_name}.npz fetches them, then give --supernet={space_name}.npz to tools.export_tflite",
            file=sys.stderr,
        )


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
