"""The commands, one file each; `dicom_node.cli` puts them together."""
