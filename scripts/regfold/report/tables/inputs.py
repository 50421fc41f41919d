"""Tables of the inputs: data, settings, and the versions, devices and seeds of the networks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from regfold.formatting import duration, first_few
from regfold.report.tables.table import MOST_LINES, Table
from regfold.results.study import Study

MOST_UNSEEN, MOST_NAMES = 20, 8
MOST_STRENGTHS = 4


def columns(study: Study) -> Table:
    """A line per feature column: what was read, and what was filled in."""
    imputed: dict[str, list[int]] = {}
    for cell in study.network_cells:
        for name, number in cell["preprocessing"]["imputed"].items():
            imputed.setdefault(name, []).append(number)
    lines = []
    for column in study.schema["columns"][:MOST_LINES]:
        filled = imputed.get(column["name"], [])
        levels = [level if level is not None else "(missing)" for level in column["levels"] or []]
        shown = ", ".join(levels[:8]) + f", … ({len(levels)})" * (len(levels) > 8)
        extent = (
            f"{min(filled)} to {max(filled)}"
            if filled and min(filled) < max(filled)
            else f"{(*filled, 0)[0]}"
        )
        treated = f"median of the training rows, {extent} per fold" if filled else ""
        missing = str(column["n_missing"] or "–")
        lines.append([column["name"], column["kind"], str(column["width"]), missing, treated, shown])
    more = len(study.schema["columns"]) - MOST_LINES
    return Table(
        ["feature column", "kind", "inputs", "missing", "filled in with", "levels"],
        lines,
        text=(0, 1, 4, 5),
        note=f"{more:,} more columns in prepared/schema.json." if more > 0 else "",
    )


def unseen(study: Study) -> list[str]:
    """Levels that only held-out rows have, so that the network could learn nothing about them."""
    where: dict[tuple[str, str], set[str]] = {}
    for cell in study.network_cells:
        for column, levels in cell["preprocessing"]["unseen"].items():
            for level in levels:
                where.setdefault((column, str(level)), set()).add(f"{cell['repeat']}-{cell['fold']}")
    lines = [
        f"{column} = {level}: no training row has it in fold {first_few(sorted(cells), MOST_NAMES)}"
        for (column, level), cells in sorted(where.items())
    ]
    more = len(lines) - MOST_UNSEEN
    return lines if more <= 1 else [*lines[:MOST_UNSEEN], f"{more:,} more levels that a fold has not seen"]


def left_out(study: Study) -> list[str]:
    """The columns that are not features, by reason, without the targets."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in study.schema["left_out"].items():
        if reason != "target":
            by_reason.setdefault(reason, []).append(name)
    return [f"Left out: {first_few(names, MOST_NAMES)} ({reason})" for reason, names in by_reason.items()]


def settings(study: Study) -> Table:
    """A line per setting that all networks share."""
    by_model, shared = _settings(study)
    values = next(iter(by_model.values()))
    lines = [[key, values[key]] for key in shared]
    lines += [["split." + key, str(value)] for key, value in study.split.items() if value is not None]
    return Table(["setting", "value"], lines, text=range(2))


def differing_settings(study: Study) -> Table:
    """A line per network, and a column per setting that they do not share."""
    by_model, shared = _settings(study)
    keys = [
        key for key in dict.fromkeys(key for own in by_model.values() for key in own) if key not in shared
    ]
    lines = [[model, *(own.get(key, "–") for key in keys)] for model, own in by_model.items()]
    return Table(["model", *keys], lines if keys else [], text=range(len(keys) + 1))


def _settings(study: Study) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Each network's settings, see `flatten`, and the keys of those that all share."""
    by_model = {model: flatten(study.cells[model][0]["settings"]) for model in study.networks}
    first, *others = by_model.values()
    return by_model, [key for key, value in first.items() if all(own.get(key) == value for own in others)]


def flatten(values: Mapping, prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted keys and text: `penalty.kernel.l1` -> `0.0001`."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = _setting(value)
    return flat


def _setting(value: object) -> str:
    if isinstance(value, list) and len(value) > MOST_STRENGTHS and isinstance(value[0], float):
        return f"{len(value)} from {min(value):g} to {max(value):g}"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def provenance(study: Study) -> list[tuple[str, str]]:
    """Versions, devices, times and code of the networks' cells; values that differ with their counts."""
    cells = study.network_cells
    found = [
        (name, _counted([str(cell["versions"].get(name, "–")) for cell in cells]))
        for name in dict.fromkeys(name for cell in cells for name in cell["versions"])
    ]
    own = {
        name: version
        for baseline in study.baselines
        for name, version in study.cells[baseline][0]["versions"].items()
    }
    found += [(name, version) for name, version in own.items() if name not in dict(found)]
    found.append(
        ("device", _counted([f"{c['device']['kind']} {c['device']['name'] or ''}".strip() for c in cells]))
    )
    times = [cell["times"] for cell in cells]
    started = min(datetime.fromisoformat(time["started"]) for time in times)
    finished = max(datetime.fromisoformat(time["finished"]) for time in times)
    found.append(
        ("trained", f"{started:%Y-%m-%d %H:%M} to {finished:%Y-%m-%d %H:%M} ({started.tzname() or 'local'})")
    )
    training = sum(time["seconds_training"] or 0 for time in times)
    total = sum(time["seconds_total"] or 0 for time in times)
    found.append(("time", f"{duration(total)} over all jobs, {duration(training)} of it training"))
    resumed = sum(bool(cell["resumed_from"]) for cell in cells)
    if resumed:
        found.append(("resumed", f"{resumed} of {len(cells)} cells went on from a checkpoint"))
    found.append(("code", _counted([str(cell["digests"]["code"])[:12] for cell in cells])))
    notes = dict.fromkeys(cell["activity_note"] for cell in cells if cell.get("activity_note"))
    return found + [("activity penalty", note) for note in notes]


def _counted(values: Sequence[str]) -> str:
    counts = Counter(values)
    if len(counts) == 1:
        return values[0]
    return ", ".join(f"{value} ({number} cells)" for value, number in counts.most_common())
