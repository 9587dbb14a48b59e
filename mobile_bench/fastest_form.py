"""`fastest_form`: how networks are best written for a device, by measuring it there."""

from collections.abc import Callable, Sequence

from mobile_bench.block_models import model_bytes
from mobile_bench.table_builder import middle
from ofa_tf.spaces import Space
from ofa_tf.spaces.form import FORMS


def fastest_form(
    space: Space,
    precision: str,
    time_models: Callable[[Sequence[bytes]], Sequence[float]],
    *,
    forms: Sequence[str] = tuple(FORMS),
    seed: int = 0,
) -> tuple[str, dict[str, float]]:
    """Measures one network, of the space's middle choices, in every form.

    Args:
        space: the space.
        precision: one of `deploy.PRECISIONS`.
        time_models: measures `.tflite` files on the device, in milliseconds.
        forms: those that are tried. Some are the same file for a space without hard-swish or large kernels: each
            different file is measured once.
        seed: of the network's weights.

    Returns:
        The fastest form, and the times of all in milliseconds, the fastest first.

    Example:
        form, times_ms = fastest_form(space, "int8", lambda models: [Runner(data).time().median_ms for data in models])
    """
    files = {form: model_bytes(space.blocks(middle(space)), precision, form=form, seed=seed) for form in forms}
    different = list(dict.fromkeys(files.values()))
    measured_ms = dict(zip(different, time_models(different), strict=True))
    times_ms = dict(sorted(((form, measured_ms[data]) for form, data in files.items()), key=lambda pair: pair[1]))
    return next(iter(times_ms)), times_ms
