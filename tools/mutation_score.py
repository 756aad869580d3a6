"""Share of the mutants of each module that a test killed; exit code 1 below the least share.

    python tools/mutation_score.py [--sample 1000] [--seed 1]

Runs mutmut on a sample of the mutants of the modules that pyproject.toml names (0: on all), drawn
by the seed, and reads what it left in `mutants/`. Mutants of code that no test runs are alive.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

LEAST_FRAC = 0.85
KILLED = {"killed", "timeout", "suspicious", "segfault"}
ALIVE = {"survived", "no tests"}
RESULT = re.compile(r"\s*(?P<module>[\w.]+?)\.xǁ?[_\w].*?: (?P<status>[\w ]+)$")


def counts(lines: list[str]) -> dict[str, Counter[str]]:
    """Mutants by module and status."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        if match := RESULT.match(line):
            found[match["module"]][match["status"].strip()] += 1
    return found


def score(statuses: Counter[str]) -> float:
    """Killed over killed and alive; what was not checked is in neither."""
    killed = sum(statuses[s] for s in KILLED)
    alive = sum(statuses[s] for s in ALIVE)
    return killed / (killed + alive) if killed + alive else 0.0


def mutmut(*words: str) -> list[str]:
    """What mutmut says, by line."""
    command = [str(Path(sys.executable).with_name("mutmut")), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.splitlines()


def drawn(sample: int, seed: int) -> list[str]:
    """Names of the mutants to try."""
    mutmut("run", "no.such.mutant")  # writes the mutants, and finds which test runs what
    names = [line.split(":")[0].strip() for line in mutmut("results", "--all", "true")]
    names = sorted(name for name in names if RESULT.match(f"{name}: killed"))
    return random.Random(seed).sample(names, min(sample, len(names))) if sample else names  # noqa: S311


def main() -> int:
    """Try the mutants, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    started_s = time.monotonic()
    names = set(drawn(args.sample, args.seed))
    mutmut("run", *sorted(names))
    lines = mutmut("results", "--all", "true")
    found = counts([line for line in lines if line.split(":")[0].strip() in names])
    total: Counter[str] = sum(found.values(), Counter())
    for module, statuses in sorted(found.items()):
        print(f"{score(statuses):7.1%} {module} {dict(statuses)}")
    took_min = (time.monotonic() - started_s) / 60
    print(
        f"{score(total):7.1%} of {sum(total.values())} mutants killed (at least "
        f"{LEAST_FRAC:.0%}), {took_min:.0f} min"
    )
    return 0 if score(total) >= LEAST_FRAC and not total["not checked"] else 1


if __name__ == "__main__":
    sys.exit(main())
