"""Gantry: a Kubernetes operator that routes DICOM studies to AI applications and returns findings as DICOM SR."""
