"""The register's database: what the page keeps, apart from the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from dicom_node.register.tables import metadata
from dicom_node.register.worklist_tables import prepare_worklist
from dicom_node.work.database import Database

REGISTER_NAME = "register.sqlite"


class Register(Database):
    """Transactions on the register. Threads may share one."""

    @classmethod
    def open(cls, data: Path) -> Self:
        """The register of a data folder, its tables made if they are missing.

        Raises:
            LedgerError: the file cannot be opened, or the disk does not keep what is committed.
        """
        # A name that is forgotten is overwritten, however SQLite was built.
        register = cls.open_file(data / REGISTER_NAME, "secure_delete=ON")
        # Names of patients and digests of passwords: for the node's own user alone.
        (data / REGISTER_NAME).chmod(0o600)
        with register.transaction() as connection:
            metadata.create_all(connection)
            prepare_worklist(connection)
        return register
