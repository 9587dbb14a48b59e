"""The flags that limit the costs of a network."""

import dataclasses

from absl import flags

from ofa_tf.common.form import FORMS

# The flags that are defined here are the binary's own, and stand in its --help.
flags.disclaim_key_flags()


@dataclasses.dataclass(frozen=True)
class LimitFlags:
    """What `define` defined."""

    latency_ms: flags.FlagHolder
    macs: flags.FlagHolder
    params: flags.FlagHolder
    model_bytes: flags.FlagHolder
    peak_memory_bytes: flags.FlagHolder
    form: flags.FlagHolder
    resolutions: flags.FlagHolder

    def limits(self) -> dict[str, float]:
        """The limits that were given, by kind."""
        kinds = [field.name for field in dataclasses.fields(self) if field.name not in ("form", "resolutions")]
        return {kind: getattr(self, kind).value for kind in kinds if getattr(self, kind).value is not None}

    def sides(self) -> list[int] | None:
        """The image sides that were given."""
        from ofa_tf.common import InputError

        given = self.resolutions.value
        if given is None:
            return None
        if not all(text.strip().isdecimal() for text in given):
            raise InputError(f"--resolutions={','.join(given)}: expected image sides such as 160,192,224")
        return [int(text) for text in given]


def define() -> LimitFlags:
    """Defines --max_latency_ms and its like, --form and --resolutions."""
    return LimitFlags(
        flags.DEFINE_float("max_latency_ms", None, "latency limit in milliseconds, see --latency_table"),
        flags.DEFINE_float("max_macs", None, "limit of multiply-accumulates, for example 200e6"),
        flags.DEFINE_float("max_params", None, "limit of parameters"),
        flags.DEFINE_float("max_model_bytes", None, "limit of the .tflite file's bytes"),
        flags.DEFINE_float(
            "max_peak_memory_bytes", None, "limit of the activations' bytes at their peak, in int8 or float32"
        ),
        flags.DEFINE_enum(
            "form",
            None,
            list(FORMS),
            "how that file is written; unless given that of the latency table's files, with a limit on peak memory "
            "fused-same, else the precision's",
        ),
        flags.DEFINE_list("resolutions", None, "image sides to search, all that the predictor knows unless given"),
    )
