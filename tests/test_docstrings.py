"""What public docstrings promise: arguments written out, examples that run."""

import doctest
import importlib
import inspect
import re

import pytest

MODULES = (
    *("depthsi", "depthsi.data", "depthsi.evaluation", "depthsi.models", "depthsi.training"),
    "depthsi.viz",
    *("depthsi.losses", "depthsi.metrics", "depthsi.metrics.bootstrap", "depthsi.metrics.compare"),
    *("depthsi.metrics.alignment", "depthsi.metrics.regions", "depthsi.metrics.baselines"),
    *("depthsi.metrics.protocols", "depthsi.metrics.clamping", "depthsi.valid"),
)
SETTINGS = ("CustomData", "EvaluationRequest", "Folder", "Prepared")  # as those called ...Config
each_module = pytest.mark.parametrize("name", MODULES)


def public(name):
    """Functions and classes that a package lists, or else those that a module defines.

    Settings are not among them: their fields have the help of the command line.
    """
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None) or [
        key
        for key, each in vars(module).items()
        if not key.startswith("_") and getattr(each, "__module__", None) == name
    ]
    names = [key for key in names if not key.endswith("Config") and key not in SETTINGS]
    found = {key: getattr(module, key) for key in names}
    return {key: each for key, each in found.items() if is_function(each) or is_plain_class(each)}


def is_plain_class(member):
    return inspect.isclass(member) and not issubclass(member, Exception)


def is_function(member):
    return inspect.isfunction(inspect.unwrap(member))


def with_methods(name):
    """(title, member) of the public ones and of the public methods that a class defines."""
    for title, member in public(name).items():
        yield title, member
        if inspect.isclass(member):
            for key, each in vars(member).items():
                method = getattr(each, "__func__", each)  # of a class method
                own = getattr(method, "__module__", None) == member.__module__
                own &= key not in getattr(member, "__dataclass_fields__", ())  # nor a default value
                if own and is_function(method) and not key.startswith("_"):
                    yield f"{title}.{key}", method


def examples(title, member):
    text = inspect.getdoc(member) or ""
    return doctest.DocTestParser().get_doctest(text, {}, title, None, None)


@pytest.mark.slow
@each_module
def test_examples_run(name):
    for title, member in with_methods(name):
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
        assert runner.run(examples(title, member), out=report.append).failed == 0, "".join(report)


@each_module
def test_every_public_function_has_an_example(name):
    assert public(name)
    for title, member in public(name).items():
        assert examples(title, member).examples, title


@each_module
def test_arguments_are_written_out(name):
    for title, member in with_methods(name):
        text = inspect.getdoc(member) or ""
        assert text, title
        assert not re.search(r"\b(arguments|errors|result)\b.* as for", text, re.IGNORECASE), title
        if is_function(member):
            given = set(inspect.signature(member).parameters) - {"self", "cls"}
            described = re.findall(r"^  (\w+): ", text, re.MULTILINE)
            assert given <= set(described), title


def test_every_loss_names_its_source():
    """A link to the paper that has the formula; what only counts and adds has none to name."""
    for title, member in public("depthsi.losses").items():
        if title not in ("valid_count", "weigh_images", "ResidualMoments", "in_space"):
            assert re.search(r"https://(arxiv|doi)\.org/", inspect.getdoc(member) or ""), title
