"""Sends a Run's results from Orthanc to their destinations.

`plan.py` decides, `courier.py` does. It must not touch the API server: deliveries come in as values and go back as values.
"""

from .courier import Courier, Progress, Target

__all__ = ["Courier", "Progress", "Target"]
