"""Where the repository's programs and files are."""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "schema"
INVARIANTS = pathlib.Path(__file__).resolve().parent / "invariants.py"
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def bin_dir():
    """The directory of the programs under test."""
    named = os.environ.get("JOBMILL_BIN_DIR")
    if named:
        return pathlib.Path(named).resolve()
    for preset in ("asan", "debug"):
        path = ROOT / "build" / preset / "bin"
        if (path / "jobmill-worker").exists():
            return path
    return ROOT / "build" / "debug" / "bin"
