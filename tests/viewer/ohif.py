"""OHIF as its makers publish it: the package with the built viewer, fetched once and checked before each use."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.real_parts import program, unavailable

VERSION = "3.13.2"
PACKAGE = f"@ohif/app@{VERSION}"
# The registry's own word for these bytes (`npm view @ohif/app@3.13.2 dist.integrity`).
INTEGRITY = (
    "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
)
_BUILT = "package/dist"

# As shipped, but for the archive and for the dialogs that cover the film at the first visit.
CONFIGURATION = """
window.config = {
  routerBasename: null,
  extensions: [],
  modes: [],
  customizationService: [{ 'ohif.tours': { $set: [] } }],
  investigationalUseDialog: { option: 'never' },
  showStudyList: true,
  maxNumberOfWebWorkers: 1,
  showLoadingIndicator: true,
  showErrorDetails: 'always',
  defaultDataSourceName: 'archive',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'archive',
      configuration: {
        friendlyName: 'Archive',
        name: 'archive',
        wadoUriRoot: '/dicom-web',
        qidoRoot: '/dicom-web',
        wadoRoot: '/dicom-web',
        qidoSupportsIncludeField: true,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        bulkDataURI: { enabled: true, relativeResolution: 'studies' },
      },
    },
  ],
};
"""


def package() -> Path:
    """The package's file; fetched when no earlier run left it in the user's cache.

    Fails in CI, skips elsewhere, when it can be had from nowhere.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = caches / "fracture-node-tests" / f"ohif-app-{VERSION}.tgz"
    if not kept.is_file() or _integrity(kept) != INTEGRITY:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            _fetch(Path(folder)).replace(kept)
    return kept


def built_viewer(file: Path) -> dict[str, bytes]:
    """What a web server has to serve, by path ("/index.html"), with our configuration."""
    served = {}
    with tarfile.open(file) as package_file:
        for member in package_file:
            content = package_file.extractfile(member) if member.isfile() else None
            if content is not None and member.name.startswith(f"{_BUILT}/"):
                served[member.name.removeprefix(_BUILT)] = content.read()
    return {**served, "/app-config.js": CONFIGURATION.encode()}


def _fetch(folder: Path) -> Path:
    command = [program("npm"), "pack", PACKAGE, "--silent", "--pack-destination", str(folder)]
    # The version is named: nothing of the package is run, npm only brings it.
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    found = next(folder.glob("*.tgz"), None)
    if done.returncode != 0 or found is None:
        unavailable(f"npm could not fetch {PACKAGE}: {done.stderr.strip() or done.stdout.strip()}")
    assert found is not None
    assert _integrity(found) == INTEGRITY, f"{PACKAGE} is not what it was when these tests were written"
    return found


def _integrity(file: Path) -> str:
    """As npm writes it (Subresource Integrity)."""
    return f"sha512-{base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()}"
