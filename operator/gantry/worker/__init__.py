"""What runs inside a Run's pod: fetch and publish, the containers that are Gantry's own. Started as `python -m gantry.worker`.

It must not talk to the Kubernetes API; what the operator has to know goes into the receipt.
"""

__all__: list[str] = []
