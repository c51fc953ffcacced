"""What can go wrong when a registry is asked about an image.

    RegistryError
    ├── Away             no connection, no answer in time, an error of the server: may pass
    ├── NotAuthorised    the registry wants other credentials, or forbids the repository
    ├── NotFound         no such repository, tag or digest
    └── Broken           what the registry sent is no image, is larger than any, or not what its digest says

Messages are for people and name the image, never a credential or what a server wrote.
"""


class RegistryError(Exception):
    """An image could not be looked at; the message says why and what to do."""


class Away(RegistryError):
    """Asked again later, it may answer."""


class NotAuthorised(RegistryError):
    """Check scheduling.imagePullSecrets."""


class NotFound(RegistryError):
    """Check name and tag."""


class Broken(RegistryError):
    """The image cannot be run as it is."""
