"""Real parts for component tests, started once for the session."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.control_plane import ControlPlane, control_plane

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real API server that knows Gantry's kinds."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        applied = plane.kubectl("apply", "--server-side", "-f", str(CRDS))
        assert applied.returncode == 0, applied.stderr
        plural = ("orthancbridges", "inferencepipelines", "inferenceruns", "inferencebackfills")
        wait = ("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{p}.gantry.health" for p in plural))
        established = plane.kubectl(*wait)
        if "accessor error" in established.stderr:  # kubectl, of a CRD so fresh that it has no conditions at all
            established = plane.kubectl(*wait)
        assert established.returncode == 0, established.stderr
        yield plane
