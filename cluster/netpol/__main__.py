"""Watches pods, namespaces and policies and loads the table that follows from them."""

import os
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

from netpol.arrivals import Arrivals, listen
from netpol.rules import World, table
from netpol.watch import Mirror

PATHS = ("/api/v1/pods", "/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies")
AGAIN_AFTER = 0.5  # seconds after nft refused a table


def load(text: str) -> bool:
    done = subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False)  # noqa: S607
    if done.returncode:
        print(f"nft refused the table, the one before stays: {done.stderr[:2000]}", file=sys.stderr, flush=True)
    return done.returncode == 0


def enforce(mirrors: list[Mirror], arrivals: Arrivals, changed: threading.Event) -> None:
    loaded = ""
    while True:
        changed.clear()  # before looking: what changes from here on is looked at again
        given = arrivals.addresses()
        pods, namespaces, policies = (mirror.objects() for mirror in mirrors)
        text = table(World.from_objects(pods, namespaces, policies, given))
        if text != loaded:
            if not load(text):
                changed.wait(AGAIN_AFTER)
                continue
            loaded = text
            egress, ingress = text.count("\nchain egress_"), text.count("\nchain ingress_")
            print(time.strftime("%T"), f"loaded {egress} egress and {ingress} ingress chains", flush=True)
        arrivals.covered(given, {pod["metadata"]["uid"] for pod in pods})
        changed.wait()


def main() -> None:
    api, pki = os.environ["GANTRY_API"], os.environ["GANTRY_PKI"]
    tls = ssl.create_default_context(cafile=f"{pki}/ca.crt")
    tls.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")
    changed = threading.Event()
    mirrors = [Mirror(api, path, tls, changed) for path in PATHS]
    for mirror in mirrors:
        mirror.start()
    for mirror in mirrors:
        mirror.listed.wait()
    arrivals = Arrivals(changed)
    listen(Path(os.environ["GANTRY_SOCKET"]), arrivals)
    enforce(mirrors, arrivals, changed)


if __name__ == "__main__":
    main()
