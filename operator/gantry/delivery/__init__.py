"""Sends a Run's results from Orthanc to their destinations.

`plan.py` decides, `courier.py` does, `places.py` knows how a send begins. It must not touch the API server: deliveries come in as values and go
back as values.
"""

from .courier import Courier, Progress
from .places import Target, ToModality, ToPeer, ToServer, Unusable

__all__ = ["Courier", "Progress", "Target", "ToModality", "ToPeer", "ToServer", "Unusable"]
