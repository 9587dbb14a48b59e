"""The page of what `specialize` did, with known networks measured beside it."""

import pathlib
from collections.abc import Sequence
from typing import Any

from ofa_tf.common import OfaError, as_called
from ofa_tf.devices import HOST, host
from ofa_tf.report import write_specialization
from ofa_tf.specialize import Specialization
from ofa_tf.specialize.work import say


def write_page(done: Specialization, *, baselines: Sequence[str] = (), **options: Any) -> pathlib.Path:
    """Writes `report.html` and `report.json` into the folder of the results.

    Args:
        done: the targets' results, and with what they were made.
        baselines: names of `ofa_tf.devices.baselines` that this machine is measured with.
        options: of `write_specialization`.
    """
    if baselines:
        _measure_baselines(done, baselines)
    opened = done.opened
    supernet = {} if opened is None else {"supernet": ", ".join(f"{key} {it}" for key, it in opened.provenance.items())}
    tested = [
        f"{it.target.name} {100 * it.test_top1:.1f}% of {it.test_images}"
        for it in done.results
        if it.test_top1 is not None
    ]
    decisions = "candidates are chosen, and files checked, on validation images; test images " + (
        f"are only reported: {'; '.join(tested)}" if tested else "are not looked at"
    )
    return write_specialization(
        done.output,
        machine=host.describe(),
        predictor_of=done.predictor_of,
        table_of=done.devices.table,
        results=done.results,
        run_directory=opened.run.path if opened and opened.run else None,
        say=say,
        **{
            "notes": {"command": as_called("python -m tools.specialize"), "decisions": decisions, **supernet},
            **options,
        },
    )


def _measure_baselines(done: Specialization, names: Sequence[str]) -> None:
    """Each once for image side, precision and threads of this machine's targets."""
    from ofa_tf.devices.baselines import measure_baselines

    wanted = {}
    for result in done.results:
        target = result.target
        if target.device == HOST and "latency_ms" in target.limits and result.arch is not None:
            side = max(done.predictor_of(target).space.resolutions)
            wanted[side, target.precision, target.threads] = target
    for (side, precision, threads), target in sorted(wanted.items(), key=lambda item: item[0]):
        measure = lambda path, _, target=target: done.devices.measure_ms(target, path)  # noqa: E731
        try:
            measure_baselines(
                done.output / "baselines.json",
                names,
                resolution=side,
                precision=precision,
                threads=threads,
                measure=measure,
                say=say,
            )
        except OfaError as error:
            say(f"{precision}: no baselines in the report: {error}")
