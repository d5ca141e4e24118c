"""What the processor of this machine is and can do by itself."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
PROCESSOR_RECORD = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Processor:
    """The processor's own name, and what it can do: the first core's flags, empty where the system tells none."""

    name: str
    flags: frozenset[str]

    @property
    def has_bf16(self) -> bool:
        """Whether it multiplies bfloat16 itself; without that bf16 is slower than fp32."""
        return not BF16_FLAGS.isdisjoint(self.flags)

    @property
    def flags_digest(self) -> str:
        """Sixteen hexadecimal digits of sha256; the order of the flags does not count."""
        return hashlib.sha256(" ".join(sorted(self.flags)).encode()).hexdigest()[:16]


def read_processor(record: Path = PROCESSOR_RECORD) -> Processor:
    """The processor as Linux tells of it; elsewhere the machine's kind and no flags."""
    try:
        lines = record.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    said: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        said.setdefault(key.strip(), value.strip())
    return Processor(
        said.get("model name") or platform.machine(), frozenset(said.get("flags", "").split())
    )


def has_bf16(record: Path = PROCESSOR_RECORD) -> bool:
    """Whether the processor of that record multiplies bfloat16 itself."""
    return read_processor(record).has_bf16


def threads_wanted(threads: int) -> int:
    """As many as asked for; 0: one per core that this process may use."""
    return threads or len(os.sched_getaffinity(0))
