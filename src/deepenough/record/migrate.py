"""Records of format 1, which version 0.1.0 wrote, as format 2."""

from __future__ import annotations

from typing import Any

Content = dict[str, Any]
ROLES = {"ladder": "search space", "look-ahead": "scout"}
STATES = {"hopeless": "pruned"}


def migrate(content: Content) -> Content:
    """Bring a record of format 1 to format 2: keys and words are renamed, nothing that was measured is lost.

    Texts stay as they were written. A training has no `fold` and `seed` any more (its place in the list and its
    candidate have them), and `waited` is in seconds.
    """
    record = {**content, "format": 2, "search_space": content["ladder"], "probing": content.get("sounding")}
    del record["ladder"]
    record.pop("sounding", None)
    if record.get("plan"):
        record["plan"] = _renamed(record["plan"], rungs="architectures")
    if record["probing"]:
        record["probing"] = _renamed(record["probing"], places="probes")
    record["candidates"] = [_candidate(candidate) for candidate in content.get("candidates", [])]
    if record.get("decision"):
        record["decision"] = _renamed(record["decision"], candidate="chosen", target="target_checks")
    if record.get("cost"):
        record["cost"] = _renamed(record["cost"], whole_ladder="whole_space", share_of_ladder="share_of_space")
    return record


def _candidate(candidate: Content) -> Content:
    return {
        **candidate,
        "role": ROLES.get(candidate["role"], candidate["role"]),
        "state": STATES.get(candidate["state"], candidate["state"]),
        "trainings": [_training(training) for training in candidate["trainings"]],
    }


def _training(training: Content) -> Content:
    kept = {key: value for key, value in training.items() if key not in ("fold", "seed")}
    return kept | {
        "waited": training.get("waited", 0.0) * training["seconds"],
        "ended": STATES.get(training["ended"], training["ended"]),
    }


def _renamed(content: Content, **keys: str) -> Content:
    """The same values, some of them under another key."""
    return {keys.get(key, key): value for key, value in content.items()}
