"""Tells the traces of finished Runs to an OTLP receiver, by OpenTelemetry's SDK (`gantry[tracing]`), which is loaded only where an endpoint is set.

What a trace holds is `gantry.runs.trace`'s. Where it goes, with which headers, certificate and time-outs, and how many are kept, is said by the
standard OTEL_* variables, which the SDK reads itself. Sending is a thread's work with a bounded queue: a receiver that is away costs traces, never
Runs.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import structlog
from pydantic import ValidationError

from gantry.kube import RUNS, Kube, KubeError
from gantry.runs import Span, spans_of

from .metrics import Metrics
from .store import Store

log = structlog.get_logger(__name__)

AGAIN = timedelta(seconds=30)
"""The Runs that finished so shortly before the newest one are told once more by a process that starts: the one before may have been killed before
it had sent them. The SDK sends every 5 s and tries for some 10 s."""
MOST_AGAIN = 500
FLUSH = 0.8
"""Seconds to send what is queued when the process is asked to end."""


class NoTracing:
    """No endpoint is set."""

    on = False

    def finished(self, run: Mapping[str, Any]) -> None:
        """Nobody is told."""

    async def tell_again(self, kube: Kube, store: Store) -> None:
        """Nothing was told."""

    async def flush(self) -> None:
        """Nothing waits."""


NO_TRACING = NoTracing()


class Tracing(NoTracing):
    """Traces go to the endpoint. Raises ImportError when the SDK is not installed."""

    on = True

    def __init__(self, *, version: str, metrics: Metrics) -> None:
        # Here, because nothing else needs them: 60 modules, and threads.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._metrics = metrics
        self._ids = _Ids()
        resource = Resource({"service.name": "gantry", "service.version": version}).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource, id_generator=cast(Any, self._ids), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._provider, self._tracer = provider, provider.get_tracer("gantry", version)

    def finished(self, run: Mapping[str, Any]) -> None:
        """A Run as it was written when it finished. Never raises: a trace is not worth a Run."""
        try:
            for span in spans_of(run):
                if not self._tell(span):
                    return  # OTEL_TRACES_SAMPLER leaves this trace out
        except (ValidationError, KeyError, ValueError) as error:
            self._metrics.traces.labels("failed").inc()
            log.warning("a Run cannot be told as a trace", run=run["metadata"]["name"], error=type(error).__name__)
            return
        self._metrics.traces.labels("queued").inc()

    async def tell_again(self, kube: Kube, store: Store) -> None:
        """At the start, once all Runs are known: the newest finished ones, one after the other. The same spans under the same ids."""
        done = sorted(((run.completed, run) for _, run in store.finished() if run.completed), key=lambda one: one[0], reverse=True)
        for completed, run in done[:MOST_AGAIN]:
            if completed < done[0][0] - AGAIN:
                return
            try:
                self.finished(await kube.get(RUNS, run.namespace, run.name))
            except KubeError as error:
                log.info("a finished Run's trace is not told again", run=run.name, error=str(error))

    async def flush(self) -> None:
        """Sends what is queued, as far as the time allows."""
        await asyncio.to_thread(self._provider.force_flush, int(FLUSH * 1000))

    def _tell(self, span: Span) -> bool:
        """False: it was not recorded."""
        from opentelemetry import trace

        self._ids.trace, self._ids.span = span.trace, span.id
        context = None
        if span.parent is not None:
            parent = trace.SpanContext(span.trace, span.parent, is_remote=False, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        made = self._tracer.start_span(span.name, context=context, attributes=dict(span.attributes), start_time=_nanoseconds(span.start))
        if not made.is_recording():
            return False
        if span.failure:
            made.set_attribute("gantry.reason", span.failure)
            made.set_status(trace.Status(trace.StatusCode.ERROR, span.failure))
        made.end(_nanoseconds(span.end))
        return True


class _Ids:
    """The SDK's id generator (opentelemetry.sdk.trace.id_generator): the ids are known before the span is."""

    trace = span = 1

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span

    def is_trace_id_random(self) -> bool:
        """By a hash, as good as random (https://www.w3.org/TR/trace-context-2/#random-trace-id-flag)."""
        return True


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000) * 1000
