"""What a scenario file may say. Closed: an unknown key is an error.

Names carry their unit. `Field` limits are the ones that errors quote.
"""

from sim.scenario.schema.base import Name, Strict, Whole
from sim.scenario.schema.control import Control, NoCap, StaticCap
from sim.scenario.schema.facility import Facility
from sim.scenario.schema.grid import ZonalGrid
from sim.scenario.schema.layout import LayoutSpec
from sim.scenario.schema.nodal import NodalGrid
from sim.scenario.schema.regions import DynamicGrid, PulseEvent, RegionsGrid, TripEvent
from sim.scenario.schema.scenario import At, Cluster, Record, Scenario, Site, Workload
from sim.scenario.schema.services import ServiceSpec, UserRegion
from sim.scenario.schema.serving import (
    CONVERSATIONS,
    ConstantLengthsSpec,
    EmpiricalLengthsSpec,
    FileRequests,
    FittedRequests,
    GammaRequests,
    LengthsSpec,
    OnOffRequests,
    PoissonRequests,
    Requests,
    ServiceRequests,
    ServingSpec,
    SessionRequests,
    StreamRequests,
    TraceRequests,
)
from sim.scenario.schema.training import (
    Checkpointing,
    FailuresSpec,
    NoFailures,
    PoissonFailures,
    TrainingSpec,
)

__all__ = [
    "CONVERSATIONS",
    "At",
    "Checkpointing",
    "Cluster",
    "ConstantLengthsSpec",
    "Control",
    "DynamicGrid",
    "EmpiricalLengthsSpec",
    "Facility",
    "FailuresSpec",
    "FileRequests",
    "FittedRequests",
    "GammaRequests",
    "LayoutSpec",
    "LengthsSpec",
    "Name",
    "NoCap",
    "NoFailures",
    "NodalGrid",
    "OnOffRequests",
    "PoissonFailures",
    "PoissonRequests",
    "PulseEvent",
    "Record",
    "RegionsGrid",
    "Requests",
    "Scenario",
    "ServiceRequests",
    "ServiceSpec",
    "ServingSpec",
    "SessionRequests",
    "Site",
    "StaticCap",
    "StreamRequests",
    "Strict",
    "TraceRequests",
    "TrainingSpec",
    "TripEvent",
    "UserRegion",
    "Whole",
    "Workload",
    "ZonalGrid",
]
