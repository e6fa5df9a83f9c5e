"""What a `train` line starts from: a preset, --config, a run, and the kinds it chooses."""

import dataclasses
import json

import pytest

import depthsi
from depthsi.cli import VERBS, main
from depthsi.commands.settings import as_flags, read_start
from depthsi.config import (
    AdamWConfig,
    Folder,
    HourglassConfig,
    Prepared,
    TwoScaleConfig,
    UNetConfig,
)
from depthsi.config_json import config_from_dict, to_dict
from depthsi.config_kinds import KINDS, field_names, with_kind
from depthsi.errors import DepthsiError
from depthsi.presets import PRESETS, kitti, nyu, rooms
from depthsi.runs import RunDirectory


def printed(words, capsys):
    """The settings that `depthsi config` prints."""
    main(["config", *words])
    return config_from_dict(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("name", PRESETS)
def test_config_prints_a_preset(name, capsys):
    assert printed([name], capsys) == PRESETS[name]()


def test_kinds_bring_their_options(capsys):
    config = printed(["rooms", "--data.kind", "folder", "--data.root", "pairs"], capsys)
    assert config == dataclasses.replace(rooms(), data=Folder(root="pairs"))
    words = ["kitti", "--model.kind=unet", "--model.size", "small", "--optim.kind", "adamw"]
    config = printed(words, capsys)
    assert config.model == UNetConfig(geometry="kitti", size="small")
    assert config.optim == AdamWConfig()
    config = printed(["rooms", "--model.kind", "two_scale", "--model.width", "0.5"], capsys)
    assert isinstance(config.model, TwoScaleConfig)
    assert (config.model.width, config.model.initialisers) == (0.5, "scaled")


def test_another_kind_keeps_what_both_have():
    start = dataclasses.replace(
        rooms(),
        model=dataclasses.replace(rooms().model, fine_input_mean=90.0, geometry="kitti"),
        data=Folder(root="pairs", workers=3, on_bad="skip"),
    )
    model = with_kind(start, "model", "hourglass").model
    assert isinstance(model, HourglassConfig)
    assert (model.kind, model.geometry, model.log_mean) == ("hourglass", "kitti", 1.07)
    assert model.input_mean == 90.0
    data = with_kind(start, "data", "prepared").data
    assert isinstance(data, Prepared)
    assert (data.kind, data.root, data.workers, data.on_bad) == ("prepared", "pairs", 3, "skip")
    optim = with_kind(start, "optim", "adamw").optim
    assert isinstance(optim, AdamWConfig)
    assert (optim.rate_schedule, optim.warmup) == ("cosine", 20)
    assert (optim.learning_rate, optim.weight_decay) == (1e-3, 1e-2)
    assert with_kind(start, "optim", "muon") is start


OTHERS = [
    (preset, section, kind, name)
    for preset in ("rooms", "nyu")
    for section, kinds in KINDS.items()
    for kind in kinds
    for name in sorted({name for each in kinds.values() for name in field_names(each)})
    if name not in field_names(kinds[kind])
]


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "section", "kind", "name"), OTHERS)
def test_an_option_of_another_kind_is_refused(preset, section, kind, name):
    option = f"--{section}.{name.replace('_', '-')}"
    with pytest.raises(DepthsiError, match=f"{option} is not an option of --{section}.kind {kind}"):
        read_start([preset, "--run", "x", f"--{section}.kind", kind, option, "1"])
    other = next(k for k, each in KINDS[section].items() if name in field_names(each))
    read_start([preset, "--run", "x", f"--{section}.kind", other, option, "1"])


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("augment.jpeg_quality is 0; it", "--augment.jpeg-quality is 0; it"),
        ("set it to 0, or unset data.resident.", "set it to 0, or unset --data.resident."),
        ("Lower optim.learning_rate, set optim.clip", "Lower --optim.learning-rate, set --optim."),
        ("leave out --data.val-share", "leave out --data.val-share"),
        ("Process 1 was started with data.root = 'a', not 'b'", "Process 1 was started with data"),
        ("runs/model.width, /x/data.root and data.root/y", "runs/model.width, /x/data.root and da"),
        ("data.npz is damaged", "data.npz is damaged"),
    ],
)
def test_messages_name_settings_as_flags(message, shown):
    assert as_flags(message).startswith(shown)
    assert as_flags(as_flags(message)) == as_flags(message)


def test_a_refused_setting_is_named_as_it_is_typed(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["config", "tiny", "--augment.jpeg-quality", "0"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("depthsi: --augment.jpeg-quality is 0; it must be")


def test_the_case_that_trained_on_rooms_without_a_word(capsys, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(SystemExit) as stopped:
        main(["train", "rooms", "--run", str(run), "--data.root", "MINE"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        "depthsi: --data.root is not an option of --data.kind rooms, but of folder and prepared:"
        " leave it out or add --data.kind folder.\n"
    )
    assert not run.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rooms", "--data.kind", "film"], "--data.kind is 'film'; choose one of rooms, folder"),
        (["rooms", "--model.kind"], "--model.kind needs a value"),
        (["rooms", "--config", "a.json"], "Both rooms and --config a.json are given"),
        (["--config", "nowhere.json"], "--config nowhere.json cannot be read"),
        (["--run", "x"], r"name a preset \(rooms, nyu, kitti, tiny\), give --config FILE"),
        (["--run", "rooms"], "name a preset"),
        (["--resume", "--run", "nowhere"], "nowhere is not a run"),
    ],
)
def test_what_cannot_be_a_start_is_refused(words, message):
    with pytest.raises(DepthsiError, match=message):
        read_start(words)


def test_a_preset_is_told_from_the_value_of_an_option():
    assert read_start(["--run", "rooms", "--resume", "tiny"]).rest[-1] == "tiny"
    start = read_start(["--data.kind", "folder", "--run", "nyu", "--data.resident", "kitti"])
    assert start.presets["kitti"].data.kind == "folder"
    assert start.rest == ["--run", "nyu", "--data.resident", "kitti"]


def test_a_file_with_changes(tmp_path, capsys):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(to_dict(kitti())))
    config = printed(["--config", str(file), "--seed", "4"], capsys)
    assert config == dataclasses.replace(kitti(), seed=4)
    config = printed(["--config", str(file), "--optim.kind", "adamw"], capsys)
    assert (config.optim.kind, config.model) == ("adamw", kitti().model)
    file.write_text(json.dumps({"format": 99}))
    with pytest.raises(SystemExit):
        main(["train", "--config", str(file), "--run", str(tmp_path / "run")])
    assert "--config" in capsys.readouterr().err


def test_resume_needs_nothing_but_the_run(tmp_path):
    RunDirectory(tmp_path / "run").create(nyu())
    start = read_start(["--run", str(tmp_path / "run"), "--resume"])
    assert start.settings == nyu()
    start = read_start([f"--run={tmp_path / 'run'}", "--resume"])
    assert start.settings == nyu()
    assert read_start(["nyu", "--run", str(tmp_path / "run"), "--resume"]).settings is None


def test_a_misspelt_command_names_the_one_that_was_meant(capsys):
    for word, words in (
        ("trian", "There is no command 'trian'; did you mean 'train'?"),
        ("photo.jpg", "the commands are prepare, train,"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([word])
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err


def test_the_commands_are_those_of_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "{" + ",".join(VERBS) + "}" in capsys.readouterr().out.replace("\n", "")


def test_the_version(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"depthsi {depthsi.__version__}\n"
