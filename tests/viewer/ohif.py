"""OHIF as its makers publish it: the package with the built viewer."""

from __future__ import annotations

from pathlib import Path

from tests.viewer.npm_package import NpmPackage, files_in

PACKAGE = NpmPackage(
    "@ohif/app",
    "3.13.2",
    "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==",
)

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


def built_viewer(file: Path) -> dict[str, bytes]:
    """What a web server has to serve, by path ("/index.html"), with our configuration."""
    return {**files_in(file, "dist"), "/app-config.js": CONFIGURATION.encode()}
