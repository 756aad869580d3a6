"""Attack the loaders with files that nobody meant; every one must be read or refused in a line.

    python tools/fuzz.py --cases 10000                 each target, this many files
    python tools/fuzz.py --seconds 600 config case     these targets, ten minutes in all

The engine is atheris where it is installed (coverage guides the changes), else the changes of
`fuzz_mutate.py` alone. Files that break a loader are kept under --keep; the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

KEEP = Path("build/fuzz")
TOLD_EACH = 200
"""Files after which the figures so far are told."""


class Book:
    """Counts how files ended, and keeps one file for each kind and place of finding."""

    def __init__(self, target: str, keep: Path):
        self.target = target
        self.keep = keep
        self.ended: Counter[str] = Counter()
        self.found: dict[tuple[str, str], dict[str, str]] = {}
        self.longest_cpu_s = 0.0
        self.start_s = time.monotonic()

    def shoot(self, ground: Any, data: bytes) -> None:
        """One file."""
        before_s = time.process_time()
        told, finding = ground.shoot(data)
        took_s = time.process_time() - before_s
        if took_s > self.longest_cpu_s:
            self.longest_cpu_s = took_s
            self._keep(f"{self.target}-longest", data)
        self.ended[told] += 1
        if self.ended.total() % TOLD_EACH == 0:
            print(
                f"  {json.dumps(self.told('so far') | {'findings': len(self.found)})}", flush=True
            )
        if finding is None or (finding.kind, finding.where) in self.found:
            return
        name = f"{self.target}-{len(self.found)}-{finding.kind}".replace(" ", "-")
        self._keep(name, data)
        self.found[finding.kind, finding.where] = {
            "kind": finding.kind, "where": finding.where, "what": finding.what, "file": name,
        }  # fmt: skip
        print(f"  {self.target}: {finding.kind} at {finding.where}: {finding.what}", flush=True)

    def _keep(self, name: str, data: bytes) -> None:
        self.keep.mkdir(parents=True, exist_ok=True)
        (self.keep / name).write_bytes(data)

    def told(self, engine: str) -> dict[str, Any]:
        """The figures."""
        return {
            "target": self.target, "engine": engine, "files": self.ended.total(),
            **self.ended, "findings": list(self.found.values()),
            "longest_cpu_s": round(self.longest_cpu_s, 3),
            "wall_s": round(time.monotonic() - self.start_s, 1),
        }  # fmt: skip


def attack(args: argparse.Namespace, target: str, folder: Path) -> dict[str, Any]:
    """One target in this process, by the changes alone."""
    from fuzz_loaders import TARGETS, Range

    ground = Range(TARGETS[target], folder)
    book = Book(target, args.keep)
    rng = random.Random(f"{args.seed}-{target}")  # noqa: S311 - repeatable on purpose
    end_s = time.monotonic() + args.seconds if args.seconds else float("inf")
    while book.ended.total() < args.cases and time.monotonic() < end_s:
        book.shoot(ground, ground.next(rng))
    return book.told("mutations")


def compiled_modules() -> list[str]:
    """What numba compiles, which it cannot once atheris has changed it."""
    kernels = Path(__file__).resolve().parent.parent / "sim/cluster/serving/kernels"
    return [f"sim.cluster.serving.kernels.{file.stem}" for file in kernels.glob("*.py")]


def guided(args: argparse.Namespace, target: str, folder: Path) -> None:
    """One target in this process under atheris, which ends the process; writes its figures."""
    import atheris

    with atheris.instrument_imports(include=["sim"], exclude=compiled_modules()):
        from fuzz_loaders import TARGETS, Range

        ground = Range(TARGETS[target], folder)
    from fuzz_mutate import mutated

    book = Book(target, args.keep)
    told = folder / "told.json"

    def one(data: bytes) -> None:
        book.shoot(ground, data)
        if book.ended.total() % 50 == 0 or book.ended.total() >= args.cases:
            told.write_text(json.dumps(book.told("atheris")), "utf-8")

    def change(data: bytes, largest: int, seed: int) -> bytes:
        rng = random.Random(seed)  # noqa: S311
        if rng.random() < 0.3:
            return bytes(atheris.Mutate(data, largest))
        return mutated(data or rng.choice(ground.seeds), rng, ground.seeds)[:largest]

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(ground.seeds):
        (corpus / str(number)).write_bytes(seed)
    options = [f"-runs={args.cases}", f"-seed={args.seed}", "-max_len=2097152", "-timeout=60",
               "-rss_limit_mb=4096", "-verbosity=0", f"-artifact_prefix={folder}/"]  # fmt: skip
    options += [f"-max_total_time={args.seconds}"] if args.seconds else []
    atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=change)
    atheris.Fuzz()


def in_child(args: argparse.Namespace, target: str, folder: Path) -> dict[str, Any]:
    """One target in a process of its own."""
    command = [sys.executable, __file__, "--child", str(folder), target]
    command += ["--engine", args.engine, "--seed", str(args.seed), "--cases", str(args.cases)]
    command += ["--seconds", str(args.seconds), "--keep", str(args.keep)]
    done = subprocess.run(command, check=False)  # noqa: S603
    told = folder / "told.json"
    if not told.is_file():
        return {"target": target, "findings": [{"kind": "died", "where": str(done.returncode)}]}
    figures: dict[str, Any] = json.loads(told.read_text("utf-8"))
    if done.returncode:
        figures["findings"].append({"kind": "died", "where": str(done.returncode)})
    return figures


def child(args: argparse.Namespace) -> int:
    """What runs in the process of one target."""
    if args.engine == "atheris":
        guided(args, args.targets[0], args.child)
    else:
        told = attack(args, args.targets[0], args.child)
        (args.child / "told.json").write_text(json.dumps(told), "utf-8")
    return 0


def options() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("targets", nargs="*", help="default: all of them")
    parser.add_argument("--cases", type=int, default=10_000, help="files for each target")
    parser.add_argument("--seconds", type=int, default=0, help="in all; 0: no limit")
    parser.add_argument("--engine", choices=("auto", "atheris", "mutations"), default="auto")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=KEEP, help="where findings are kept")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return parser


def main() -> int:
    """Attack, tell, and fail if anything was found."""
    args = options().parse_args()
    if args.engine == "auto":
        args.engine = "atheris" if find_spec("atheris") else "mutations"
    if args.child:
        return child(args)
    os.environ["PYTHONHASHSEED"] = "0"
    from fuzz_loaders import TARGETS

    targets = args.targets or list(TARGETS)
    unknown = set(targets) - set(TARGETS)
    if unknown:
        print(f"no target {', '.join(sorted(unknown))}; known: {', '.join(TARGETS)}")
        return 2
    args.seconds = max(1, args.seconds // len(targets)) if args.seconds else 0
    broken = 0
    for target in targets:
        with tempfile.TemporaryDirectory() as folder:
            told = in_child(args, target, Path(folder))
        broken += len(told["findings"])
        print(json.dumps(told), flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
