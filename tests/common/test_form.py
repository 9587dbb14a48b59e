"""How a file is written: decided once, the same for search, table and file."""

import pytest

from ofa_tf.common import InputError
from ofa_tf.common.form import FORMS, MICROCONTROLLER_FORM, PRECISIONS, form_of


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_decides(precision):
    """What is asked for, then a limit on memory, then the table's form, then the precision's."""
    memory = {"latency_ms": 1.0, "peak_memory_bytes": 1e5}
    assert form_of(precision, "split", limits=memory, table_form="folded") == "split"
    assert form_of(precision, limits=memory, table_form="folded") == MICROCONTROLLER_FORM
    assert form_of(precision, limits={"latency_ms": 1.0}, table_form="folded") == "folded"
    assert form_of(precision) == PRECISIONS[precision].form
    assert form_of(precision) in FORMS


def test_what_is_trained_has_a_hard_swish_of_integers():
    """Protects quantization-aware targets with a limit on memory: fused forms cannot be trained, peaks need whole
    kernels. What is asked for still counts."""
    memory = {"peak_memory_bytes": 1e5}
    assert form_of("int8", limits=memory, trained=True) == "folded-same"
    assert form_of("int8", table_form="fused-rows", trained=True) == "folded-rows"
    assert form_of("int8", table_form="split", trained=True) == "split"
    assert form_of("int8", "fused", trained=True) == "fused"


def test_unknown_names_are_told():
    with pytest.raises(InputError, match="form 'half' is unknown"):
        form_of("int8", "half")
    with pytest.raises(InputError, match="precision 'int4' is unknown"):
        form_of("int4", "split")
