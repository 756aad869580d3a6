"""The JSON schema of scenario files, for editors; committed in `sim/data/schema`."""

from __future__ import annotations

from typing import Any

from sim.scenario.schema import Scenario

SCHEMA_FILE = "schema/scenario.schema.json"


def scenario_schema() -> dict[str, Any]:
    """JSON schema (draft 7 in all that editors need), with `extends` beside the fields.

    A file may leave out what its parent says, so nothing is required at the top.
    """
    schema = Scenario.model_json_schema()
    schema.pop("required", None)
    schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "one parent file, relative to this file",
    }
    return schema
