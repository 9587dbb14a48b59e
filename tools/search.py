"""Searches the architecture with the best predicted accuracy inside a budget, in seconds and without training.

    python -m tools.search --predictor=RUN/accuracy_predictor.npz --latency_table=host_int8.json --max_latency_ms=1.5 \
        --output=arch.json
    python -m tools.search --predictor=RUN/accuracy_predictor.npz --max_macs=3e6 --output=arch.json

Any combination of limits may be given. The output holds the architecture under "arch", for tools.evaluate and
tools.export_tflite, its predicted top-1 and its predicted costs. A budget that nothing fits ends with the smallest
value that can be reached.
"""

import json

from absl import flags

from ofa_tf.common import cli

_PREDICTOR = flags.DEFINE_string("predictor", None, "the .npz of tools.fit_accuracy_predictor", required=True)
_LATENCY_TABLE = flags.DEFINE_string("latency_table", None, "the .json of mobile_bench.build_latency_table")
_MAX_LATENCY_MS = flags.DEFINE_float("max_latency_ms", None, "latency limit in milliseconds, needs --latency_table")
_MAX_MACS = flags.DEFINE_float("max_macs", None, "limit of multiply-accumulates, for example 200e6")
_MAX_PARAMS = flags.DEFINE_float("max_params", None, "limit of parameters")
_MAX_MODEL_BYTES = flags.DEFINE_float("max_model_bytes", None, "limit of the .tflite file's bytes in --precision")
_PRECISION = flags.DEFINE_enum(
    "precision", "int8", ["float32", "float16", "dynamic", "int8"], "what --max_model_bytes counts in"
)
_POPULATION = flags.DEFINE_integer("population", 100, "architectures kept per generation", lower_bound=2)
_GENERATIONS = flags.DEFINE_integer("generations", 500, "rounds of children", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 0, "equal seeds give equal results", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the result", required=True)


def main(argv):
    """Searches."""
    del argv
    from ofa_tf.common import InputError, write_json
    from ofa_tf.predictors import AccuracyPredictor, LatencyTable
    from ofa_tf.search import Constraint, evolutionary_search

    predictor = AccuracyPredictor.load(_PREDICTOR.value)
    constraints = []
    if (_MAX_LATENCY_MS.value is None) != (_LATENCY_TABLE.value is None):
        raise InputError("--max_latency_ms and --latency_table go together: one of them is missing; give both")
    if _MAX_LATENCY_MS.value is not None:
        table = LatencyTable.load(_LATENCY_TABLE.value)
        constraints.append(Constraint("latency_ms", _MAX_LATENCY_MS.value, predictor=table))
    for kind, flag in (("macs", _MAX_MACS), ("params", _MAX_PARAMS)):
        if flag.value is not None:
            constraints.append(Constraint(kind, flag.value))
    if _MAX_MODEL_BYTES.value is not None:
        constraints.append(Constraint("model_bytes", _MAX_MODEL_BYTES.value, precision=_PRECISION.value))
    if not constraints:
        raise InputError("no budget given; give --max_latency_ms, --max_macs, --max_params or --max_model_bytes")
    result = evolutionary_search(
        predictor.space,
        predictor,
        constraints,
        population=_POPULATION.value,
        generations=_GENERATIONS.value,
        seed=_SEED.value,
    )
    found = {
        "space": predictor.space.name,
        "arch": result.arch.to_dict(),
        "predicted_top1": result.predicted_accuracy,
        "predicted": dict(result.costs),
        "macs": predictor.space.count_macs(result.arch),
        "params": predictor.space.count_params(result.arch),
        "evaluated": result.evaluated,
    }
    write_json(_OUTPUT.value, found)
    print(json.dumps(found))


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
