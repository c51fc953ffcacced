#!/usr/bin/python3 -IS
"""The last network plugin of the chain: holds a pod's start until the rules for its address are loaded.

Called by containerd with the CNI variables and the configuration on standard input; passes the result before it on.
"""

import contextlib
import json
import os
import socket
import sys

PATIENCE = 12  # seconds, a little more than the enforcer's own


def ask(path: str, question: dict[str, str]) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        connection.sendall(json.dumps(question).encode() + b"\n")
        return connection.makefile().readline().strip()


def main() -> None:
    command = os.environ["CNI_COMMAND"]
    if command == "VERSION":
        print(json.dumps({"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}))
        return
    settings = json.load(sys.stdin)
    result = settings.get("prevResult")
    pod = dict(pair.split("=", 1) for pair in os.environ.get("CNI_ARGS", "").split(";") if "=" in pair)
    question = {"command": command, "uid": pod.get("K8S_POD_UID", ""), "container": os.environ["CNI_CONTAINERID"]}
    if command == "ADD":
        question["address"] = result["ips"][0]["address"].partition("/")[0]
        answer = ask(settings["socket"], question)
        if answer != "ok":
            raise OSError(answer)
        print(json.dumps(result))
    elif command == "DEL":
        with contextlib.suppress(OSError):  # an enforcer that is gone has forgotten the pod, and a deletion must not fail
            ask(settings["socket"], question)


try:
    main()
except (OSError, KeyError, ValueError, IndexError, TypeError) as fault:
    print(json.dumps({"cniVersion": "1.0.0", "code": 100, "msg": "network policies: " + repr(fault)}))
    sys.exit(1)
