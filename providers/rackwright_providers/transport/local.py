"""The local host: a reader that cannot write, and the host that can.

Paths of file-like resources are resolved under ``--root``; a symlink inside the root never leads
out of it. Commands run with an argument list, a fixed locale, no standard input and a time limit.
"""

from __future__ import annotations
