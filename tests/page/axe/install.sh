#!/usr/bin/env bash
# Installs axe-core for the browser tests, below build/axe (ignored by git): the version and the
# hash stand in package-lock.json. Nothing of it is shipped. A second call does nothing.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
target="${1:-$here/../../../build/axe}"
if [ -f "$target/node_modules/axe-core/axe.min.js" ] && cmp -s "$here/package-lock.json" "$target/package-lock.json"; then
  exit 0
fi
mkdir -p "$target"
cp "$here/package.json" "$here/package-lock.json" "$target/"
npm ci --prefix "$target" --no-audit --no-fund --ignore-scripts --silent
