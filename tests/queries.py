"""PromQL as Prometheus reads it, compared with the definitions of metrics: what a query names must exist, and be of the type it is used as."""

from collections.abc import Iterator
from typing import Any

import promql_parser

from gantry.runtime.measures import ALL, Kind

SERIES = {sample: one for one in ALL for sample in one.samples}
OF_THE_TARGET = {"namespace", "pod", "job", "instance"}
"""Labels that Prometheus adds, by the PodMonitor."""
OF_COUNTERS = {"rate", "irate", "increase"}
OF_GAUGES = {"delta", "deriv", "avg_over_time", "max_over_time", "min_over_time"}


def problems(query: str) -> list[str]:
    """What is wrong with a query of rules, of a dashboard (with Grafana's variables) or of the manual. A syntax error is one, too."""
    try:
        tree = promql_parser.parse(query.replace("$__rate_interval", "5m"))
    except ValueError as error:
        return [str(error)]
    found = list(_wrong(tree))
    return found if list(_selectors(tree)) else [*found, "it names no metric"]


def _children(node: Any) -> Iterator[Any]:
    for name in ("lhs", "rhs", "expr", "args", "param", "vector_selector"):
        value = getattr(node, name, None)
        yield from (value if isinstance(value, list) else [value] if value is not None else [])


def _selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for child in _children(node):
        yield from _selectors(child)


def _labels(name: str) -> set[str]:
    one = SERIES.get(name)
    return OF_THE_TARGET | set(one.labels if one else ()) | ({"le"} if name.endswith("_bucket") else set())


def _wrong(node: Any) -> Iterator[str]:
    below = list(_selectors(node))
    known = set().union(*(_labels(one.name) for one in below))
    match node:
        case promql_parser.VectorSelector():
            if node.name not in SERIES:
                yield f"{node.name} is no metric"
            for matcher in node.matchers.matchers:
                if matcher.name not in known:
                    yield f"{node.name} has no label {matcher.name}"
        case promql_parser.AggregateExpr() if node.modifier:
            yield from (f"{label} is no label of {', '.join(one.name for one in below)}" for label in node.modifier.labels if label not in known)
        case promql_parser.BinaryExpr() if node.modifier and node.modifier.matching:
            yield from (f"{label} is no label there" for label in node.modifier.matching.labels if label not in known)
        case promql_parser.Call():
            for one in below:
                gauge = one.name in SERIES and SERIES[one.name].kind is Kind.GAUGE
                if (node.func.name in OF_COUNTERS and gauge) or (node.func.name in OF_GAUGES and not gauge):
                    yield f"{node.func.name} of {one.name}, which is a {'gauge' if gauge else 'counter'}"
            if node.func.name == "histogram_quantile" and not all(one.name.endswith("_bucket") for one in below):
                yield "histogram_quantile of what are no buckets"
            if node.func.name == "histogram_quantile" and "le" not in getattr(getattr(node.args[1], "modifier", None), "labels", ["le"]):
                yield "histogram_quantile of a sum without le"
    for child in _children(node):
        yield from _wrong(child)
