"""The pixels of captures: colour or grey, native or compressed without loss (PS3.3 C.7.6.3; PS3.5 8.2, A.4)."""

from __future__ import annotations

import cv2
import numpy as np
from pydicom.dataset import FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicom_node.results.composition import DestinationProfile
from dicom_node.results.film_drawing import RgbImage

# pydicom's names of the encoders: pinned libraries, each the only one that is asked.
_ENCODERS = {JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg", RLELossless: "pydicom"}
GREY_BITS = 8


def put_pixels(ds: FileDataset, pixels: RgbImage, profile: DestinationProfile) -> None:
    """The Image Pixel Module, and the transfer syntax of the file.

    `pixels`: uint8 (rows, columns, 3), RGB. Grey is their luminance (ITU-R BT.601), which leaves greys as they are.
    """
    colour = profile.overlay_bits != GREY_BITS
    values = pixels if colour else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    ds.Rows, ds.Columns = values.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    if colour:
        ds.PlanarConfiguration = 0
    syntax = UID(profile.transfer_syntax_uid)
    if syntax == ExplicitVRLittleEndian:
        data = np.ascontiguousarray(values).tobytes()
        ds.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))
        return
    if colour and syntax == JPEG2000Lossless:
        # The reversible colour transform, which makes the file a third smaller (PS3.5 8.2.4).
        ds.PhotometricInterpretation = "YBR_RCT"
    ds.compress(syntax, values, encoding_plugin=_ENCODERS[syntax], generate_instance_uid=False)
