"""Which layers lose the most by quantization.

Two figures for every layer. The error at its own output, in the int8 file beside the float one, shows where the error
is, but piles up with depth, and says nothing about what it does to the result. The error at the logits with this layer
alone in int8 does, and so `worst_layers` goes by it: of three orders it was found to gain the most
(docs/results/int8.md, "Layers in float").
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ofa_tf.deploy.activation_ranges import inner_tensors
from ofa_tf.deploy.float_graph import FloatGraph
from ofa_tf.deploy.graph_layer import GraphLayer
from ofa_tf.deploy.layer_error import LayerError
from ofa_tf.deploy.runner import Runner

# No error at all is written as so many decibels: single precision has no more.
_MOST_DB = 150.0


def layer_errors(
    graph: FloatGraph,
    ranges: Mapping[str, tuple[float, float]],
    quantize: Callable[[Sequence[str]], bytes],
    inputs: Sequence[np.ndarray],
) -> list[LayerError]:
    """Measures every layer's error, the worst first.

    Args:
        graph: of the float32 file.
        ranges: of its tensors.
        quantize: gives the file, of float32 borders, with some operations left in float.
        inputs: float32 images that the file takes, each (height, width, channels); a few are enough.

    Example:
        errors = layer_errors(graph, ranges, functools.partial(quantize_by_recipe, graph.data, ranges), inputs)
        print(table(errors))
    """
    inputs = np.asarray(inputs)
    output_db = _output_db(graph.data, quantize(()), [layer.output for layer in graph.layers], inputs)
    expected = Runner(graph.data).predict(inputs)
    everything = [operation for layer in graph.layers for operation in layer.operations]
    errors = []
    for layer in graph.layers:
        others = sorted(set(everything) - set(layer.operations))
        found = Runner(quantize(others)).predict(inputs)
        errors.append(LayerError(layer.name, sqnr_db(expected, found), output_db[layer.output], *ranges[layer.output]))
    return sorted(errors, key=lambda error: error.logits_db)


def worst_layers(graph: FloatGraph, errors: Iterable[LayerError], count: int) -> list[GraphLayer]:
    """The layers that cost the logits the most, the worst first."""
    by_name = {layer.name: layer for layer in graph.layers}
    ordered = sorted(errors, key=lambda error: error.logits_db)
    return [by_name[error.layer] for error in ordered[:count]]


def table(errors: Iterable[LayerError]) -> str:
    """The errors as lines of text, under a heading."""
    lines = [f"{'layer':32} {'logits dB':>9} {'output dB':>9} {'range':>18}"]
    for error in errors:
        extent = f"{error.low:.2f} to {error.high:.2f}"
        lines.append(f"{error.layer:32} {error.logits_db:9.1f} {error.output_db:9.1f} {extent:>18}")
    return "\n".join(lines)


def sqnr_db(signal: np.ndarray, found: np.ndarray) -> float:
    """The signal-to-quantization-noise ratio in decibels, at most 150."""
    return _decibels(float(np.sum(np.square(signal, dtype=np.float64))), float(np.sum(np.square(found - signal))))


def _decibels(power: float, noise: float) -> float:
    return float(min(10 * np.log10(max(power, 1e-30) / max(noise, 1e-30)), _MOST_DB))


def _output_db(data: bytes, quantized: bytes, names: Sequence[str], inputs: np.ndarray) -> dict[str, float]:
    powers = np.zeros((len(names), 2))
    for expected, found in zip(inner_tensors(data, inputs), inner_tensors(quantized, inputs), strict=True):
        # A border is given another name where it is dequantized.
        values = [(expected[name], found[name] if name in found else found[_last(found)]) for name in names]
        powers += [[np.sum(np.square(right)), np.sum(np.square(right - wrong))] for right, wrong in values]
    return {name: _decibels(*power) for name, power in zip(names, powers.tolist(), strict=True)}


def _last(tensors: Mapping[str, np.ndarray]) -> str:
    return next(reversed(tensors))
