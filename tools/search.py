"""Searches the architecture with the best predicted accuracy inside a budget, in seconds and without training.

    python -m tools.search --predictor=RUN/predictor.npz --latency_table=host_int8.json --max_latency_ms=1.5 \\
        --output=arch.json
    python -m tools.search --predictor=RUN/predictor.npz --max_macs=3e6 --output=arch.json
    python -m tools.search --predictor=RUN/predictor.npz --latency_table=host_int8.json --max_latency_ms=5 \\
        --front --output=front.json
    python -m tools.search --predictor=RUN/predictor.npz --max_peak_memory_bytes=150e3 \\
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
import warnings

from absl import flags

from ofa_tf.common import cli
from ofa_tf.common.form import PRECISIONS

from . import limit_flags

_PREDICTOR = flags.DEFINE_string("predictor", None, "predicts the accuracy, see above", required=True)
_LATENCY_TABLE = flags.DEFINE_string("latency_table", None, "predicts the latency, see above")
_LIMITS = limit_flags.define()
_PRECISION = flags.DEFINE_enum(
    "precision", None, list(PRECISIONS), "of the file that the result is for; the table's, or int8, unless given"
)
_FRONT = flags.DEFINE_bool("front", False, "search the whole front up to the limit instead of one architecture")
_POPULATION = flags.DEFINE_integer(
    "population", None, "architectures kept per generation; 100 unless given; not with --front", lower_bound=2
)
_GENERATIONS = flags.DEFINE_integer(
    "generations", None, "rounds of children; 500 unless given, 900 with --front", lower_bound=0
)
_SEED = flags.DEFINE_integer("seed", 0, "equal seeds give equal results", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the result", required=True)


def main(argv):
    """Searches."""
    del argv
    from ofa_tf.common import InputError, check_writable, write_json, write_text
    from ofa_tf.search import evolutionary_search, pareto_search
    from ofa_tf.specialize import open_accuracy_predictor

    if _FRONT.value and _POPULATION.value is not None:
        raise InputError("--population: a front keeps architectures for each part of its range; leave it out")
    check_writable(_OUTPUT.value)
    predictor = open_accuracy_predictor(_PREDICTOR.value)
    space = predictor.space
    constraints, precision, form = _constraints()
    common = {"seed": _SEED.value, "resolutions": _LIMITS.sides()}
    if _GENERATIONS.value is not None:
        common["generations"] = _GENERATIONS.value
    if _FRONT.value:
        # Loads matplotlib, which one architecture does without.
        from ofa_tf.report import TradeoffSeries, tradeoff_plot

        front = pareto_search(space, predictor, constraints, **common)
        # Asked once more: it warns where it should not be relied on.
        predictor.predict(space, [candidate.arch for candidate in front.candidates])
        front.save(_OUTPUT.value)
        stem = _OUTPUT.value.removesuffix(".json")
        front.save_csv(f"{stem}.csv")
        points = tuple((point.costs[front.kind], 100 * point.predicted_top1) for point in front.candidates)
        line = TradeoffSeries(f"{space.name}, predicted", points)
        write_text(f"{stem}.svg", tradeoff_plot([line], name="front", cost_label=front.kind))
        for candidate in front.candidates:
            print(f"{front.kind} {candidate.costs[front.kind]:.6g}, predicted top-1 {candidate.predicted_top1:.4f}")
        return
    if _POPULATION.value is not None:
        common["population"] = _POPULATION.value
    result = evolutionary_search(space, predictor, constraints, **common)
    found = {
        "space": space.name,
        "arch": result.arch.to_dict(),
        # Asked once more: this one warns where it should not be relied on.
        "predicted_top1": float(predictor.predict(space, [result.arch])[0]),
        "predicted": dict(result.costs),
        "macs": space.count_macs(result.arch),
        "params": space.count_params(result.arch),
        "evaluated": result.evaluated,
        # Of the file that it is for; tools.export_tflite takes them from here.
        "precision": precision,
        "form": form,
    }
    print(json.dumps(found), flush=True)
    write_json(_OUTPUT.value, found)
    _tell_about_weights(space.name)


def _constraints() -> tuple[list, str, str]:
    """The constraints, and precision and form of the file that they are of."""
    from ofa_tf.common import InputError
    from ofa_tf.common.form import form_of
    from ofa_tf.search.constraint import constraints_of
    from ofa_tf.specialize import open_latency_predictor

    limits = _LIMITS.limits()
    if ("latency_ms" in limits) != (_LATENCY_TABLE.value is not None):
        raise InputError("--max_latency_ms and --latency_table go together: one of them is missing; give both")
    if not limits:
        raise InputError(
            "no budget given; give --max_latency_ms, --max_macs, --max_params, --max_model_bytes or "
            "--max_peak_memory_bytes"
        )
    table = None if _LATENCY_TABLE.value is None else open_latency_predictor(_LATENCY_TABLE.value)
    # Regressions do not say what they are of; a published table counts as one of float32.
    measured = getattr(table, "precision", None)
    if None not in (measured, _PRECISION.value) and measured != _PRECISION.value:
        raise InputError(
            f"--precision={_PRECISION.value}: {_LATENCY_TABLE.value} counts as one of {measured} files; leave "
            f"--precision out, or give a table of {_PRECISION.value}"
        )
    precision = _PRECISION.value or measured or "int8"
    of_table = getattr(table, "stated_form", None)
    form = form_of(precision, _LIMITS.form.value, limits=limits, table_form=of_table)
    if of_table not in (None, form):
        asks = "--form" if _LIMITS.form.value else "--max_peak_memory_bytes"
        warnings.warn(
            f"{_LATENCY_TABLE.value}: is of files in the form {of_table}, and {asks} asks for {form}, whose latencies "
            f"are others; give a table of that form (mobile_bench.build_latency_table --form={form})",
            stacklevel=2,
        )
    return constraints_of(limits, table=table, precision=precision, form=form), precision, form


def _tell_about_weights(space_name: str) -> None:
    """A predictor of a published space comes without the weights it speaks of."""
    from ofa_tf.common import as_called
    from ofa_tf.interop import import_command

    if command := import_command(space_name):
        print(
            f"the weights of space {space_name} are not here; {command} fetches them, then give "
            f"--supernet={space_name}.npz to {as_called('tools.export_tflite')}",
            file=sys.stderr,
        )


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
