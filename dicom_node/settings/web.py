"""The page and the API: where they are served."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from dicom_node.settings.section import Port, Section


class Web(Section):
    """The page and the API. Without users it serves this machine alone."""

    enabled: bool = Field(True, description="whether `dicom-node serve` serves the page and the API")
    address: str = Field(
        "127.0.0.1", description="address to listen on; any other than loopback needs users"
    )
    port: Port = Field(8080, description="port of the page and the API")
    hosts: tuple[str, ...] = Field(
        (), description="names by which browsers call this node, e.g. node.hospital.example; others are refused"
    )  # fmt: skip
    certificate: Path | None = Field(None, description="certificate chain (PEM) for TLS")
    private_key: Path | None = Field(None, description="its private key (PEM)")
    upload_limit_mb: int = Field(
        128, ge=1, le=2048, description="largest file that is taken for reading"
    )
    session_hours: float = Field(
        10, gt=0, le=720, description="a log-in ends after so long, and after an hour without a request"
    )
    keep_analyses_days: float = Field(
        30, gt=0, description="what was given to the page or the API for reading is forgotten after so long"
    )  # fmt: skip
    keep_audit_days: float = Field(
        3650, ge=1, description="entries of the audit trail are kept so long"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together; set both, or neither")
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can call."""
        if self.address == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return False
