"""What exec commands of an IOS-like switch do: all but ``show`` and configuration."""

from __future__ import annotations

from rackwright_sim.ios_reply import Reply
from rackwright_sim.ios_session import IosSession

PASSWORD_TRIES = 3


def enable(session: IosSession) -> Reply | None:
    if session.privileged:
        return None
    if not session.device.options.enable:
        session.privileged = True
        return None
    return _ask_secret(session, PASSWORD_TRIES)


def _ask_secret(session: IosSession, tries: int) -> Reply:
    def answer(secret: str) -> Reply:
        if secret == session.device.options.enable:
            session.privileged = True
            return Reply()
        if tries > 1:
            return _ask_secret(session, tries - 1)
        return Reply("% Bad secrets\n\n")

    return Reply(question="Password: ", answer=answer, hidden=True)


def disable(session: IosSession) -> None:
    session.privileged = False


def logout(session: IosSession) -> Reply:
    return Reply(close=True)


def terminal_length(session: IosSession, lines: int) -> None:
    session.length = lines


def terminal_width(session: IosSession, columns: int) -> None:
    session.width = columns


def terminal_monitor(session: IosSession) -> None:
    session.monitor = True


def terminal_no_monitor(session: IosSession) -> None:
    session.monitor = False


def configure(session: IosSession) -> Reply:
    def answer(source: str) -> Reply:
        if "terminal".startswith(source.strip().lower()):
            return Reply(configure_terminal(session))
        return Reply('?Must be "terminal", "memory" or "network"\n')

    question = "Configuring from terminal, memory, or network [terminal]? "
    return Reply(question=question, answer=answer)


def configure_terminal(session: IosSession) -> str:
    session.enter("config")
    return "Enter configuration commands, one per line.  End with CNTL/Z.\n"


def write_memory(session: IosSession) -> Reply:
    def saved() -> Reply:
        session.device.save()
        return Reply("[OK]\n")

    pause = session.device.options.save_delay
    return Reply("Building configuration...\n", pause=pause, then=saved)


def copy_running_startup(session: IosSession) -> Reply:
    return Reply(
        question="Destination filename [startup-config]? ",
        answer=lambda name: (
            write_memory(session)
            if name.strip() in ("", "startup-config")
            else Reply("%Error opening nvram:" + name.strip() + " (No such file or directory)\n")
        ),
    )


def write_erase(session: IosSession) -> Reply:
    def answer(line: str) -> Reply:
        if line.strip().lower() not in ("", "y"):
            return Reply()
        session.device.erase_startup()
        return Reply("[OK]\nErase of nvram: complete\n")

    question = (
        "Erasing the nvram filesystem will remove all configuration files! Continue? [confirm]"
    )
    return Reply(question=question, answer=answer)


def reload(session: IosSession) -> Reply:
    def confirmed(line: str) -> Reply:
        if line.strip().lower() in ("", "y"):
            session.device.reload()
            return Reply(cut=True)
        return Reply()

    proceed = Reply(question="Proceed with reload? [confirm]", answer=confirmed)

    def saved(line: str) -> Reply:
        word = line.strip().lower()
        if word and "yes".startswith(word):
            session.device.save()
            return Reply("Building configuration...\n[OK]\n", then=lambda: proceed)
        if word and "no".startswith(word):
            return proceed
        return Reply("% Please answer 'yes' or 'no'.\n", then=lambda: ask)

    question = "\nSystem configuration has been modified. Save? [yes/no]: "
    ask = Reply(question=question, answer=saved)
    return ask if session.device.unsaved() else proceed
