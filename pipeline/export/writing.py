"""Writes a package's network for other programs, checks what was written, and only then leaves it."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterable
from pathlib import Path

from pipeline.engines.engine import Engine, FloatArray
from pipeline.engines.onnx_engine import OnnxEngine
from pipeline.engines.onnx_file import OUTPUTS, import_onnx, make_onnx
from pipeline.engines.openvino_engine import OpenVinoEngine, import_openvino
from pipeline.engines.torch_engine import TorchEngine
from pipeline.errors import ExportError
from pipeline.export.checking import check_export
from pipeline.export.record import ExportFormat, ExportRecord, record_of
from pipeline.golden import golden_batch
from pipeline.model_package import ModelPackage
from pipeline.radiograph import Radiograph

_UNFINISHED = ".unfinished-export"


def export_model(
    package: ModelPackage,
    kind: ExportFormat,
    folder: Path,
    *,
    films: Iterable[Radiograph] = (),
    threads: int = 0,
) -> tuple[Path, ExportRecord]:
    """Writes NAME-VERSION.onnx, or .xml and .bin, and NAME-VERSION.KIND.json; returns the latter and its path.

    Compared with torch in fp32 on the golden input and on `films`. Files of an earlier export of the
    same version are replaced.

    Raises:
        ExportError: the file answers otherwise, and is not left; or the folder cannot be written.
        EngineUnavailableError: a library is not installed.
        EngineError: an engine failed this time.
    """
    unfinished = folder / _UNFINISHED
    said = package.description
    stem = f"{said.name}-{said.version}"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        onnx = make_onnx(package.network(), said.input.size)
        network = (
            _write_onnx(onnx, unfinished / f"{stem}.onnx")
            if kind == "onnx"
            else _write_ir(onnx, unfinished / f"{stem}.xml")
        )
        exported: Engine = (
            OnnxEngine(network, threads=threads)
            if kind == "onnx"
            else OpenVinoEngine(network, threads=threads)
        )
        exact = TorchEngine(package.network(), threads=threads)
        check = check_export(package, exact, exported, films)
        batch = golden_batch(package.golden.pixels, said.input.settings())
        files = {path.name: _digest(path) for path in sorted(unfinished.iterdir())}
        record = record_of(package, kind, files=files, shapes=_shapes(exact, batch), check=check)
        (unfinished / f"{stem}.{kind}.json").write_text(
            record.model_dump_json(indent=1) + "\n", encoding="utf-8"
        )
        # The record comes last: without it there is no export.
        for name in (*files, f"{stem}.{kind}.json"):
            (unfinished / name).replace(folder / name)
    except OSError as error:
        raise ExportError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder / f"{stem}.{kind}.json", record


def _write_onnx(onnx: bytes, path: Path) -> Path:
    library = import_onnx()
    library.checker.check_model(library.load_from_string(onnx), full_check=True)
    path.write_bytes(onnx)
    return path


def _write_ir(onnx: bytes, path: Path) -> Path:
    openvino = import_openvino()
    model = openvino.Core().read_model(io.BytesIO(onnx))
    # Half precision would be smaller, and not the network that was measured.
    openvino.save_model(model, str(path), compress_to_fp16=False)
    return path


def _shapes(engine: Engine, batch: FloatArray) -> dict[str, tuple[int, ...]]:
    reading = engine.read(batch)
    shapes = {name: getattr(reading, name).shape for name in OUTPUTS}
    return {name: shape[1:] for name, shape in shapes.items() if 0 not in shape}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
