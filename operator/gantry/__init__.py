"""Gantry: a Kubernetes operator that routes DICOM studies to AI applications and returns findings as DICOM SR."""

__version__ = "0.1.0"
"""Also in pyproject.toml (tests/unit/test_layout.py compares). The images hold the source alone, no package metadata."""
