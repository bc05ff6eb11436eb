"""What tgtd does when it is told something: usr/target.c and usr/mgmt.c of tgt 1.0.85, in short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NO_TARGET, NO_LUN = 4, 5
TARGET_EXIST, LUN_EXIST = 9, 10
ACL_EXIST, ACL_NOEXIST, USER_EXIST, NO_USER, INVALID = 12, 13, 14, 15, 17
"""``enum tgtadm_errno``."""
ERRORS = {
    NO_TARGET: "can't find the target",
    NO_LUN: "can't find the logical unit",
    TARGET_EXIST: "this target already exists",
    LUN_EXIST: "this logical unit number already exists",
    ACL_EXIST: "this access control rule already exists",
    ACL_NOEXIST: "this access control rule does not exist",
    USER_EXIST: "this account already exists",
    NO_USER: "can't find the account",
    INVALID: "invalid request",
}
NEW, DELETE, BIND, UNBIND = 0, 1, 3, 4
"""``enum tgtadm_op``."""

_TARGET = """\
Target {tid}: {iqn}
    System information:
        Driver: iscsi
        State: ready
    I_T nexus information:
    LUN information:
"""
_LUN = """\
        LUN: {number}
            Type: {type}
            SCSI ID: {scsi_id}
            SCSI SN: {scsi_sn}
            Size: {size}, Block size: {block}
            Online: Yes
            Removable media: No
            Prevent removal: No
            Readonly: {readonly}
            SWP: No
            Thin-provisioning: No
            Backing store type: {store}
            Backing store path: {path}
            Backing store flags: {flags}
"""


class TgtError(Exception):
    """It refuses, and ``code`` says why."""

    def __init__(self, code: int) -> None:
        super().__init__(ERRORS[code])
        self.code = code


class Tgtd:
    """The daemon: ``held`` is what it has in memory, ``sizes`` the files that it could open."""

    def __init__(self, held: dict[str, Any], sizes: Mapping[str, int]) -> None:
        self.targets: dict[str, dict[str, Any]] = held["targets"]
        self.accounts: dict[str, str] = held["accounts"]
        self._sizes = sizes

    def do(self, op: str, mode: str, options: Mapping[str, str]) -> str:
        """One tgtadm command; what it prints. Raises TgtError."""
        match op, mode:
            case "show", "target":
                return "".join(self._shown(iqn) for iqn in self._by_number())
            case "show", "account":
                names = reversed(self.accounts)
                return "Account list:\n" + "".join(f"    {name}\n" for name in names)
            case "stat", "target":
                return "tgt lun sid rd_subm(bytes,cmds) rd_done(bytes,cmds) errs\n"
            case "new", "target":
                self._new_target(int(options["--tid"]), options["--targetname"])
            case "delete", "target":
                self._target(options["--tid"])
                del self.targets[self._name(options["--tid"])]
            case (("bind" | "unbind"), "target"):
                self._admit(op, options)
            case _, "logicalunit":
                self._lun(op, options)
            case "delete", "account":
                self.account(DELETE, 0, f"user={options['--user']}")
            case _:
                raise TgtError(INVALID)
        return ""

    def account(self, op: int, tid: int, text: str) -> None:
        """One request about an account. Raises TgtError."""
        pairs = dict(part.split("=", 1) for part in text.split(",", 1))
        user = pairs["user"]
        if op == NEW:
            if user in self.accounts:
                raise TgtError(USER_EXIST)
            self.accounts[user] = pairs["password"]
            return
        if user not in self.accounts:
            raise TgtError(NO_USER)
        if op == DELETE:
            del self.accounts[user]
            for target in self.targets.values():
                target["accounts"] = [name for name in target["accounts"] if name != user]
            return
        bound = self._target(str(tid))["accounts"]
        if op == BIND:
            bound.append(user)
        elif user in bound:
            bound.remove(user)
        else:
            raise TgtError(NO_USER)

    def _by_number(self) -> list[str]:
        return sorted(self.targets, key=lambda iqn: int(self.targets[iqn]["tid"]))

    def _name(self, tid: str) -> str:
        for iqn, target in self.targets.items():
            if str(target["tid"]) == tid:
                return iqn
        raise TgtError(NO_TARGET)

    def _target(self, tid: str) -> dict[str, Any]:
        return self.targets[self._name(tid)]

    def _new_target(self, tid: int, iqn: str) -> None:
        if iqn in self.targets or any(one["tid"] == tid for one in self.targets.values()):
            raise TgtError(TARGET_EXIST)
        if not all(sign.isalnum() or sign in ":.-" for sign in iqn):
            raise TgtError(INVALID)
        new = {"tid": tid, "luns": {}, "accounts": [], "addresses": [], "initiators": []}
        self.targets[iqn] = new

    def _admit(self, op: str, options: Mapping[str, str]) -> None:
        target = self._target(options["--tid"])
        by_name = "--initiator-name" in options
        listed = target["initiators" if by_name else "addresses"]
        entry = options["--initiator-name" if by_name else "--initiator-address"]
        if op == "bind":
            if entry in listed:
                raise TgtError(ACL_EXIST)
            listed.append(entry)
        elif entry in listed:
            listed.remove(entry)
        else:
            raise TgtError(ACL_NOEXIST)

    def _lun(self, op: str, options: Mapping[str, str]) -> None:
        target, number = self._target(options["--tid"]), options["--lun"]
        luns = target["luns"]
        if op == "new":
            path = options["--backing-store"]
            if number in luns or number == "0":
                raise TgtError(LUN_EXIST)
            if path not in self._sizes:
                raise TgtError(INVALID)
            scsi_id = f"IET     {target['tid']:04x}{int(number):04x}"
            luns[number] = {
                "path": path,
                "size": self._sizes[path],
                "readonly": "0",
                "scsi_id": scsi_id,
                "scsi_sn": f"beaf{target['tid']}{number}",
            }
            return
        if number not in luns:
            raise TgtError(NO_LUN)
        if op == "delete":
            del luns[number]
        elif op == "update":
            given = dict(part.split("=", 1) for part in options["--params"].split(","))
            given.pop("online", None)
            if "path" in given:
                luns[number]["size"] = self._sizes[given["path"]]
            luns[number].update(given)
        else:
            raise TgtError(INVALID)

    def _shown(self, iqn: str) -> str:
        target = self.targets[iqn]
        tid = target["tid"]
        controller = {"scsi_id": f"IET     {tid:04x}0000", "scsi_sn": f"beaf{tid}0", "path": "None"}
        rows = [_LUN.format(number=0, type="controller", size="0 MB", block=1, readonly="No", store="null", flags="", **controller)]  # fmt: skip
        for number in sorted(target["luns"], key=int):
            lun = target["luns"][number]
            rows.append(
                _LUN.format(
                    number=number,
                    type="disk",
                    scsi_id=lun["scsi_id"],
                    scsi_sn=lun["scsi_sn"],
                    size=_megabytes(lun["size"]),
                    block=512,
                    readonly="Yes" if lun["readonly"] == "1" else "No",
                    store="rdwr",
                    path=lun["path"],
                    flags="",
                )
            )
        accounts = "".join(f"        {name}\n" for name in target["accounts"])
        entries = [*target["addresses"], *target["initiators"]]
        acl = "".join(f"        {entry}\n" for entry in entries)
        head = _TARGET.format(tid=tid, iqn=iqn)
        tail = f"    Account information:\n{accounts}    ACL information:\n{acl}"
        return head + "".join(rows) + tail


def _megabytes(size: int) -> str:
    """``print_disksize``."""
    sectors = size // 512
    return f"{(sectors - (sectors // 625 - 974)) // 1950} MB"
