"""The hash that names a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.errors import InputError
from sim.scenario.naming import run_hash
from sim.scenario.run import load_scenario, run_id

SHIPPED = {"grid/us_states.csv": "1" * 64}


def tree(**files: str) -> dict[str, Any]:
    return {"name": "a", "sites": [{"workloads": [{"arch": name} for name in files.values()]}]}


def test_a_file_of_the_user_counts_by_name_and_content_not_by_folder() -> None:
    one = run_hash(tree(a="/x/own.json"), SHIPPED | {"/x/own.json": "2" * 64})
    assert run_hash(tree(a="/y/z/own.json"), SHIPPED | {"/y/z/own.json": "2" * 64}) == one
    assert run_hash(tree(a="own.json"), SHIPPED | {"own.json": "2" * 64}) == one
    assert run_hash(tree(a="/x/own.json"), SHIPPED | {"/x/own.json": "3" * 64}) != one
    assert run_hash(tree(a="/x/other.json"), SHIPPED | {"/x/other.json": "2" * 64}) != one


def test_files_of_one_name_are_not_mixed_up() -> None:
    files = {"/x/m.json": "2" * 64, "/y/m.json": "3" * 64}
    one = run_hash(tree(a="/x/m.json", b="/y/m.json"), files)
    assert run_hash(tree(a="/y/m.json", b="/x/m.json"), files) != one


def test_a_folder_of_tables_and_a_snapshot_of_a_network_count_by_their_names() -> None:
    def grid(case: str, file: str) -> str:
        return run_hash({"grid": {"case": case}}, {file: "2" * 64})

    assert grid("/x/net", "/x/net/buses.csv") == grid("/y/net", "/y/net/buses.csv")
    assert grid("/x/n.nc@5", "/x/n.nc") == grid("/y/n.nc@5", "/y/n.nc")
    assert grid("/x/n.nc@5", "/x/n.nc") != grid("/x/n.nc@6", "/x/n.nc")


CONFIG = """{"model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
"num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}"""
CASES = Path(__file__).parents[1] / "cases" / "valid"
SCENARIO = (CASES / "fluid-prefix.yaml").read_text().replace("arch: llama-3-8b", "arch: own.json")


def test_a_scenario_copied_with_its_files_is_the_same_run(tmp_path: Path) -> None:
    found = set()
    for place in ("here", "there"):
        folder = tmp_path / place
        folder.mkdir()
        (folder / "own.json").write_text(CONFIG)
        (folder / "own.yaml").write_text(SCENARIO)
        found.add(run_id(load_scenario(folder / "own.yaml")[1], 1))
    assert len(found) == 1


def test_a_config_that_is_nowhere_is_told_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(SCENARIO)
    with pytest.raises(
        InputError, match=r"own\.yaml:9:31: sites\[0\]\.workloads\[0\]\.arch: no such"
    ):
        load_scenario(tmp_path / "own.yaml")


def test_a_folder_with_a_config_lies_beside_the_scenario_too(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.json").write_text(CONFIG)
    (tmp_path / "own.yaml").write_text(SCENARIO.replace("own.json", "own"))
    (site,) = load_scenario(tmp_path / "own.yaml")[1].sites
    assert site.workloads[0].arch == str(tmp_path / "own" / "config.json")
