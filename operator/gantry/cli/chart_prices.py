"""The prices that the chart was given, for `gantry usage`: from the ConfigMap it makes of them, read with the rights of whoever asks.

It must not print.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.api import labels
from gantry.kube import CONFIG_MAPS, AioKube, NotPermitted

from .cluster import asked, namespace_of
from .failure import Failure
from .usage import Prices, prices


def chart_prices(namespace: str | None, *, everywhere: bool) -> tuple[Prices | None, str]:
    """The prices, or None and why there are none; no reason where the chart was given none. The namespace is looked at first, then the whole cluster:
    an operator of the whole cluster has them in its own namespace. Raises Failure when several installations say different ones."""
    place = None if everywhere else namespace_of(namespace)

    async def read(kube: AioKube) -> tuple[Prices | None, str]:
        refused = ""
        for where in dict.fromkeys((place, None)):
            try:
                found = [one async for page in kube.pages(CONFIG_MAPS, where, selector=labels.PRICES) for one in page]
            except NotPermitted:
                refused = f"you may not list ConfigMaps in {f'namespace {where}' if where else 'the whole cluster'}"
                continue
            if found:
                return _one_of(found), ""
        return None, refused

    return asked(read)


def _one_of(found: Sequence[Mapping[str, Any]]) -> Prices:
    known = {}
    for one in found:
        name, data = f"ConfigMap {one['metadata']['namespace']}/{one['metadata']['name']}", one.get("data") or {}
        listed = [price for price in str(data.get("perGpuHour", "")).split(",") if price]
        made = prices(listed, str(data.get("currency") or "EUR"), what=name)
        known[made.currency, tuple(sorted(made.per_hour.items()))] = made, name
    if len(known) > 1:
        names = ", ".join(sorted(name for _, name in known.values()))
        raise Failure(f"several installations have different prices ({names}): choose one with --namespace, or give --price")
    ((made, _),) = known.values()
    return made
