"""Parameters that would do nothing where they are set: that is refused, or told if they may come to do something.

Nobody should turn a knob in vain.
"""

from collections.abc import Iterable, Mapping

from .errors import BadInput
from .parameters import PARAMETERS
from .settings import GROUPS, STEMS, Settings


def refuse_idle(ids: Iterable[str], settings: Settings, *, singer: bool = False) -> None:
    """Raise `BadInput` for a parameter that moves nothing in an engine of `settings`, with or without a `singer`."""
    for id in ids:
        why = why_idle(id, settings, singer)
        if why:
            raise BadInput(f"{id} does nothing {why}.")


def why_idle(id: str, settings: Settings, singer: bool) -> str | None:
    """The rest of a sentence of a parameter that does nothing; None for one that does something."""
    owner, faders = id.rpartition(".")[0], (*settings.stems, *settings.groups)
    if id == "key.semitones" and not settings.transpose:
        return "here: rtsep karaoke changes the key (in Python, Settings(transpose=True) lets it be changed)"
    if owner == "microphone" and not singer:
        return "without a microphone: rtsep karaoke has one, unless it is --mic none"
    if owner == "templates" and settings.templates is None and not settings.learn:
        return "without templates: add --templates, or --learn to rtsep live"
    if owner == "melody" and not settings.melody:
        return "where no melody is followed, as in the mode offline: take another mode"
    if id in {f"{stem}.{what}" for stem in (*STEMS, *GROUPS) for what in ("gain_db", "mute", "solo")}:
        return None if owner in faders else f"here: the stems are {', '.join(faders)}"
    if (id == "masks" or owner == "hpss") and not {*STEMS[:-1]} & {*faders}:
        return "where templates explain the whole mix, without masks: let them split a stem, --splits percussive"
    return None


def worth_showing(id: str, settings: Settings, *, singer: bool = False) -> bool:
    """Whether a parameter belongs where only what does something is shown; without a singer nothing ducks the lead."""
    return why_idle(id, settings, singer) is None and (singer or id != "melody.duck")


def moves_the_mix_alone(id: str, settings: Settings) -> bool:
    """Whether a parameter is heard in the mix of the stems, and not in them."""
    owner = id.rpartition(".")[0]
    of_faders = owner in (*settings.stems, *settings.groups) and id.endswith((".gain_db", ".mute", ".solo"))
    return (
        of_faders or owner in ("output", "limiter", "key", "microphone") or id in ("bypass", "limiter", "melody.duck")
    )


def idle_for_now(values: Mapping[str, float | str], settings: Settings, *, limiter: bool) -> list[str]:
    """Sentences for those of `values` that do nothing while others stay as they are; `limiter`: whether it is on."""
    learned = PARAMETERS["masks"].check(values.get("masks", settings.masks)) == 1
    limiter = PARAMETERS["limiter"].check(values.get("limiter", float(limiter))) == 1
    told = []
    for id in values:
        if learned and id.startswith("hpss."):
            told.append(f"{id} does nothing with learned masks: add --set masks=classic.")
        elif not learned and id == "melody.lead":
            told.append(f"{id} does nothing with classic masks: add --set masks=learned.")
        elif not limiter and id == "limiter.ceiling_db":
            told.append(f"{id} does nothing without the limiter: add --set limiter=on.")
    return told
