"""``make docs``: the documentation as a site in build/site. Every warning of the generator is an error."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from docs.site.pages import ROOT, write_pages

BUILD = ROOT / "build"


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__)
    parser.add_argument("--out", type=Path, default=BUILD / "site", help="where the site goes")
    out: Path = parser.parse_args().out
    pages = BUILD / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    write_pages(pages)
    generator = (sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going", "-j", "auto")
    status = subprocess.run(  # noqa: S603 - our own generator
        [*generator, "-c", str(ROOT / "docs" / "site"), str(pages), str(out)], check=False
    ).returncode
    if status == 0:
        sys.stdout.write(f"{out / 'index.html'}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
