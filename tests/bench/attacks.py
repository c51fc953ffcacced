"""How many attacks on Gantry are refused, in the one-node cluster: `python -m tests.bench.attacks` with KUBECONFIG and build/images.json."""

import sys
import tempfile
from pathlib import Path

from examples.demo.hospital import ROOT, Hospital, run
from examples.phantom.make_ct import make_series
from tests.bench.figures import Figure, write
from tests.e2e.attacks import SMALL, attack
from tests.e2e.conftest import BESIDE_OTHERS


def main() -> int:
    hospital = Hospital("attacked")
    run("kubectl", "apply", "--server-side", "-f", str(ROOT / "crds"))
    hospital.create_namespace()
    hospital.start_servers()
    hospital.install_gantry(*BESIDE_OTHERS)
    hospital.wait_for_servers()
    hospital.apply(ROOT / "tests" / "e2e" / "bridge.yaml")
    hospital.wait_until_ready("obridge/main")
    with tempfile.TemporaryDirectory() as folder:
        make_series(Path(folder), SMALL)
        tried = attack(hospital, sorted(Path(folder).glob("*.dcm")))
    hospital.close()
    for one in tried:
        print(f"  {'SUCCEEDED' if one.succeeded else 'refused':<9} {one.name}: {one.how}")
    refused = sum(not one.succeeded for one in tried)
    print(f"attacks refused {refused} of {len(tried)}")
    figure = Figure("attacks refused", refused, f"of {len(tried)}", goal=len(tried), better="higher")
    print(figure.line(), flush=True)
    write([figure], ROOT / "build" / "bench.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
