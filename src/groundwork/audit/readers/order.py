"""Sets and listings of folders, whose order is not fixed, and whether it matters where they are."""

import ast
from collections.abc import Iterator

from .facts import facts
from .python import Module

# What takes values in any order and gives the same, or puts them in order.
ORDERLESS = {
    *(
        "sorted",
        "len",
        "set",
        "frozenset",
        "sum",
        "min",
        "max",
        "any",
        "all",
        "bool",
        "dict.fromkeys",
    ),
    *("collections.Counter", "Counter", "natsort.natsorted", "natsorted", "numpy.unique"),
    *("math.fsum", "print", "random.choice", "isinstance", "type", "repr", "str"),
    *("os_sorted", "natsort.os_sorted", "natsort.humansorted"),
}
# What hands the order on.
PASSING = {
    *("list", "tuple", "enumerate", "map", "filter", "iter", "reversed", "zip", "itertools.chain"),
    *("itertools.chain.from_iterable", "itertools.islice", "numpy.array", "numpy.asarray"),
    *("tqdm.tqdm", "tqdm", "tqdm.auto.tqdm", "rich.progress.track", "torch.tensor", "np.array"),
}
# Where the values end up in an order.
KEEPING = {"append", "extend", "insert", "write", "writelines", "writerow", "add_row", "put"}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@facts
def unordered_sets(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each set whose order reaches a list, a numbering or a text."""
    made: list[ast.expr] = [
        node for name, node in module.calls if name in {"set", "frozenset"} and node.args
    ]
    for node in [*made, *module.of(ast.Set), *module.of(ast.SetComp)]:
        if _matters(module, node, listed=False):
            yield module.line(node), _shown(node)


@facts
def unordered_folders(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each listing of a folder whose order reaches a result."""
    for name, node in module.calls:
        last = name.rpartition(".")[2]
        found = name in {"os.listdir", "os.scandir", "glob.glob", "glob.iglob"}
        found |= last in {"iterdir", "rglob"} and not _is_filtered(name)
        found |= last == "glob" and not name.startswith("glob.") and bool(node.args)
        if found and _matters(module, node, listed=True):
            yield module.line(node), f"{last}()"


def _is_filtered(name: str) -> bool:
    return name.startswith(("self.", "cls."))


def _matters(module: Module, node: ast.AST, *, listed: bool, depth: int = 0) -> bool:  # noqa: C901, PLR0911
    """Return whether the order of a value reaches something that keeps it.

    `listed` is whether the value is a sequence by now; a set that is handed on stays a set.
    """
    parent = module.parents.get(node)
    if isinstance(parent, ast.Call):
        if node is parent.func:
            return False
        return _into_call(module, parent, listed=listed, depth=depth)
    if isinstance(parent, ast.Starred):
        return _matters(module, parent, listed=True, depth=depth)
    if isinstance(parent, ast.comprehension):
        return node is parent.iter and _into_comprehension(module, parent, depth)
    if isinstance(parent, ast.For | ast.AsyncFor):
        return node is parent.iter and _loop_keeps(module, parent)
    if isinstance(parent, ast.List | ast.Tuple):
        kept = listed or isinstance(node, ast.Starred)
        return kept and _matters(module, parent, listed=True, depth=depth)
    if isinstance(parent, ast.BinOp):
        # Of two sets the result is a set, of two lists a list.
        return _matters(module, parent, listed=listed, depth=depth)
    if isinstance(parent, ast.Subscript) and node is parent.value:
        return listed
    if isinstance(parent, ast.Assign | ast.AnnAssign) and depth < 2:  # noqa: PLR2004
        return _name_matters(module, parent, listed=listed, depth=depth)
    if isinstance(parent, ast.Return):
        return listed and not _is_sorted_by_callers(module, parent)
    return False


def _into_call(module: Module, call: ast.Call, *, listed: bool, depth: int) -> bool:
    name = module.dotted(call.func)
    if name in ORDERLESS:
        return False
    if name == "enumerate" and isinstance(module.parents.get(call), ast.comprehension):
        return True  # each value gets a number, as of a vocabulary
    if name in PASSING:
        numbered = name.rpartition(".")[2] not in {"map", "filter", "iter", "zip", "chain"}
        return _matters(module, call, listed=listed or numbered, depth=depth)
    if name.endswith(".join") or (name == "?.join"):
        return isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Constant)
    # Anything else takes a set as a set; a list in any order is an argument in any order.
    return listed and name.rpartition(".")[2] not in {"update", "remove", "assertCountEqual"}


def _into_comprehension(module: Module, inside: ast.comprehension, depth: int) -> bool:
    whole = module.parents[inside]
    if isinstance(whole, ast.SetComp | ast.DictComp):
        return False
    return _matters(module, whole, listed=isinstance(whole, ast.ListComp), depth=depth)


def _loop_keeps(module: Module, loop: ast.For | ast.AsyncFor) -> bool:
    """Return whether a loop puts something into an order, other than into a set or a sum."""
    kept = set()
    for node in [one for statement in loop.body for one in ast.walk(statement)]:
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        method = node.func if isinstance(node, ast.Call) else None
        if isinstance(method, ast.Attribute) and method.attr in KEEPING:
            kept.add(module.dotted(method.value))
    if not kept:
        return False
    # A list that is sorted afterwards, or that is only counted, keeps nothing.
    scope = module.scope(loop)
    return any(not _is_sorted_later(module, scope, name) for name in kept)


def _is_sorted_later(module: Module, scope: ast.AST, name: str) -> bool:
    for called, call in module.calls:
        if called == f"{name}.sort" and module.within(call, scope):
            return True
        takes = called in {"sorted", "set", "natsort.natsorted", "len"}
        if takes and module.within(call, scope) and name in map(module.dotted, call.args):
            return True
    return False


def _name_matters(
    module: Module, assign: ast.Assign | ast.AnnAssign, *, listed: bool, depth: int
) -> bool:
    """Follow a value into the uses of the one name that it is given."""
    target = assign.targets[0] if isinstance(assign, ast.Assign) else assign.target
    if not isinstance(target, ast.Name):
        return False
    scope = module.scope(assign)
    if _is_sorted_later(module, scope, target.id) and listed:
        return False
    uses = [
        node
        for node in module.uses.get(target.id, [])
        if node.lineno >= assign.lineno and module.within(node, scope)
    ]
    return any(_matters(module, one, listed=listed, depth=depth + 1) for one in uses)


def _is_sorted_by_callers(module: Module, node: ast.Return) -> bool:
    """Return whether each caller in the module puts what a function returns in order."""
    scope = module.scope(node)
    if not isinstance(scope, FUNCTIONS):
        return True
    calls = [call for name, call in module.calls if name.rpartition(".")[2] == scope.name]
    return bool(calls) and not any(_matters(module, one, listed=True, depth=1) for one in calls)


def _shown(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004
