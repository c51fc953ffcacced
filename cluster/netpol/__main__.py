"""Watches pods, namespaces and policies and loads the table that follows from them."""

import os
import ssl
import subprocess
import sys
import threading
import time

from netpol.rules import World, table
from netpol.watch import Mirror

PATHS = ("/api/v1/pods", "/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies")
TOGETHER = 0.02  # seconds: changes that come together are loaded together
AGAIN_AFTER = 0.5  # seconds after nft refused a table


def load(text: str) -> bool:
    done = subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False)  # noqa: S607
    if done.returncode:
        print(f"nft refused the table, the one before stays: {done.stderr[:2000]}", file=sys.stderr, flush=True)
    return done.returncode == 0


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
    loaded = ""
    while True:
        text = table(World.from_objects(*(mirror.objects() for mirror in mirrors)))
        if text != loaded:
            if load(text):
                loaded = text
                print(time.strftime("%T"), "loaded", text.count("\nchain egress_"), "egress and", text.count("\nchain ingress_"), "ingress chains", flush=True)
            else:
                changed.wait(AGAIN_AFTER)
                continue
        changed.wait()
        time.sleep(TOGETHER)
        changed.clear()


if __name__ == "__main__":
    main()
