"""Read, never run: what the code and the configs of this project must not hold.

Code: nothing that executes what stands in a file (SECURITY.md), and imports that survive in a copy inside a bundle,
where a server loads the package under another name and unloads modules between requests. Configs: MONAI evaluates `$`
strings and imports any `_target_`, so ours are held to names and numbers, look-ups and one-liners.
"""

import ast
import configparser
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "common" / "noise2mask"
PLACES = ("common", "bundles", "benchmarks", "docs")
SOURCES = sorted(path for place in PLACES for path in (ROOT / place).rglob("*.py"))
CONFIGS = sorted(path for path in ROOT.glob("bundles/*/configs/**/*") if path.suffix in {".yaml", ".yml", ".json"})

CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}  # as plain names: network.eval() is another thing
MODULES = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
ATTRIBUTES = {"extractall", "system", "popen", "unsafe_load", "full_load", "unsafe_load_all", "full_load_all"}
DOTTED = {"yaml.load", "yaml.load_all", "torch.hub", "torch.package", "os.startfile"}
KEYWORDS = {"shell", "allow_pickle", "pickle_module"}  # any value but False

TARGETS = {"noise2mask", "monai", "torch", "ignite"}
LOOK_UPS = {  # all that `$` expressions take of modules
    "monai.handlers.from_engine",
    "monai.utils.set_determinism",
    "torch.channels_last",
    "torch.channels_last_3d",
    "torch.cuda.is_available",
    "torch.device",
    "torch.distributed.destroy_process_group",
    "torch.distributed.get_node_local_rank",
    "torch.distributed.get_rank",
    "torch.distributed.is_available",
    "torch.distributed.is_initialized",
    "torch.nn.SyncBatchNorm.convert_sync_batchnorm",
}
BUILTINS = {"abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "isinstance", "len", "list", "max", "min"}
BUILTINS |= {"print", "range", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip"}
NAMES = {"monai", "torch", "_reference"} | BUILTINS
REACHING = {"os", "sys", "subprocess", "builtins", "importlib", "optional_import", "locate", "instantiate", "open"}


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def everywhere(rule, paths: list[Path]) -> list[str]:
    """Each finding of rule(tree, path) as file:line: what."""
    found = ((path, node, what) for path in paths for node, what in rule(parse(path), path))
    return [f"{path.relative_to(ROOT)}:{node.lineno}: {what}" for path, node, what in found]


# What runs code from data


def unsafe(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from ((node, what) for what in unsafe_call(node))
        elif isinstance(node, ast.Import):
            yield from ((node, name.name) for name in node.names if name.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, what) for what in unsafe_from(node))
        elif isinstance(node, ast.Attribute) and (node.attr in ATTRIBUTES | MODULES or ast.unparse(node) in DOTTED):
            yield node, ast.unparse(node)
    yield from ((node, "torch.load without weights_only=True") for node in careless_loads(tree))


def unsafe_call(call: ast.Call) -> Iterator[str]:
    if isinstance(call.func, ast.Name) and call.func.id in CALLS:
        yield f"{call.func.id}()"
    for keyword in call.keywords:
        if keyword.arg in KEYWORDS and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
            yield f"{keyword.arg}={ast.unparse(keyword.value)}"


def unsafe_from(node: ast.ImportFrom) -> Iterator[str]:
    names = [f"{node.module}.{name.name}" for name in node.names]
    if (node.module or "").partition(".")[0] in MODULES:
        yield str(node.module)
    yield from (name for name in names if name in DOTTED | {"torch.load"} or name.split(".")[-1] in ATTRIBUTES)


def careless_loads(tree: ast.AST) -> Iterator[ast.AST]:
    """Every mention of torch.load that is no call with weights_only=True: handing the function on counts."""
    safe = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and says_weights_only(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load" and node not in safe:
            yield node


def says_weights_only(call: ast.Call) -> bool:
    values = [keyword.value for keyword in call.keywords if keyword.arg == "weights_only"]
    return any(isinstance(value, ast.Constant) and value.value is True for value in values)


def test_no_code_is_executed_from_data():
    assert SOURCES
    assert everywhere(lambda tree, path: unsafe(tree), SOURCES) == []


@pytest.mark.parametrize(
    "code",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "read = torch.load",
        "from torch import load",
        "import pickle",
        "from pickle import loads",
        "torch.serialization.pickle.load(file)",
        "torch.save(x, path, pickle_module=p)",
        "numpy.load(path, allow_pickle=True)",
        "eval(text)",
        "exec(text)",
        "__import__(name)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "archive.extractall(folder)",
        "yaml.load(text)",
        "torch.hub.load(repository, model)",
    ],
)
def test_unsafe_code_would_be_found(code):
    assert list(unsafe(ast.parse(code)))


@pytest.mark.parametrize("code", ["network.eval()", "torch.load(p, weights_only=True)", "np.load(p)", "re.compile(p)"])
def test_safe_code_is_left_alone(code):
    assert list(unsafe(ast.parse(code))) == []


# Imports that survive in a copy inside a bundle


def fragile_imports(tree: ast.Module, path: Path) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        if any(name.partition(".")[0] == "noise2mask" for name in names):
            yield node, "absolute import of noise2mask: a copy under another name would load the original"
        if "cli" in path.relative_to(PACKAGE).parts or path == PACKAGE / "__init__.py":
            continue
        if isinstance(node, ast.ImportFrom) and node.level > 0 and node not in tree.body:
            yield node, "relative import that is not at the top of the file: the module may be unloaded by then"
        if isinstance(node, (ast.Name, ast.Attribute)) and ast.unparse(node).endswith("import_module"):
            yield node, "import_module: import at the top of the file"


def test_package_imports_itself_relatively_and_at_the_top_of_files():
    assert everywhere(fragile_imports, sorted(PACKAGE.rglob("*.py"))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import noise2mask.files",
        "from noise2mask import files",
        "def f():\n    from . import files",
        "def f():\n    from noise2mask import files",
        "if x:\n    from ..files import load_plain",
        "importlib.import_module(name)",
    ],
)
def test_fragile_import_would_be_found(code):
    assert list(fragile_imports(ast.parse(code), PACKAGE / "data" / "some.py"))


# Configs


def load(path: Path):
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def strings(config, key: str = "") -> Iterator[tuple[str, str]]:
    """Every string of a config with its key, depth first."""
    if isinstance(config, dict):
        for name, value in config.items():
            yield from strings(value, str(name))
    elif isinstance(config, list):
        for value in config:
            yield from strings(value, key)
    elif isinstance(config, str):
        yield key, config


def in_configs(problem, select) -> list[str]:
    """problem(text) of every string with select(key, text), as file: text: what."""
    chosen = ((path, text) for path in CONFIGS for key, text in strings(load(path)) if select(key, text))
    found = ((path, text, problem(text)) for path, text in chosen)
    return [f"{path.relative_to(ROOT)}: {text!r}: {what}" for path, text, what in found if what]


def wrong_target(target: str) -> str:
    """Why a `_target_` is refused, or an empty string."""
    if target.startswith("$lambda "):
        return wrong_expression(target)
    root, *rest = target.split(".")
    if not rest:
        return "" if re.fullmatch(r"[A-Z]\w*", target) else "a MONAI class goes by its name, anything else by its path"
    if root not in TARGETS:
        return f"only {sorted(TARGETS)} are named in configs"
    if unsafe_names := [part for part in rest if part in ATTRIBUTES | MODULES | REACHING | {"load", "hub"}]:
        return f"{unsafe_names} runs or loads code"
    return "" if root != "noise2mask" or defines(rest[:-1], rest[-1]) else "there is no such thing in common/"


def defines(modules: list[str], name: str) -> bool:
    """Whether common/noise2mask/<modules>.py has this name at its top level, found without importing it."""
    path = PACKAGE.joinpath(*modules).with_suffix(".py")
    if not modules or not path.is_file():
        return False
    return any(name == getattr(node, "name", None) for node in parse(path).body)


def wrong_expression(text: str) -> str:
    """Why a `$` expression is refused, or an empty string."""
    code = re.sub(r"@\w*(?:::\w*)*", "_reference", text[1:])  # as MONAI does before it evaluates
    try:
        tree = ast.parse(code.strip())
    except SyntaxError as error:
        return f"no expression: {error.msg}"
    if "noise2mask" in code:
        return "our code is named by _target_ only: the packager renames no expressions"
    if re.search(r"__\w+__", code):
        return "a name with two underscores"
    if found := [what for _, what in unsafe(tree)] + [node.attr for node in attributes(tree) if node.attr in REACHING]:
        return f"{found} reaches out of the config"
    unknown = (free_names(tree) - NAMES) | (of_modules(tree) - LOOK_UPS)
    return f"{unknown}: not in the lists of known names" if unknown else ""


def wrong_macro(text: str) -> str:
    """Why a `%` macro is refused, or an empty string: MONAI reads a file for it that is no config of the bundle."""
    names_a_file = re.match(r"%[^:]*\.(json|ya?ml)(::|$)", text, re.IGNORECASE)
    return "another file: name it in --config_file" if names_a_file else ""


def attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def free_names(tree: ast.Module) -> set[str]:
    """Names that an expression takes from outside, and modules it imports."""
    nodes = list(ast.walk(tree))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    modules = {name.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for name in node.names}
    modules |= {str(node.module).partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    return used - bound | modules


def of_modules(tree: ast.Module) -> set[str]:
    """What an expression takes of modules by its whole name, such as torch.cuda.is_available, or torch itself."""
    inner = {node.value for node in attributes(tree)}
    whole = {node for node in ast.walk(tree) if isinstance(node, (ast.Name, ast.Attribute))} - inner
    names = {name for name in map(ast.unparse, whole) if re.fullmatch(r"[\w.]+", name)}
    return {name for name in names if name.partition(".")[0] in {"monai", "torch"}}


def test_configs_build_only_known_things():
    assert in_configs(wrong_target, lambda key, text: key == "_target_") == []


def test_expressions_in_configs_are_look_ups_and_one_liners():
    assert in_configs(wrong_expression, lambda key, text: text.startswith("$")) == []


def test_configs_read_no_other_files():
    assert in_configs(wrong_macro, lambda key, text: text.startswith("%")) == []


def test_a_macro_that_reads_a_file_would_be_found():
    assert wrong_macro("%/tmp/evil.json::network") and wrong_macro("%../other.YAML")
    assert wrong_macro("%train::epochs") == wrong_macro("%#0") == ""


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.run",
        "builtins.eval",
        "$torch.optim.Adam",
        "torch.load",
        "torch.hub.load",
        "monai.utils.optional_import",
        "noise2mask.EnsembleInferer",
        "noise2mask.diffusion.inferer.Misspelt",
    ],
)
def test_unsafe_or_unknown_target_would_be_found(target):
    assert wrong_target(target)


def test_known_targets_are_accepted():
    ours = "noise2mask.diffusion.inferer.EnsembleInferer"
    for target in ("Compose", "torch.optim.Adam", "ignite.metrics.Loss", ours, "$lambda handler: handler"):
        assert wrong_target(target) == ""


@pytest.mark.parametrize(
    "text",
    [
        "$import os",
        "$from subprocess import run",
        "$import noise2mask",
        "$noise2mask.fuse(@pred)",
        "$os.environ['HOME']",
        "$open('/etc/passwd').read()",
        "$eval('1')",
        "$getattr(@network, 'x')",
        "$().__class__",
        "$monai.utils.module.sys.exit()",
        "$monai.utils.optional_import('os')",
        "$torch.load(@path)",
        "$torch.load(@path, weights_only=True)",
        "$torch.jit.load(@path)",
        "$torch.save(@network, 'x')",
        "$(lambda t: t.load(@path))(torch)",
        "$monai.apps.download_url('https://there')",
        "$pathlib.Path('x').unlink()",
        "$import pathlib",
        "$[1, 2",
    ],
)
def test_unsafe_or_broken_expression_would_be_found(text):
    assert wrong_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "$@train::trainer.run()",
        "$@bundle_root + '/models/' + @name",
        "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "$[{'image': item} for item in sorted(@files)]",
        "$lambda engine: engine.state.epoch",
        "$@network_def.eval()",
    ],
)
def test_plain_expression_is_accepted(text):
    assert wrong_expression(text) == ""


def test_logging_configs_hold_only_literals_and_standard_streams():
    for path in ROOT.glob("bundles/*/configs/logging.conf"):
        parser = configparser.RawConfigParser()
        parser.read_string(path.read_text(encoding="utf-8"))
        for section in parser.sections():
            assert re.fullmatch(r"[A-Z]\w*", parser.get(section, "class", fallback="StreamHandler")), path
            arguments = re.sub(r"\bsys\.std(out|err)\b", "None", parser.get(section, "args", fallback="()"))
            ast.literal_eval(arguments)
