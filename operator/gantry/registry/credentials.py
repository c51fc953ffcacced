"""Which credentials of pull secrets are for which image, as the kubelet chooses them.

Reads secrets of the types kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg; it must not know where secrets are kept. Rules:
https://kubernetes.io/docs/concepts/containers/images/#config-json
"""

import base64
import binascii
import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .reference import HUB, Reference

CONFIG_JSON, CONFIG = ".dockerconfigjson", ".dockercfg"


class UnfitSecret(ValueError):
    """It is no pull secret; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Login:
    """One user of one registry, or of a part of it."""

    place: str
    """Host, perhaps with port and path; `*` stands for a part of a host's name."""
    username: str
    password: str = field(repr=False)


def logins(secret: Mapping[str, str]) -> tuple[Login, ...]:
    """All of a secret's. Raises UnfitSecret."""
    try:
        if CONFIG_JSON in secret:
            entries = json.loads(secret[CONFIG_JSON])["auths"]
        elif CONFIG in secret:
            entries = json.loads(secret[CONFIG])
        else:
            raise UnfitSecret(f"it lacks {CONFIG_JSON}; make it with `kubectl create secret docker-registry`")
        return tuple(_login(place, entry) for place, entry in entries.items())
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        if isinstance(error, UnfitSecret):
            raise
        raise UnfitSecret("it does not hold what Docker keeps in its config.json; make it with `kubectl create secret docker-registry`") from error


def matching(known: Iterable[Login], reference: Reference) -> tuple[Login, ...]:
    """Those for this image, the most particular first."""
    found = [one for one in known if _is_for(one.place, reference)]
    return tuple(sorted(found, key=lambda one: -len(one.place.split("/"))))


def _login(place: str, entry: Mapping[str, str]) -> Login:
    username, password = entry.get("username", ""), entry.get("password", "")
    if not username and entry.get("auth"):
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return Login(place, username, password)


def _is_for(place: str, reference: Reference) -> bool:
    bare = place.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, _, path = bare.partition("/")
    if path in ("v1", "v2"):  # https://index.docker.io/v1/ is how Docker writes its Hub
        path = ""
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = HUB
    parts, wanted = host.split("."), reference.registry.split(".")
    if len(parts) != len(wanted) or not all(fnmatch.fnmatchcase(here, there) for here, there in zip(wanted, parts, strict=True)):
        return False
    return not path or f"{reference.repository}/".startswith(f"{path}/")
