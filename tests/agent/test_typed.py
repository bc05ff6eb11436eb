"""Many threads that meet a type for the first time."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from rackwright.model import typed

CRASHES = """
import sys, threading, types
from rackwright.model import typed

LINES = ["from __future__ import annotations", "import msgspec", "from typing import Literal"]
for i in range(60):
    LINES += [f"class A{i}(msgspec.Struct):"]
    LINES += [f"    f{j}: Literal['a', 'b{j}'] | None = None" for j in range(20)]
    LINES += [f"    n: A{i - 1} | None = None"] if i else []
sys.setswitchinterval(1e-6)
for number in range(24):
    module = types.ModuleType(f"m{number}")
    sys.modules[module.__name__] = module
    exec("\\n".join(LINES), module.__dict__)
    kinds = [module.A59, module.A58, module.A59, module.A57]
    start = threading.Barrier(len(kinds))

    def go(number, kind):
        start.wait()
        body = {"n": {"f1": "a"}}
        if number % 2:
            typed.convert(body, kind)
        else:
            typed.decode(b'{"n": {"f1": "a"}}', kind)

    threads = [threading.Thread(target=go, args=one) for one in enumerate(kinds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_that_meet_a_type_at_once() -> None:
    """In a process of its own: what goes wrong here is no exception."""
    subprocess.run([sys.executable, "-c", CRASHES], check=True)


def test_what_it_says_and_what_is_wrong() -> None:
    assert typed.decode(b'{"a": [1]}', dict[str, list[int]]) == {"a": [1]}
    assert typed.decode(b'{"a": [1]}', object) == {"a": [1]}
    with pytest.raises(msgspec.ValidationError):
        typed.decode(b'["a"]', list[int])
    with pytest.raises(msgspec.ValidationError):
        typed.convert(["a"], list[int])
