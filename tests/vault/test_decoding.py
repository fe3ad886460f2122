"""Reading JSON in several threads."""

from __future__ import annotations

import subprocess
import sys

FIRST_TO_READ = """
from __future__ import annotations
import sys
from concurrent.futures import ThreadPoolExecutor
import msgspec
from vault.decoding import decode

sys.setswitchinterval(1e-6)
for number in range(100):
    exec(f'''
class Inner{number}(msgspec.Struct):
    name: str
    data: bytes | None = None
    pairs: tuple[tuple[str, bytes], ...] = ()

class Outer{number}(msgspec.Struct):
    inner: tuple[Inner{number}, ...]
    prefix: str = ""
''', globals())
    kind = globals()[f"Outer{number}"]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: decode(b'{"inner": [{"name": "a"}]}', kind), range(8)))
    assert all(one == found[0] for one in found)
"""


def test_several_threads_may_be_the_first_to_read_a_kind_of_record() -> None:
    process = subprocess.run([sys.executable, "-c", FIRST_TO_READ], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
