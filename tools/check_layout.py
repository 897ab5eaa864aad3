"""The rules of the house that a command can check; run by ``make check``.

Prints one line per breach, as ``path:line: what``, and exits 1 if there is any.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE_SUFFIXES = {".py", ".sh", ".js", ".css", ".j2", ".cpp", ".h"}
PROSE_SUFFIXES = {".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".jsonl", ""}
MOST_LINES = 400
MOST_LINES_OF_TESTS_AND_KERNELS = 600

UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MACHINE_PATH = re.compile(r"(?<![\w.}])/(work|tmp|opt|root/\.\w+)/")
PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal"}
PICKLING_CALLS = {"torch.load", "torch.save", "joblib.dump", "joblib.load"}

OPERATORS = ROOT / "src" / "striate" / "ops"
OPERATOR_FILES = ("__init__.py", "op.py", "reference.py", "layer.py", "spec.py")
PAGE_PARTS = ("definition", "differ", "paper", "example")  # words of the headings of an operator's page
PUBLIC_LISTS = {"functional": ("op", ast.FunctionDef), "nn": ("layer", ast.ClassDef)}

Breach = tuple[Path, int, str]


def main() -> int:
    """Check every file of the project; returns the exit code."""
    files = [ROOT / name for name in _file_names()]
    python = {path: path.read_text(encoding="utf-8") for path in files if path.suffix == ".py"}
    trees = {path: ast.parse(text) for path, text in python.items()}

    breaches = [breach for path in files for breach in check_text(path)]
    for path, tree in trees.items():
        if not _is_under(path, "tests"):
            breaches += [(path, line, what) for line, what in find_pickling(tree)]
        if _is_under(path, "src"):
            breaches += [(path, line, f"{what} has no docstring") for line, what in find_undocumented(tree)]
    breaches += find_untested(trees)
    breaches += find_incomplete_operators(set(files))
    breaches += find_unlisted(trees)

    for path, line, what in sorted(breaches):
        print(f"{path.relative_to(ROOT)}:{line}: {what}")
    print(f"layout: {len(files)} files, {len(breaches)} breaches")
    return 1 if breaches else 0


def check_text(path: Path) -> Iterator[Breach]:
    """Length, unfinished work and paths of somebody's machine, in one text file."""
    if path.suffix not in CODE_SUFFIXES | PROSE_SUFFIXES:
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    is_long_kind = _is_under(path, "tests") or path.suffix in {".cpp", ".h"} or path.name == "gpu.py"
    limit = MOST_LINES_OF_TESTS_AND_KERNELS if is_long_kind else MOST_LINES
    if path.suffix in CODE_SUFFIXES and len(lines) > limit:
        yield path, len(lines), f"{len(lines)} lines; at most {limit}"
    for number, line in enumerate(lines, 1):
        if UNFINISHED.search(line):
            yield path, number, "unfinished: finish it or file an issue"
        if found := MACHINE_PATH.search(line):
            yield path, number, f"path of one machine: {found[0]}…"


def find_pickling(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Imports and calls that read or write pickles."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in PICKLING_CALLS:
            yield node.lineno, f"{ast.unparse(node.func)} may read or write a pickle"
            continue
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield node.value.lineno, "allow_pickle: leave it at its default, off"
            continue
        else:
            continue
        for name in names:
            if name.split(".")[0] in PICKLERS:
                yield node.lineno, f"imports {name}: no pickle is read or written"


def find_undocumented(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Public modules, classes and functions without a docstring.

    A method of a class with bases may be an override and inherits its base's docstring.
    """
    if not ast.get_docstring(tree) and tree.body:
        yield 1, "module"
    for node in _public_definitions(tree.body):
        if not ast.get_docstring(node):
            yield node.lineno, node.name
        if isinstance(node, ast.ClassDef) and not node.bases:
            for method in _public_definitions(node.body):
                if not ast.get_docstring(method):
                    yield method.lineno, f"{node.name}.{method.name}"


def find_untested(trees: dict[Path, ast.Module]) -> Iterator[Breach]:
    """Modules of the package that no test is about, and test folders that belong to no package.

    A test is about the modules that it imports or is named after (``train/loop.py`` and
    ``tests/train/test_loop.py``), and about what those import from their own folder. A verb of the
    command line is run, not imported: a test in ``tests/cli`` says its name. An operator's folder is
    tested through its public functions, by ``tests/ops/test_<operator>.py`` and ``tests/contract``.
    """
    source = ROOT / "src" / "striate"
    modules = {path: _module_name(path) for path in trees if path.is_relative_to(source)}
    tests = {path: tree for path, tree in trees.items() if _is_under(path, "tests")}
    named = {
        path: ROOT / "tests" / path.relative_to(source).parent / f"test_{path.stem}.py" for path in modules
    }
    imported = {name for tree in tests.values() for name in _imported_names(tree)}
    said = {text for path, tree in tests.items() if _is_under(path, "tests/cli") for text in _strings(tree)}

    tested = {path for path, module in modules.items() if module in imported or named[path] in tests}
    tested |= {path for path in modules if path.parent == source / "cli" and path.stem in said}
    tested |= {path for path in modules if ROOT / f"tests/ops/test_{path.parent.name}.py" in tests}
    waiting = list(tested)
    while waiting:
        path = waiting.pop()
        names = set(_imported_names(trees[path]))
        near = {other for other in modules if _is_near(other, path) and modules[other] in names} - tested
        tested |= near
        waiting += near
    for path in sorted(set(modules) - tested):
        if path.name != "__init__.py":
            yield path, 1, f"no test is about it: import it in one, or add {named[path].relative_to(ROOT)}"
    for folder in {path.parent for path in tests} - {ROOT / "tests", ROOT / "tests" / "contract"}:
        if not (source / folder.relative_to(ROOT / "tests")).exists():
            yield folder, 0, "tests of a package that does not exist"


def find_incomplete_operators(files: set[Path]) -> Iterator[Breach]:
    """Operators without one of their files, test or page, and tests, pages and benchmarks of no operator."""
    operators = {path.parent.name for path in files if path.parent.parent == OPERATORS}
    shared = {path.stem.removeprefix("_") for path in files if path.parent == OPERATORS}
    for name in operators:
        test, page = ROOT / f"tests/ops/test_{name}.py", ROOT / f"docs/ops/{name}.md"
        for wanted in (*(OPERATORS / name / file for file in OPERATOR_FILES), test, page):
            if wanted not in files:
                yield wanted, 0, f"the operator {name} needs it"
        if page in files:
            yield from _find_missing_parts(page, files)
    for path in files:
        kind = str(path.parent.relative_to(ROOT))
        if kind == "tests/ops" and path.stem.startswith("test_"):
            about = path.stem.removeprefix("test_")  # an operator, or an operator's part: conv_depthwise
            known = about in shared or any(
                about == name or about.startswith(f"{name}_") for name in operators
            )
        else:
            known = kind not in ("docs/ops", "docs/images/ops", "benchmarks/ops") or path.stem in operators
        if not known:
            yield path, 0, "there is no such operator"


def _find_missing_parts(page: Path, files: set[Path]) -> Iterator[Breach]:
    text = page.read_text(encoding="utf-8")
    headings = " ".join(re.findall(r"^#+ (.*)$", text, re.M)).lower()
    for word in PAGE_PARTS:
        if word not in headings:
            yield page, 1, f"no heading has the word {word!r}"
    if ">>> " not in text:
        yield page, 1, "no example that runs (>>>)"
    drawing = ROOT / "docs" / "images" / "ops" / f"{page.stem}.svg"
    if drawing not in files:
        yield page, 1, f"no drawing: python tools/draw_operators.py {page.stem}"
    if f"](../images/ops/{page.stem}.svg)" not in text:
        yield page, 1, "does not show its drawing"


def find_unlisted(trees: dict[Path, ast.Module]) -> Iterator[Breach]:
    """Public functions and layers of operators that are not listed, and lists with more than those.

    ``functional.py`` and ``nn.py`` hold a docstring, imports and a sorted ``__all__``, nothing else.
    """
    for name, (stem, kind) in PUBLIC_LISTS.items():
        path = OPERATORS.parent / f"{name}.py"
        listed: set[str] = set()
        names: list[str] = []
        for node in trees[path].body[1:]:
            if isinstance(node, ast.ImportFrom) and node.module != "__future__":
                listed |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                names = ast.literal_eval(node.value)
                if names != sorted(set(names), key=str):
                    yield path, node.lineno, "__all__ is not sorted, or has a name twice"
            elif not isinstance(node, ast.ImportFrom):
                yield path, node.lineno, "neither an import nor __all__"
        if {entry.rsplit(".", 1)[1] for entry in listed} != set(names):
            yield path, 1, "__all__ does not list what is imported"
        defined = {
            f"{_module_name(module)}.{node.name}": (module, node)
            for module, tree in trees.items()
            if module.parent.parent == OPERATORS
            for node in _public_definitions(tree.body)
        }
        # What initialises a layer stands beside it and may be listed; every layer is.
        wanted = {
            entry
            for entry, (module, node) in defined.items()
            if module.stem == stem and isinstance(node, kind)
        }
        for entry in wanted - listed:
            module, node = defined[entry]
            yield module, node.lineno, f"{entry.rsplit('.', 1)[1]} is public but not in striate.{name}"
        for entry in listed - defined.keys():
            yield path, 1, f"{entry} is not public in an operator's folder"


def _is_near(other: Path, path: Path) -> bool:
    """In the same folder, or shared by the folders of operators."""
    return other.parent in (path.parent, OPERATORS if path.parent.parent == OPERATORS else path.parent)


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _strings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from node.value.split()


def _imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _public_definitions(
    body: list[ast.stmt],
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ) and not node.name.startswith("_"):
            yield node


def _is_under(path: Path, folder: str) -> bool:
    return path.is_relative_to(ROOT / folder)


def _file_names() -> list[str]:
    """Files that git tracks or would track."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [name for name in sorted(set(listed)) if (ROOT / name).is_file()]


if __name__ == "__main__":
    sys.exit(main())
