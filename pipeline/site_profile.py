"""A site's own calibration and operating points for one package: a TOML file beside the package, never in it.

```toml
format = 1
package = "fracture-net 1.0.0"
package_digest = "..."

[calibration]          # of the film's logit, in place of the package's
[thresholds]           # in place of the package's
[fitted_on]            # how many films, and what they give, with intervals
```
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from pipeline.errors import ModelPackageError
from pipeline.model_description import Calibration, Digest, OperatingPoints, Record
from pipeline.model_package import ModelPackage

_REMEDY = "make it anew with `dicom-node model calibrate`"
Figure = Annotated[tuple[float, float, float], Field(min_length=3, max_length=3)]


class FittedOn(Record):
    """What a profile was fitted on, and how that set is read at its points: value, 95 % interval from below, above.

    The films chose the points, so the figures are optimistic.
    """

    films: int = Field(ge=1)
    fractured: int = Field(ge=1)
    clusters: int = Field(ge=1)
    left_out_by_the_gate: int = Field(0, ge=0)
    auc: Figure
    sensitivity_at_doubt: Figure
    specificity_at_doubt: Figure
    sensitivity_at_fracture: Figure
    specificity_at_fracture: Figure


class SiteProfile(Record):
    """The whole of the file."""

    format: Literal[1]
    package: str
    package_digest: Digest
    calibration: Calibration
    thresholds: OperatingPoints
    fitted_on: FittedOn


def read_site_profile(path: Path) -> tuple[SiteProfile, str]:
    """The profile and the sha256 of its file.

    Raises:
        ModelPackageError: naming the file, the key, what is wrong with it and the remedy.
    """
    try:
        text = path.read_bytes()
        profile = SiteProfile.model_validate(tomllib.loads(text.decode("utf-8")))
    except FileNotFoundError:
        raise ModelPackageError(
            f"{path}: no such site profile; {_REMEDY}, or take [model] profile out"
        ) from None
    except OSError as error:
        raise ModelPackageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise ModelPackageError(f"{path}: not a site profile: {faults}; {_REMEDY}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelPackageError(f"{path}: not valid TOML: {error}; {_REMEDY}") from error
    return profile, hashlib.sha256(text).hexdigest()


def apply_site_profile(package: ModelPackage, path: Path) -> ModelPackage:
    """The package with the profile's calibration and points; its own digest stays, the profile's stands beside it.

    Raises:
        ModelPackageError: the profile cannot be read, or was made for another package.
    """
    profile, digest = read_site_profile(path)
    if profile.package_digest != package.digest:
        description = package.description
        raise ModelPackageError(
            f"{path}: made for {profile.package}, package {profile.package_digest[:12]}..., but "
            f"{package.folder} is {description.name} {description.version}, package {package.digest[:12]}...; {_REMEDY}"
        )
    label = package.description.fracture.model_copy(
        update={"calibration": profile.calibration, "thresholds": profile.thresholds}
    )
    return replace(
        package, description=package.description.model_copy(update={"fracture": label}), profile=digest
    )
