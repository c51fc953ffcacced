"""The operator process: watches, work queue, reconcilers, settings, metrics, health and logs. Start it with `python -m gantry.runtime`.

It holds no policy: what a Run needs next is `runs`, whether a study matches is `routing`, how Orthanc is followed is `bridge`.
"""

from .settings import InvalidSettings, Settings

__all__ = ["InvalidSettings", "Settings"]
