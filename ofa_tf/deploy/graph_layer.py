"""`GraphLayer`: what is quantized, or kept in float, as one."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class GraphLayer:
    """An operation with weights, and the operations after it up to the next such: a convolution with its activation.

    Args:
        name: of the Keras layer with the weights, where the file tells it.
        operations: the operations, each by the name of the tensor that it writes.
        output: the tensor that the last operation writes which does more than move or average values.
    """

    name: str
    operations: tuple[str, ...]
    output: str
