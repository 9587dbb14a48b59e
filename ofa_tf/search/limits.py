"""Limits by kind, as people give them, as the constraints of a search."""

from collections.abc import Mapping

from ofa_tf.common import InputError
from ofa_tf.common.form import MICROCONTROLLER_FORM
from ofa_tf.search.constraint import KINDS, Constraint, LatencyPredictor
from ofa_tf.spaces.activation_memory import ActivationMemory


def form_within(limits: Mapping[str, float], form: str | None = None) -> str | None:
    """How a file is written that is to keep limits: as given, or with a limit on peak memory what suits that best."""
    return form or (MICROCONTROLLER_FORM if "peak_memory_bytes" in limits else None)


def constraints_of(
    limits: Mapping[str, float],
    *,
    table: LatencyPredictor | None = None,
    precision: str = "int8",
    form: str | None = None,
) -> list[Constraint]:
    """The constraints, in the order of `constraint.KINDS`.

    Args:
        limits: by kind, in the kind's unit.
        table: predicts the latency, needed for a limit on it.
        precision: of the file.
        form: how it is written, one of `common.form.FORMS`; see `form_within`.

    Raises:
        InputError: a limit is unusable.

    Example:
        evolutionary_search(space, predictor, constraints_of({"macs": 200e6, "model_bytes": 2e6}))
    """
    unknown = [kind for kind in limits if kind not in KINDS]
    if unknown:
        raise InputError(f"limits: {unknown[0]!r} is unknown, expected one of {', '.join(KINDS)}")
    form = form_within(limits, form)
    written = {"precision": precision} | ({} if form is None else {"form": form})
    extra = {
        "latency_ms": lambda: {"predictor": table},
        "model_bytes": lambda: written,
        "peak_memory_bytes": lambda: {"memory": ActivationMemory(**written)},
    }
    return [Constraint(kind, limits[kind], **extra.get(kind, dict)()) for kind in KINDS if kind in limits]
