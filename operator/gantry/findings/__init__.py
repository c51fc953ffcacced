"""For authors of applications: findings.json with type checks. Needs pydantic, and nothing of DICOM or Kubernetes.

    from gantry.findings import Algorithm, BoxRegion, Concept, Finding, Findings, write_findings

    nodule = Concept(scheme="SCT", value="427359005", meaning="Solitary nodule of lung")
    box = BoxRegion(kind="box", sop_instance_uid=uid, points=((10, 20), (30, 45)))
    write_findings(Findings(
        schema_version="v1alpha1",
        algorithms=(Algorithm(id="nodules", name="LungNoduleNet", version="2.1.0", manufacturer="ACME AI"),),
        evaluated_for=(nodule,),
        findings=(Finding(id="nodule-1", type=nodule, presence="present", region=box),),
    ))

Gantry reads with the same models (`gantry.report` imports them), so what can be written here is what will be read. Whether a region lies
inside its image is checked when the report is built. This package must not know what a report looks like.
"""

from .concepts import Concept, Site
from .document import (
    Algorithm,
    Confidence,
    EarlierFinding,
    Evaluation,
    Finding,
    Findings,
    MeasuredValue,
    NotEvaluable,
    QualityStatement,
    Score,
    Summary,
)
from .files import to_json, write_findings
from .masks import Mask, Segment
from .reading import FindingsError, parse_findings
from .schema import findings_schema
from .shapes import (
    BoxRegion,
    CircleRegion,
    Ellipse3DRegion,
    EllipseRegion,
    Ellipsoid3DRegion,
    Point3DRegion,
    PointRegion,
    Polygon3DRegion,
    PolygonRegion,
    Polyline3DRegion,
    PolylineRegion,
    SegmentRegion,
)
from .units import is_ucum

__all__ = [
    "Algorithm",
    "BoxRegion",
    "CircleRegion",
    "Concept",
    "Confidence",
    "EarlierFinding",
    "Ellipse3DRegion",
    "EllipseRegion",
    "Ellipsoid3DRegion",
    "Evaluation",
    "Finding",
    "Findings",
    "FindingsError",
    "Mask",
    "MeasuredValue",
    "NotEvaluable",
    "Point3DRegion",
    "PointRegion",
    "Polygon3DRegion",
    "PolygonRegion",
    "Polyline3DRegion",
    "PolylineRegion",
    "QualityStatement",
    "Score",
    "Segment",
    "SegmentRegion",
    "Site",
    "Summary",
    "findings_schema",
    "is_ucum",
    "parse_findings",
    "to_json",
    "write_findings",
]
