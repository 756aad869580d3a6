"""A few seconds of what `make fuzz` does for long, and every file that broke a loader once."""

from __future__ import annotations

import contextlib
import random
import shutil
import sys
import time
import warnings
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
import fuzz_cases  # noqa: E402 - found through the path above
import fuzz_folders  # noqa: E402
import fuzz_guard  # noqa: E402
import fuzz_loaders  # noqa: E402
import fuzz_mutate  # noqa: E402
import fuzz_runs  # noqa: E402

from sim.errors import InputError  # noqa: E402

TARGETS = sorted(name for name, target in fuzz_loaders.TARGETS.items() if target.in_ci)
DAMAGED = 2
FOUND = sorted(path for path in fuzz_loaders.FINDS.glob("*/*") if path.is_file())
UNITS = fuzz_loaders.FINDS.parent / "seeds" / "units.m"
CHANGES = {
    "area-not-a-number": (
        "  10 4 0 0 0 0 1 1",
        "  10 4 0 0 0 0 111111111111111111111111111111.5 1",
    ),
    "dc-line-to-infinity": ("  1 2 1 10 9.9", "  1e999 2 1 10 9.9"),
    "bus-too-large": ("  1 3 0", "  9223372036854775808 3 0"),
    "root-of-a-negative": ("= mpc.baseMVA * 1e6", "= mpc.baseMVA^(-8)^0.5"),
    "table-of-complex": ("/ (Vbase^2 / Sbase)", "/ (Vbase^(-8)^0.5 / Sbase)"),
    "power-too-large": ("  2 1 100", "  2 9^9^9^9 100"),
    "zone-too-large": (
        "  2 1 100 0 0 0 1 1 0 230 1",
        "  2 1 100 0 0 0 1 1 0 230 9999999999999999999",
    ),
}
"""Files that a fuzzer found, as the one change of a sound one that did it."""


@pytest.mark.parametrize("name", TARGETS)
def test_files_that_nobody_meant_are_read_or_refused(name: str, tmp_path: Path) -> None:
    ground = fuzz_loaders.Range(fuzz_loaders.TARGETS[name], tmp_path)
    rng = random.Random(f"ci-{name}")  # noqa: S311 - repeatable on purpose
    ended = set()
    for _ in range(ground.target.in_ci):
        told, finding = ground.shoot(ground.next(rng))
        ended.add(told)
        assert finding is None
    assert ended <= {"read", "refused"}


def test_damaged_folders_are_read_or_refused_by_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "training-least.yaml"
    monkeypatch.setattr(fuzz_folders, "BASES", {name: (*fuzz_folders.LITTLE, "grid.hosting=false")})
    ground = fuzz_loaders.Range(fuzz_loaders.TARGETS["folder"], tmp_path)
    rng = random.Random("ci-folder")  # noqa: S311 - repeatable on purpose
    assert [ground.shoot(ground.next(rng)) for _ in range(DAMAGED)] == [("read", None)] * DAMAGED


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_broke_a_loader_once_is_refused_now(path: Path, tmp_path: Path) -> None:
    target = fuzz_loaders.TARGETS[path.parent.name]
    ground = fuzz_loaders.Range(target, tmp_path)
    for suffix in target.suffixes:
        told, finding = ground.shoot(path.read_bytes(), suffix)
        assert (told, finding) == ("refused", None)


@pytest.mark.parametrize("change", CHANGES, ids=CHANGES)
def test_what_broke_the_reader_of_grids_once_is_refused_now(change: str, tmp_path: Path) -> None:
    old, new = CHANGES[change]
    text = UNITS.read_text()
    assert text.count(old) == 1
    ground = fuzz_loaders.Range(fuzz_loaders.TARGETS["case"], tmp_path)
    assert ground.shoot(text.replace(old, new).encode()) == ("refused", None)


def test_every_seed_of_a_byte_target_is_read(tmp_path: Path) -> None:
    for name, count in (("config", 3), ("case", 2), ("series", 1), ("device", 1)):
        ground = fuzz_loaders.Range(fuzz_loaders.TARGETS[name], tmp_path / name)
        for seed in ground.target.seeds()[:count]:
            assert ground.shoot(seed)[0] == "read", name


def broken_by(load: object, tmp_path: Path, limit_s: float = 5.0) -> str:
    told, finding = fuzz_guard.judge(load, tmp_path, limit_s)  # type: ignore[arg-type]
    assert finding is not None
    return f"{told}: {finding.kind}"


class TwoLinesError(InputError):
    """What no error of ours can be: a message of two lines."""

    def __str__(self) -> str:
        return "one\ntwo"


def test_the_guard_sees_each_kind_of_finding(tmp_path: Path) -> None:
    inside, outside, away = tmp_path / "in", tmp_path / "outside.txt", tmp_path / "away"
    inside.mkdir()

    def two_lines() -> None:
        raise TwoLinesError("one")

    def spin() -> None:
        while True:
            pass

    assert broken_by(lambda: {}["a"], inside) == "broken: KeyError"
    assert broken_by(two_lines, inside) == "refused: not one line"
    assert broken_by(lambda: warnings.warn("odd", stacklevel=1), inside) == "broken: UserWarning"
    assert broken_by(spin, inside, 0.05) == "broken: Hang"
    assert broken_by(lambda: time.sleep(9), inside, 0.05) == "broken: Hang"
    assert broken_by(lambda: outside.write_text("x"), inside) == "read: stray file"
    assert broken_by(lambda: outside.rename(inside / "a"), inside) == "read: stray file"
    (inside / "sub" / "c").mkdir(parents=True)
    assert fuzz_guard.judge(lambda: shutil.rmtree(inside / "sub"), inside) == ("read", None)
    away.mkdir()
    assert broken_by(lambda: shutil.rmtree(away), inside) == "read: stray file"
    assert fuzz_guard.judge(lambda: (inside / "b").write_text("x"), inside) == ("read", None)


def test_mutations_are_repeatable_and_bounded() -> None:
    seeds = [b"a: 1\n", b"b: [2, 3]\n"]

    def many() -> list[bytes]:
        generators = map(random.Random, range(200))
        return [fuzz_mutate.mutated(seeds[0], rng, seeds) for rng in generators]

    assert many() == many()
    assert len(set(many())) > 100
    assert max(map(len, many())) <= fuzz_mutate.MAX_BYTES


def test_changed_cases_are_repeatable_small_and_unlike_each_other() -> None:
    shots = [bytes([number]) * 8 for number in range(40)]
    made = [fuzz_cases.changed_case(shot) for shot in shots]
    assert made == [fuzz_cases.changed_case(shot) for shot in shots]
    assert len(set(made)) == len(made)
    for text in made:
        horizon_h = next(line for line in text.decode().split("\n") if "horizon_h" in line)
        assert float(horizon_h.split(": ")[1]) <= fuzz_cases.HORIZON_H


def test_a_run_that_differs_when_made_again_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is one of those that are run twice; what is written then is another figure."""
    path = tmp_path / "shot.yaml"
    texts = (f"{{seeds: [1]}} # {number}" for number in range(100))
    sums = ((zlib.crc32(text.encode()), text) for text in texts)
    text = next(t for n, t in sums if n % fuzz_runs.DRAWN and n % fuzz_runs.SAMPLE == 1)
    path.write_text(text)
    figures = iter(range(9))

    def run(_scenario: object, _seed: int, out: Path, _command: object) -> tuple[Path, None]:
        out.mkdir()
        (out / "summary.json").write_text(str(next(figures)))
        return out, None

    scenario = SimpleNamespace(seeds=[1])
    monkeypatch.setattr("sim.scenario.run.load_scenario", lambda _path: (None, scenario))
    monkeypatch.setattr("sim.scenario.run.located", lambda _document: contextlib.nullcontext())
    monkeypatch.setattr("sim.scenario.run.run_to_folder", run)
    monkeypatch.setattr("sim.scenario.verify.verify_run", lambda _folder: [])
    with pytest.raises(fuzz_runs.Wrong, match=r"differs in summary\.json"):
        fuzz_runs.load_little(path)
