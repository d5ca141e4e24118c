"""Reads bone radiographs: pixels in, findings out. Knows no network, no clock and no `dicom_node`.

For research only. Not a medical device.
"""
