"""Services: a stream of requests that several serving workloads answer."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sim.scenario.schema.base import Name, Strict, refuse_duplicates
from sim.scenario.schema.serving import StreamRequests

RoundTrip = Annotated[float, Field(ge=0, le=60)]


class UserRegion(Strict):
    """Users of a service in one place: their share of its requests, and their way to the sites.

    A round trip is the time of a packet from the users to the site and back, on a connection
    that is open. An answer is seen one round trip later than it leaves the site: the way of the
    request there and the way of the token back.
    """

    name: Name
    share_frac: float = Field(gt=0, le=1, description="of the service's requests; they sum to 1")
    at: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = Field(
        None,
        description="state of the users, two letters: round trips that are not given are those "
        "published between data centres in this state and in the site's",
    )
    round_trip_s: dict[Name, RoundTrip] = Field(
        {}, description="by the site's name: time from the users to the site and back"
    )


class ServiceObjectives(Strict):
    """What users are promised, the network included; the share that got it is told of each."""

    ttft_s: float | None = Field(None, gt=0, le=1e6)
    tpot_s: float | None = Field(None, gt=0, le=1e6)
    e2e_s: float | None = Field(None, gt=0, le=1e6)


class ServiceSpec(Strict):
    """A stream of requests, each of which one workload answers that names the service.

    Workloads take part by `requests: {kind: service, service: NAME, weight: W}`. `weights`: a
    request goes to a workload with the chance of its weight. `nearest`: to the site with the
    least round trip from the user's region, there by weight.
    """

    name: Name
    requests: StreamRequests
    router: Literal["weights", "nearest"] = "weights"
    regions: list[UserRegion] = Field(
        [], max_length=64, description="without any, the way to the users takes no time"
    )
    slo: ServiceObjectives = ServiceObjectives()

    @model_validator(mode="after")
    def _regions_share_all(self) -> Self:
        refuse_duplicates("region", [region.name for region in self.regions])
        total = sum(region.share_frac for region in self.regions)
        if self.regions and abs(total - 1) > 1e-9:
            raise ValueError(f"the shares of the regions sum to {total:g}; let them sum to 1")
        return self

    @model_validator(mode="after")
    def _nearest_to_somebody(self) -> Self:
        if self.router == "nearest" and not self.regions:
            raise ValueError("router nearest needs to know where the users are; give regions")
        return self
