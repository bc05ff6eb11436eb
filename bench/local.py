"""Local converge: 200 templated files, 20 directories, 5 users; the second run, start-up included.

Ours beside CFEngine and Puppet, where they are installed, doing the same work on the same host. Ours runs
without a store, from the site's files. Needs root for the users; without it they are left out for all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.measure import Progress, alternate, once, plain

FILES, DIRECTORIES, USERS = 200, 20, 5
RUNS = 15
WHO = ("rackwright", "cfengine", "puppet")
SETTLED = 2.5
"""Seconds after which the site's and the facts' times can be trusted, so that the second run need not
compile the site: until then it may have changed twice within one tick of the clock."""


def text(number: int) -> str:
    """What the template of file ``number`` gives."""
    return "".join(f"setting_{line} = value {number} on bench1\n" for line in range(20))


def ours(base: Path, users: list[str]) -> list[str]:
    """A site that declares it, and the command that converges it."""
    site, target = base / "site", base / "rackwright"
    site.mkdir(parents=True)
    target.mkdir()
    (site / "file.j2").write_text(
        "{% for line in range(20) %}setting_{{ line }} = value {{ number }} on {{ node.name }}\n{% endfor %}"
    )
    accounts = (
        "  - user: '{{ name }}'\n    each: name in users\n    shell: /bin/sh\n    home: '/home/{{ name }}'\n"
        if users
        else ""
    )
    (site / "site.yaml").write_text(
        f"""site: bench
---
node: bench1
type: server
---
role: many
for: [server]
attributes: {{users: {{type: array}}, base: {{type: string}}}}
resources:
  - directory: '{{{{ base }}}}/d{{{{ n }}}}'
    each: n in range({DIRECTORIES})
    mode: '0755'
  - file: '{{{{ base }}}}/d{{{{ number % {DIRECTORIES} }}}}/f{{{{ number }}}}'
    each: number in range({FILES})
    content: "{{{{ template('file.j2') }}}}"
    mode: '0644'
{accounts}---
proposal: bench
attributes: {{users: [{", ".join(users)}], base: {target}}}
deploy: {{many: [bench1]}}
"""
    )
    script = Path(sys.executable).with_name("rackwright")
    return [
        str(script), "agent", "--once", "--node", "bench1",
        "--site", str(site), "--state", str(base / "state"),
    ]  # fmt: skip


def cfengine(base: Path, users: list[str]) -> list[str] | None:
    """The same as a CFEngine policy."""
    program = shutil.which("cf-agent")
    if not program:
        return None
    target = base / "cfengine"
    target.mkdir(parents=True)
    template = base / "file.mustache"
    template.write_text("{{#lines}}setting_{{.}} = value {{number}} on bench1\n{{/lines}}")
    lines = ", ".join(f'"{n}"' for n in range(20))
    promises = "\n".join(
        f'    "{target}/d{n % DIRECTORIES}/f{n}" create => "true", edit_template => "{template}",'
        f' template_method => "mustache", template_data => \'{{"number": {n}, "lines": [{lines.replace(chr(34), chr(34))}]}}\','
        f' perms => m("0644");'
        for n in range(FILES)
    )
    directories = "\n".join(
        f'    "{target}/d{n}/." create => "true", perms => m("0755");' for n in range(DIRECTORIES)
    )
    accounts = "".join(
        f'    "{name}" policy => "present", shell => "/bin/sh", home_dir => "/home/{name}";\n'
        for name in users
    )
    policy = base / "bench.cf"
    policy.write_text(
        'body common control { bundlesequence => { "main" }; }\n'
        'body perms m(mode) { mode => "$(mode)"; }\n'
        f"bundle agent main {{\n  files:\n{directories}\n{promises}\n"
        + (f"  users:\n{accounts}" if users else "")
        + "}\n"
    )
    policy.chmod(0o600)
    return [program, "--no-lock", "--inform", "-f", str(policy)]


def puppet(base: Path, users: list[str]) -> list[str] | None:
    """The same as a Puppet manifest."""
    program = shutil.which("puppet")
    if not program:
        return None
    target = base / "puppet"
    target.mkdir(parents=True)
    template = base / "file.epp"
    template.write_text(
        "<%- | Integer $number | -%>\n<% Integer[0, 19].each |$line| { -%>\n"
        "setting_<%= $line %> = value <%= $number %> on bench1\n<% } -%>\n"
    )
    manifest = base / "bench.pp"
    manifest.write_text(
        f"Integer[0, {DIRECTORIES - 1}].each |$n| {{ file {{ \"{target}/d${{n}}\": ensure => directory, mode => '0755' }} }}\n"
        f"Integer[0, {FILES - 1}].each |$n| {{\n"
        f"  $d = $n % {DIRECTORIES}\n"
        f"  file {{ \"{target}/d${{d}}/f${{n}}\": ensure => file, mode => '0644',"
        f" content => epp('{template}', {{ 'number' => $n }}) }}\n}}\n"
        + "".join(
            f"user {{ '{name}': ensure => present, shell => '/bin/sh', home => '/home/{name}' }}\n"
            for name in users
        )
    )
    return [
        program, "apply", "--confdir", str(base / "pc"), "--vardir", str(base / "pv"), str(manifest),
    ]  # fmt: skip


def check(base: Path, who: str) -> None:
    """All did the work that they are timed for."""
    for number in range(FILES):
        path = base / who / f"d{number % DIRECTORIES}" / f"f{number}"
        if path.read_text() != text(number):
            raise RuntimeError(f"{who} did not write {path} as asked")


MAKERS = {"rackwright": ours, "cfengine": cfengine, "puppet": puppet}


def run(
    progress: Progress,
    *,
    quick: bool = False,
    who: tuple[str, ...] = WHO,
    accounts: bool = True,
) -> dict[str, Any]:
    """First and second runs, and the start-up of the command alone. ``quick``: two runs of each.

    ``accounts``: users too, where we are root.
    """
    users = [f"rwbench{n}" for n in range(USERS)] if accounts and os.geteuid() == 0 else []
    runs = 2 if quick else RUNS
    script = str(Path(sys.executable).with_name("rackwright"))
    with tempfile.TemporaryDirectory(prefix="rw-bench-") as name:
        base = Path(name)
        # As an installed product runs: its modules compiled once, by the first run, not at every start.
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(base / "compiled")}
        try:
            wanted = {one: MAKERS[one](base, users) for one in who}
            commands = {one: argv for one, argv in wanted.items() if argv}
            first = {}
            for one, argv in commands.items():
                first[one] = once(argv, env=compiled)
                check(base, one)
            time.sleep(SETTLED)
            second = alternate(commands, runs, env=compiled)
            for one in commands:
                check(base, one)
        finally:
            for user in users:
                subprocess.run(["userdel", user], capture_output=True, check=False)
        start = alternate(
            {"help": [script, "--help"], "bare python": [sys.executable, "-c", "pass"]},
            runs,
            env=compiled,
        )
    for one, figure in {**second, **start}.items():
        progress(f"{one:12} {figure.wall:.3f} s ({figure.cpu:.3f} CPU) {figure.peak:.0f} MiB")
    return {
        "name": "local",
        "what": f"{FILES} templated files, {DIRECTORIES} directories, {len(users)} users",
        "first": {one: plain(figure) for one, figure in first.items()},
        "second": {one: plain(figure) for one, figure in second.items()},
        "start": {one: plain(figure) for one, figure in start.items()},
        "missing": sorted(set(wanted) - set(commands)),
    }
