"""`dicom-node serve`: the node itself."""

from __future__ import annotations

import logging

from dicom_node.command_line.terminal import (
    ConfigOption,
    check_appearances,
    load_settings,
    plain_errors,
)
from dicom_node.logs import configure_logs
from dicom_node.stop_signal import stop_event
from pipeline.findings import RESEARCH_NOTICE


def serve(config: ConfigOption) -> None:
    """Run the node: receive, read, answer. Ends on SIGTERM or Ctrl-C, within 10 seconds.

    Its processes are started again when one ends; nothing that was
    answered Success is lost by that. `dicom-node check` says whether all is well.

    [dim]dicom-node config init node.toml
    dicom-node serve --config node.toml[/dim]
    """
    settings = load_settings(config)
    check_appearances(settings)
    from dicom_node.supervisor import Supervisor, prepare_data

    configure_logs("supervisor", settings.log)
    logging.getLogger("dicom_node").info(
        "%s on %s:%d. %s",
        ", ".join(settings.node.called), settings.node.address, settings.node.port, RESEARCH_NOTICE,
    )  # fmt: skip
    with plain_errors():
        prepare_data(settings)
        Supervisor(config.resolve(), settings).run(stop_event(watch_parent=False))
