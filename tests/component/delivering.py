"""Sends through a real Orthanc, step by step as the operator makes them, without an operator."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Literal

import pydicom
from pydicom import Dataset
from tests.builders import pending
from tests.builders_slices import a_ct, uid
from tests.component.dicom_receiver import Receiver
from tests.component.orthanc_server import OrthancServer

from gantry.api.run import DeliveryStatus, Result
from gantry.delivery import Cargo, Courier, Errand, Target, Terms, ToModality
from gantry.orthanc import Credentials, Modality, Orthanc

NAME = "gantry_radiology_main_pacs"
STEPS = 200


def a_result(server: OrthancServer, name: str) -> Result:
    dicom = a_ct(name, series="result", Modality="SR")
    (stored,) = server.upload(dicom)
    return Result.model_validate(
        {
            "kind": "SR", "sopClassUID": "1.2.840.10008.5.1.4.1.1.2", "sopInstanceUID": uid(name, "result", 1), "seriesInstanceUID": uid(name, "result"),
            "orthancID": stored["ID"], "md5": hashlib.md5(dicom).hexdigest(), "bytes": len(dicom),
        }
    )  # fmt: skip


async def delivered(
    server: OrthancServer,
    results: Result | Sequence[Result] | Cargo,
    place: Modality | Target,
    *,
    between: Callable[[DeliveryStatus], None] = lambda delivery: None,
    limit: float = 60.0,
    commitment: Literal["Never", "WhenOffered", "Required"] = "Never",
) -> DeliveryStatus:
    """Steps until it is final; `between` may change the world after each step."""
    target = Target(ToModality(NAME, place)) if isinstance(place, Modality) else place
    woken: list[float] = []
    courier = Courier(clock=lambda: datetime.now(UTC), jitter=lambda: 0.5, wake=lambda who, seconds: woken.append(seconds))
    deliveries = pending("pacs")
    cargo = results if isinstance(results, Cargo) else Cargo([results] if isinstance(results, Result) else list(results))
    begun = datetime.now(UTC)
    errand = Errand("run", (0, begun), "bridge", cargo, Terms(begun + timedelta(seconds=limit), commitment))
    async with Orthanc(server.url, credentials=Credentials(server.username, server.password)) as orthanc:
        for _ in range(STEPS):
            progress = await courier.advance(orthanc, errand, targets={"pacs": target}, deliveries=deliveries)
            deliveries = progress.deliveries
            if progress.again_after is None:
                return deliveries[0]
            between(deliveries[0])
            await asyncio.sleep(min([progress.again_after, *woken]))
            woken.clear()
    raise AssertionError(f"not final after {STEPS} steps: {deliveries[0]}")


def content(server: OrthancServer, result: Result) -> Dataset:
    """What a server holds of the result. The receiver writes a file header of its own, so files differ and elements must not."""
    return pydicom.dcmread(BytesIO(server.rest("GET", f"/instances/{result.orthanc_id}/file")))


def same_content(sent: Dataset, pacs: OrthancServer, result: Result) -> bool:
    return content(pacs, result) == sent


def node_of(server: OrthancServer) -> Modality:
    return Modality(server.aet, "127.0.0.1", server.dicom_port)


def node_at(receiver: Receiver) -> Modality:
    return Modality(receiver.aet, "127.0.0.1", receiver.port)
