# Sourced by the other scripts: makes .venv from any Python >= 3.11 and installs twindex into it, once.
# Usage: . scripts/_venv.sh; ensure_venv EXTRAS   (EXTRAS as in "[dev]", or "" for the default install)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      command -v "$candidate"
      return 0
    fi
  done
  echo "no Python >= 3.11 with its venv module was found; install one, or name it: PYTHON=/path/to/python $0" >&2
  return 1
}

ensure_venv() {
  local extras="$1" python stamp wanted
  stamp=".venv/.twindex-installed"
  if [ ! -x .venv/bin/python ]; then
    python="$(find_python)"
    echo "making .venv with $("$python" --version)"
    "$python" -m venv .venv
  fi
  # Installed again only when the metadata or the wanted extras have changed.
  wanted="$extras $(cksum < pyproject.toml)"
  if ! grep -qxF "$wanted" "$stamp" 2>/dev/null; then
    echo "installing twindex$extras (a few hundred MB the first time)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extras"
    echo "$wanted" >> "$stamp"
  fi
}
