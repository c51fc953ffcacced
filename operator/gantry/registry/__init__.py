"""The only HTTP to container registries: which image a name means now, how it is run, what it needs.

It must not know of pipelines, Runs or secrets of the cluster; `runtime/images.py` asks for each step and keeps what was learnt.
"""

from .client import Image, Registries
from .credentials import Login, UnfitSecret, logins
from .errors import Away, Broken, NotAuthorised, NotFound, RegistryError
from .image import Config
from .package import Needs, Package
from .reference import InvalidReference, Reference

__all__ = [
    "Away",
    "Broken",
    "Config",
    "Image",
    "InvalidReference",
    "Login",
    "Needs",
    "NotAuthorised",
    "NotFound",
    "Package",
    "Reference",
    "Registries",
    "RegistryError",
    "UnfitSecret",
    "logins",
]
