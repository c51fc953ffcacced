"""What the words of Orthanc 1.10.1 say of a send that failed. They were taken from its jobs, with the fault made at the other end."""

import pytest
from tests.fake_orthanc import START
from tests.unit.delivery.test_courier import Delivery

from gantry.delivery.faults import WHOLE, fault_of
from gantry.orthanc import Job, JobState

NETWORK = "Error in the network protocol"

FAULTS: dict[str, tuple[int, str, str, str, bool, bool]] = {
    "no presentation context": (2015, "DicomUserConnection: No acceptable presentation context for modality", 'Unable to negotiate a presentation context with AET "SCP"', "SOPClassRefused", True, False),
    "SOP class not supported": (9, NETWORK, 'C-STORE SCU to AET "SCP" has failed with DIMSE status 0x0122', "SOPClassRefused", True, False),
    "data set does not match": (9, NETWORK, 'C-STORE SCU to AET "SCP" has failed with DIMSE status 0xA900', "ObjectRefused", True, False),
    "disk full": (9, NETWORK, 'C-STORE SCU to AET "SCP" has failed with DIMSE status 0xA700', "OutOfResources", False, True),
    "cannot understand": (9, NETWORK, 'C-STORE SCU to AET "SCP" has failed with DIMSE status 0xC000', "StoreFailed", False, False),
    "processing failure": (9, NETWORK, 'C-STORE SCU to AET "SCP" has failed with DIMSE status 0x0110', "StoreFailed", False, False),
    "refused connection": (9, NETWORK, 'DicomAssociation - connecting to AET "DEAD": TCP Initialization Error: Connection refused', "Unreachable", False, True),
    "unknown host": (9, NETWORK, 'DicomAssociation - connecting to AET "X": Attempt to connect to unknown host: no.such.host', "UnknownHost", False, True),
    "rejected association, for example an unknown AE title": (9, NETWORK, 'DicomAssociation - connecting to AET "SCP": DUL Association Rejected', "AssociationRejected", False, True),
    "aborted association": (9, NETWORK, 'DicomAssociation - C-STORE to AET "SCP": Peer aborted Association (or never connected)', "Aborted", False, False),
    "not DICOM at all": (9, NETWORK, 'DicomAssociation - connecting to AET "SCP": Unrecognized PDU type: 48', "Unreachable", False, True),
    "no certificate for TLS": (6, "Bad sequence of calls", "DICOM TLS - No path to the private key of the local certificate was provided", "TLSFailed", False, True),
    "DICOMweb: wrong password": (1, "Bad credentials were provided to an HTTP request", "", "Unauthorized", False, True),
    "DICOMweb: away": (1, NETWORK, "", "Unreachable", False, True),
    "DICOMweb: wrong root": (1, "Unknown resource", "", "WrongURL", False, True),
    "peer: away": (9, NETWORK, "libCURL error: Couldn't connect to server", "Unreachable", False, True),
    "words nobody has seen": (9999, "Something else", "", "SendFailed", False, False),
}


@pytest.mark.parametrize(("code", "description", "details", "reason", "permanent", "whole"), FAULTS.values(), ids=FAULTS.keys())
def test_what_a_failed_job_means(code: int, description: str, details: str, reason: str, permanent: bool, whole: bool) -> None:
    fault = fault_of(Job("j", JobState.FAILURE, progress=0, error_code=code, error_description=description, error_details=details))
    assert (fault.reason, fault.permanent, fault.whole) == (reason, permanent, whole)
    assert (fault.reason in WHOLE) is whole


async def test_a_permanent_refusal_stops_at_the_second_time() -> None:
    delivery = Delivery()
    delivery.fake.job_end, delivery.fake.job_details = "Failure", 'C-STORE SCU to AET "PACS" has failed with DIMSE status 0x0122'
    end = await delivery.to_the_end()
    assert (end.state, end.reason, end.attempts) == ("Failed", "SOPClassRefused", 2)
    assert (end.message or "").endswith("DIMSE status 0x0122; twice the same, it is not tried again")
    assert (delivery.fake.clock.now - START).total_seconds() < 30


async def test_a_refusal_that_passes_is_forgotten() -> None:
    delivery = Delivery()
    delivery.fake.job_end, delivery.fake.job_details = "Failure", 'C-STORE SCU to AET "PACS" has failed with DIMSE status 0x0122'

    def mend() -> None:
        delivery.fake.job_end = "Success" if delivery.last.deliveries[0].attempts else "Failure"

    end = await delivery.to_the_end(each=mend)
    assert (end.state, end.reason, end.message) == ("Sent", None, None)


async def test_a_disk_that_is_full_is_tried_until_it_is_not() -> None:
    delivery = Delivery()
    delivery.fake.job_end, delivery.fake.job_details = "Failure", 'C-STORE SCU to AET "PACS" has failed with DIMSE status 0xA700'

    def mend() -> None:
        if delivery.last.deliveries[0].attempts == 6:
            delivery.fake.job_end = "Success"

    end = await delivery.to_the_end(each=mend)
    assert (end.state, end.attempts) == ("Sent", 7)
