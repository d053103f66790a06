"""The option ``--precision``: which runs may be asked for one, and which results it makes out of date."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shared.base.errors import UserError
from shared.runs import api, config, ledger


def of(run: config.Run, wish: str | None) -> str:
    """The precision to compute a run in: the wish, else the setting of that name, else float32.

    Raises:
        UserError: if the wish would go unrecorded (precision is one of the run's settings, and the wish is
            another) or unheard (nothing in the settings says that the experiment takes the option).
    """
    declared = getattr(run.settings, "precision", None)
    if wish and declared and wish != declared:
        raise UserError(
            f"{run.paper}/{run.experiment}: precision is a setting here ({declared}); "
            "change it in experiments.yaml, not by option"
        )
    if wish and not declared and not _takes_option(run):
        raise UserError(
            f"{run.paper}/{run.experiment}: the arm {run.arm} does not look at --precision; "
            "leave the option out, or name experiments that train networks"
        )
    return wish or declared or "float32"


def _takes_option(run: config.Run) -> bool:
    """What ``Settings.takes_precision()`` says; without it no: a record must not claim what nobody did."""
    return hasattr(run.settings, "takes_precision") and bool(run.settings.takes_precision())


def check(runs: Iterable[config.Run], wish: str | None) -> None:
    """Refuse a wish that one of the runs cannot follow, before any is computed.

    Raises:
        UserError: saying which, and what to do.
    """
    for run in runs:
        of(run, wish)


def check_device(wish: str | None, device: str) -> None:
    """Refuse what the device does not compute, or nobody knows: it would be recorded, and float32 computed.

    Raises:
        UserError: saying why, see `api.refusal`.
    """
    if wish and (why := api.refusal(wish, device)):
        raise UserError(why)


def possible(run: config.Run, wish: str | None, device: str, log: Callable[[str], None]) -> str:
    """The precision a run is computed in on this device: `of`, or float32 where a CPU would emulate bf16.

    A run that only declares bf16 is then trained in float32, which is more exact, several times as fast, and
    said in the log and in the record; the option is a wish for bf16 itself, and is refused by the training.
    """
    precision = of(run, wish)
    if precision != "bf16" or wish or device != "cpu" or api.bf16_is_native(device):
        return precision
    log(f"{run.paper}/{run.experiment}: this processor has no bf16 arithmetic; training in float32")
    return "float32"


def is_wanted(run: config.Run, wish: str | None, known: ledger.Ledger) -> bool:
    """Whether a run has no valid result, or none at the precision that was asked for by name.

    Precision does not enter a run's identity, so that a result at any precision is valid to whoever asks
    for none.

    Args:
        run: which.
        wish: the precision asked for.
        known: the ledger of its paper; to bring it up to date costs a look at each of its files.
    """
    stale = bool(known.why_stale(run))
    if stale or wish is None:
        return stale
    record = known.record(run)
    return record is None or record.environment.get("precision") != wish
