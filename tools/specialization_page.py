"""The page of what `specialize` did, with known networks measured beside it."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any

from ofa_tf.common import InputError, OfaError
from ofa_tf.devices import HOST, host
from ofa_tf.report import write_specialization
from ofa_tf.specialize import Specialization
from ofa_tf.specialize.work import say


def write_page(
    done: Specialization, *, command: str = "", baselines: Sequence[str] = (), **options: Any
) -> pathlib.Path:
    """Writes `report.html` and `report.json` into the folder of the results.

    Args:
        done: the targets' results, and with what they were made.
        command: by which they were made.
        baselines: names of `ofa_tf.devices.baselines`, which are only timed on this machine, and published networks,
            see `ofa_tf.specialize.finetuned_baselines`, which learn the same images first.
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
            "notes": {"command": command, "decisions": decisions, **supernet},
            **options,
        },
    )


def check_baselines(names: Sequence[str]) -> None:
    """Raises `InputError` where a name is of no network that is known."""
    from ofa_tf.devices.baselines import BASELINES

    for name in names:
        if name in BASELINES:
            continue
        if not name.startswith("keras:") and not pathlib.Path(name).exists():
            raise InputError(
                f"--baselines={name}: no such network; expected one of {', '.join(BASELINES)}, which is timed, or, to "
                f"be trained on the images, keras: and a network of keras.applications, or a file of tools.import_ofa"
            )
        from ofa_tf.specialize.finetuned_baselines import check_network

        check_network(name)


def _measure_baselines(done: Specialization, names: Sequence[str]) -> None:
    """Each once for image side, precision and threads of this machine's targets."""
    from ofa_tf.devices.baselines import BASELINES, measure_baselines
    from ofa_tf.specialize.finetuned_baselines import measure_finetuned

    wanted = {}
    for result in done.results:
        target = result.target
        if target.device == HOST and "latency_ms" in target.limits and result.arch is not None:
            try:
                side = max(done.predictor_of(target).space.resolutions)
            except OfaError as error:
                say(f"target {target.name}: no baselines beside it in the report: {error}")
                continue
            wanted[side, target.precision, target.threads] = target
    if names and not wanted:
        say("no baselines in the report: they are measured for latency limits of this machine, and no target has one")
    path = done.output / "baselines.json"
    for (side, precision, threads), target in sorted(wanted.items(), key=lambda item: item[0]):
        how = {"precision": precision, "threads": threads, "say": say}
        measure = functools.partial(done.devices.measure_ms, target)
        try:
            timed = [name for name in names if name in BASELINES]
            measure_baselines(
                path, timed, resolution=side, measure=lambda file, _, measure=measure: measure(file), **how
            )
            for name in names:
                if name in timed:
                    continue
                if done.opened is None:
                    say(f"baseline {name}: not trained, as there are no images here")
                else:
                    measure_finetuned(path, name, done.opened, measure=measure, **how)
        except OfaError as error:
            say(f"{precision}: no baselines in the report: {error}")
