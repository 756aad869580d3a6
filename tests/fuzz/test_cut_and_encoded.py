"""Files cut at every byte, in every wrong encoding, and through symbolic links."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sim.errors import InputError
from sim.scenario.load import load_tree
from sim.scenario.run import load_scenario

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
import fuzz_loaders  # noqa: E402 - found through the path above

CASES = fuzz_loaders.CASES
FILES = {
    "scenario": CASES / "valid" / "training-least.yaml",
    "sweep": CASES / "sweeps" / "zip-rows.yaml",
    "case": TOOLS.parent / "tests" / "fuzz" / "seeds" / "units.m",
    "trace": CASES / "traces" / "burstgpt-2.csv",
}


def ground(name: str, folder: Path) -> fuzz_loaders.Range:
    return fuzz_loaders.Range(fuzz_loaders.TARGETS[name], folder)


def config() -> bytes:
    return fuzz_loaders.TARGETS["config"].seeds()[0]


@pytest.mark.parametrize("name", [*FILES, "config"])
def test_a_file_cut_at_any_byte_is_read_or_refused(name: str, tmp_path: Path) -> None:
    data = FILES[name].read_bytes() if name in FILES else config()
    here = ground(name, tmp_path)
    ended = {here.shoot(data[:size], here.target.suffixes[0]) for size in range(len(data))}
    assert ended <= {("read", None), ("refused", None)}
    assert ("refused", None) in ended


@pytest.mark.parametrize("name", ["scenario", "sweep", "trace", "config"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-7", "cp037"])
def test_another_encoding_is_refused(name: str, encoding: str, tmp_path: Path) -> None:
    data = FILES[name].read_bytes() if name in FILES else config()
    text = data.decode("utf-8")
    here = ground(name, tmp_path)
    told, finding = here.shoot(text.encode(encoding), here.target.suffixes[0])
    assert finding is None
    assert told == "refused" or encoding == "utf-7"


@pytest.mark.parametrize("name", ["scenario", "sweep", "trace", "config"])
def test_a_byte_order_mark_is_read_over_and_latin_1_and_nul_are_refused(
    name: str, tmp_path: Path
) -> None:
    data = FILES[name].read_bytes() if name in FILES else config()
    here = ground(name, tmp_path)
    suffix = here.target.suffixes[0]
    assert here.shoot(b"\xef\xbb\xbf" + data, suffix) == here.shoot(data, suffix)
    for strange in (b"\xfc", b"\x00"):
        assert here.shoot(strange + data, suffix) == ("refused", None)


def test_symbolic_links(tmp_path: Path) -> None:
    """A link to a file is that file; `extends` is relative to the link; circles are refused."""
    parent, child = tmp_path / "parent.yaml", tmp_path / "sub" / "child.yaml"
    parent.write_bytes(FILES["scenario"].read_bytes())
    child.parent.mkdir()
    child.symlink_to(parent)
    assert load_scenario(child)[1] == load_scenario(parent)[1]
    parent.write_text("extends: sub/child.yaml\nname: a\n", "utf-8")
    with pytest.raises(InputError, match="leads back to a file that extends it"):
        load_tree(parent)
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "a.yaml").write_text("extends: loop.yaml\n", "utf-8")
    with pytest.raises(InputError, match="symbolic links lead in a circle"):
        load_tree(tmp_path / "a.yaml")
