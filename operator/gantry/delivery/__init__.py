"""Sends a Run's results from Orthanc to their destinations, and asks those for receipts.

`plan.py` decides, `courier.py` does; `places.py` knows how a send begins, `faults.py` what its failure means, `receipts.py` how a destination
confirms, `lanes.py` who is next and what is away, `alternatives.py` which class of reports a destination gets. It must not touch the API server:
deliveries come in as values and go back as values.
"""

from .alternatives import Cargo
from .courier import Courier, Errand, Progress
from .places import Place, Target, ToModality, ToPeer, ToServer, Unusable
from .plan import Terms
from .receipts import receipt_of

__all__ = ["Cargo", "Courier", "Errand", "Place", "Progress", "Target", "Terms", "ToModality", "ToPeer", "ToServer", "Unusable", "receipt_of"]
