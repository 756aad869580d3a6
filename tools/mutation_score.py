"""Share of the mutants of each module that a test killed; exit code 1 below the least share.

Reads what `mutmut run` left in `mutants/`. Mutants of code that no test runs count as alive.
"""

from __future__ import annotations

import re
import subprocess
import sys
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


def main() -> int:
    """Print the table."""
    mutmut = Path(sys.executable).with_name("mutmut")
    asked = [str(mutmut), "results", "--all", "true"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout  # noqa: S603
    found = counts(said.splitlines())
    total: Counter[str] = sum(found.values(), Counter())
    for module, statuses in sorted(found.items()):
        print(f"{score(statuses):7.1%} {module} {dict(statuses)}")
    print(f"{score(total):7.1%} of {sum(total.values())} mutants killed, at least {LEAST_FRAC:.0%}")
    return 0 if score(total) >= LEAST_FRAC and not total["not checked"] else 1


if __name__ == "__main__":
    sys.exit(main())
