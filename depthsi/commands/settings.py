"""The settings that a `train` or `config` command starts from, before its options are parsed.

A command names a preset, the settings of a run with `--config FILE`, or a run to `--resume`. It may
also select another kind of data, network, loss or optimiser, which has its own options.
"""

import dataclasses
import itertools
import json
import re
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from depthsi.config import Config
from depthsi.config_json import config_from_dict
from depthsi.config_kinds import KINDS, field_names, with_kind
from depthsi.errors import DepthsiError
from depthsi.presets import PRESETS

DEFAULTS = {name: make() for name, make in PRESETS.items()}


class Start(NamedTuple):
    """The settings to start from.

    Attributes:
      presets: all presets by name, with the selected kinds.
      settings: settings of a file or a run, instead of a preset; None for a preset.
      rest: the words that remain to be parsed.
    """

    presets: dict[str, Config]
    settings: Config | None
    rest: list[str]


def read_start(words: Sequence[str]) -> Start:
    """Takes the words that determine the available options from a command line.

    Args:
      words: words of the command line after the command's name.

    Raises:
      DepthsiError: no such kind or file, a preset together with --config, or an option of a kind
        that is not selected.
    """
    rest = list(words)
    file = _take(rest, "--config")
    kinds = {section: _take(rest, f"--{section}.kind") for section in KINDS}
    preset = _preset(rest)
    if file and preset:
        raise DepthsiError(f"Both {preset} and --config {file} are given: leave out one of them.")
    settings = None
    if file:
        settings = _read(file)
    elif not preset and "--resume" in rest and (run := _value(rest, "--run")):
        from depthsi.runs import RunDirectory  # needs NumPy, which no other line does

        settings = RunDirectory(run).config()
    if settings is not None:
        settings = _with_kinds(settings, kinds)
    elif not preset and not {"-h", "--help"} & set(rest):
        names = ", ".join(PRESETS)
        raise DepthsiError(
            f"There are no settings to start from: name a preset ({names}), give --config FILE, or"
            " continue a run with --run DIR --resume."
        )
    presets = {name: _with_kinds(make(), kinds) for name, make in PRESETS.items()}
    chosen = settings if settings is not None else presets.get(preset)
    if chosen is not None:
        _refuse_options_of_other_kinds(rest, chosen)
    return Start(presets, settings, rest)


def _with_kinds(config: Config, kinds: dict[str, str | None]) -> Config:
    for section, kind in kinds.items():
        if kind is not None:
            config = with_kind(config, section, kind)
    return config


def _refuse_options_of_other_kinds(words: Sequence[str], config: Config) -> None:
    for word in words:
        section, _, name = word.partition("=")[0].removeprefix("--").partition(".")
        if not word.startswith("--") or section not in KINDS:
            continue
        field = name.replace("-", "_").removeprefix("no_")
        having = [kind for kind, each in KINDS[section].items() if field in field_names(each)]
        chosen = getattr(config, section).kind
        if having and chosen not in having:
            raise DepthsiError(
                f"--{section}.{name} is not an option of --{section}.kind {chosen}, but of"
                f" {' and '.join(having)}: leave it out or add --{section}.kind {having[0]}."
            )


def _read(file: str) -> Config:
    try:
        return config_from_dict(json.loads(Path(file).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise DepthsiError(f"--config {file} cannot be read ({error}).") from error
    except DepthsiError as error:
        raise DepthsiError(f"--config {file}: {error}") from error


def _take(words: list[str], option: str) -> str | None:
    """The last value of `option`, which is removed from `words`."""
    value = None
    for index in reversed(range(len(words))):
        if words[index] == option:
            if index + 1 == len(words):
                raise DepthsiError(f"{option} needs a value.")
            found = words.pop(index + 1)
        elif words[index].startswith(f"{option}="):
            found = words[index].partition("=")[2]
        else:
            continue
        words.pop(index)
        value = found if value is None else value
    return value


def _value(words: list[str], option: str) -> str | None:
    return _take(list(words), option)


def _preset(words: list[str]) -> str:
    """The preset that the command names; "" if there is none."""
    for before, word in itertools.pairwise(["", *words]):
        value_of_option = before.startswith("--") and "=" not in before and before not in _SWITCHES
        if word in PRESETS and not value_of_option:
            return word
    return ""


def _fields() -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Every setting of every kind, after the name of its section."""
    sections = {name: list(kinds.values()) for name, kinds in KINDS.items()}
    for name, hint in typing.get_type_hints(Config).items():
        if dataclasses.is_dataclass(hint):
            sections[name] = [hint]
    for section, classes in sections.items():
        for each in classes:
            for field in dataclasses.fields(each):
                yield section, field


def _switches() -> frozenset[str]:
    """Options that take no value."""
    found = {"--resume", "--tensorboard", "--dry-run"}
    for section, field in _fields():
        if field.type in (bool, "bool"):
            name = field.name.replace("_", "-")
            found |= {f"--{section}.{name}", f"--{section}.no-{name}"}
    return frozenset(found)


_SWITCHES = _switches()
_SETTING = re.compile(r"(?<![-\w./'\"])[a-z]+\.[a-z_0-9]+(?![\w./'\"]*[\w/'\"]| = )")


def as_flags(message: str) -> str:
    """A message of the library in which settings are written as flags: --data.min-depth.

    What was recorded of a run, as in "was started with data.root = ...", keeps its name.
    """
    known = {f"{section}.{field.name}" for section, field in _fields()}

    def flag(found: re.Match[str]) -> str:
        name = found[0]
        return f"--{name.replace('_', '-')}" if name in known else name

    return _SETTING.sub(flag, message)
