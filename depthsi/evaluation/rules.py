"""The protocol of an evaluation."""

from depthsi.evaluation.request import EvaluationRequest
from depthsi.metrics.protocols import Protocol, protocol


def rules(request: EvaluationRequest, default: Protocol) -> Protocol:
    """The protocol of `request`, or `default`, with the requested changes.

    Raises:
      DepthsiError: there is no such protocol, crop or alignment.
    """
    chosen = protocol(request.protocol) if request.protocol else default
    return chosen.with_changes(
        crop=request.crop or None,
        resize=request.resize or None,
        alignment=request.alignment or None,
        invalid=request.invalid or None,
        aggregation=request.aggregation or None,
    )
