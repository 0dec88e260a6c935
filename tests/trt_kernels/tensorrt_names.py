"""Which names of TensorRT our sources use, and whether a release of it has them.

The sources are walked with the little that must be known of types: what some names stand for (``trt``, ``network``,
``config``, ...), what TensorRT's methods return, and what our own functions return. A branch behind ``hasattr`` is
walked only for the releases that take it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .tensorrt_bindings import Api, Class


@dataclass(frozen=True)
class Kind:
    """What an expression is: the module, a class, an object of one, or a method."""

    what: str
    owner: str = ""
    name: str = ""


MODULE = Kind("module")
# What a variable, an argument or an attribute of this name is, a leading underscore aside.
NAMED = {
    "trt": MODULE,
    **{
        name: Kind("object", owner)
        for name, owner in {
            "builder": "Builder",
            "config": "IBuilderConfig",
            "context": "IExecutionContext",
            "engine": "ICudaEngine",
            "network": "INetworkDefinition",
            "runtime": "Runtime",
        }.items()
    },
}
VARIABLES = {"tensor": Kind("object", "ITensor")}  # only variables: attributes of this name may be None or a text
PASSED_ON = {"added"}  # functions that return their first argument
Environment = dict[str, Kind | None]


@dataclass
class Walk:
    """A walk over sources for one release.

    Attributes:
        problems: names that are not there and calls that do not fit.
        uses: class and name of everything that is there.
        unknown: attributes of things of unknown type, with where they are.
    """

    api: Api
    problems: list[str] = field(default_factory=list)
    uses: set[tuple[str, str]] = field(default_factory=set)
    unknown: dict[str, str] = field(default_factory=dict)
    _returns: dict[str, Kind] = field(default_factory=dict)
    _conditions: dict[str, ast.expr] = field(default_factory=dict)
    _where: str = ""

    def over(self, sources: Mapping[str, str]) -> Walk:
        """Walk over texts by file name: twice, since what our functions return is known after the first."""
        trees = {name: ast.parse(text) for name, text in sources.items()}
        for tree in trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and isinstance(last := node.body[-1], ast.Return) and last.value:
                    plain = all(isinstance(s, ast.Expr | ast.Return) for s in node.body)
                    self._conditions |= {node.name: last.value} if plain else {}
        for _ in range(2):
            self.problems, self.uses, self.unknown = [], set(), {}
            for self._file, tree in trees.items():
                self._block(tree.body, {})
        return self

    def _problem(self, text: str) -> None:
        self.problems.append(f"{self._where}: TensorRT {self.api.version}: {text}")

    def _block(self, statements: Iterable[ast.stmt], env: Environment) -> bool:
        """Walk statements until one is sure to leave the function; says whether one was."""
        return any(self._statement(statement, env) for statement in statements)

    def _statement(self, node: ast.stmt, env: Environment) -> bool:
        self._where = f"{self._file}:{node.lineno}"
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            inside = {argument.arg: _named(argument.arg) for argument in arguments}
            self._block(node.body, {**env, **inside, "return": Kind("function", name=node.name)})
        elif isinstance(node, ast.ClassDef):
            self._class(node, env)
        elif isinstance(node, ast.If):
            return self._if(node, env)
        elif isinstance(node, ast.Assign):
            self._assign(node.targets, node.value, env)
        elif isinstance(node, ast.Return):
            kind = self._kind(node.value, env) if node.value else None
            if kind is not None and (function := env.get("return")) is not None:
                self._returns[function.name] = kind  # "return" is no name that a variable can have
            return True
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self._kind(child, env)
                elif isinstance(child, ast.withitem):
                    self._kind(child.context_expr, env)
            for part in ("body", "orelse", "finalbody"):
                self._block(getattr(node, part, []), env)
            for handler in getattr(node, "handlers", []):
                self._block(handler.body, env)
        return isinstance(node, ast.Raise)

    def _if(self, node: ast.If, env: Environment) -> bool:
        taken = self._decided(node.test, env)
        if taken is not None:
            return self._block(node.body if taken else node.orelse, env)
        self._kind(node.test, env)
        self._block(node.body, env)
        self._block(node.orelse, env)
        return False

    def _class(self, node: ast.ClassDef, env: Environment) -> None:
        for base in node.bases:
            kind = self._kind(base, env)
            if kind is None or kind.what != "class":
                continue
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    self._override(self.api.classes[kind.owner], kind.owner, method)
        self._block(node.body, env)

    def _override(self, base: Class, owner: str, method: ast.FunctionDef) -> None:
        """TensorRT calls what a class of ours overrides: it must be there, with these arguments."""
        names = tuple(argument.arg for argument in method.args.args[1:])
        if method.name not in base.methods:
            self._problem(f"{owner} has no method {method.name} to override")
        elif names not in {signature.names for signature in base.methods[method.name]}:
            self._problem(f"{owner}.{method.name} is not called with {', '.join(names)}")
        else:
            self.uses.add((owner, method.name))

    def _assign(self, targets: list[ast.expr], value: ast.expr, env: Environment) -> None:
        if isinstance(value, ast.Tuple) and isinstance(targets[0], ast.Tuple):
            for target, part in zip(targets[0].elts, value.elts, strict=True):
                self._assign([target], part, env)
            return
        kind = self._kind(value, env)
        for target in targets:
            if isinstance(target, ast.Name):
                env[target.id] = kind or _named(target.id)
            elif isinstance(target, ast.Attribute):
                self._set(target, env)
            elif isinstance(target, ast.Tuple):
                for part in target.elts:
                    self._assign([part], ast.Constant(None), env)

    def _set(self, target: ast.Attribute, env: Environment) -> None:
        owner = self._kind(target.value, env)
        if owner is None or owner.what != "object":
            return
        found = self.api.classes[owner.owner].properties.get(target.attr)
        if found is None or not found[0]:
            self._problem(f"{owner.owner}.{target.attr} cannot be set")
        else:
            self.uses.add((owner.owner, target.attr))

    def _decided(self, test: ast.expr, env: Environment) -> bool | None:
        """Whether a condition holds, None where it depends on more than the release."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self._decided(test.operand, env)
            return None if inner is None else not inner
        if isinstance(test, ast.BoolOp):
            found = [self._decided(part, env) for part in test.values]
            settles = isinstance(test.op, ast.Or)
            return settles if settles in found else None if None in found else not settles
        if not isinstance(test, ast.Call) or not isinstance(test.func, ast.Name):
            return None
        if test.func.id == "hasattr":
            owner, name = self._kind(test.args[0], env), ast.literal_eval(test.args[1])
            if owner is None:
                self._problem(f"hasattr of something unknown, {ast.unparse(test.args[0])}")
                return None
            return name in (self.api.names if owner == MODULE else self.api.classes[owner.owner].names)
        condition = self._conditions.get(test.func.id)
        return None if condition is None else self._decided(condition, {})

    def _kind(self, node: ast.expr, env: Environment) -> Kind | None:
        """What an expression is; everything inside it is looked at."""
        if isinstance(node, ast.Name):
            return env[node.id] if node.id in env else _named(node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, env)
        if isinstance(node, ast.Call):
            return self._call(node, env)
        if isinstance(node, ast.IfExp) and (taken := self._decided(node.test, env)) is not None:
            return self._kind(node.body if taken else node.orelse, env)
        if isinstance(node, ast.Lambda):
            names = {argument.arg: _named(argument.arg) for argument in node.args.args}
            self._kind(node.body, {**env, **names})
            return None
        if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp):
            bound = {
                name.id: _named(name.id)
                for generator in node.generators
                for name in ast.walk(generator.target)
                if isinstance(name, ast.Name)
            }
            env = {**env, **bound}
            for generator in node.generators:
                for part in (generator.iter, *generator.ifs):
                    self._kind(part, env)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._kind(child, env)
        return None

    def _attribute(self, node: ast.Attribute, env: Environment) -> Kind | None:
        owner = self._kind(node.value, env)
        if owner is None:
            kind = NAMED.get(node.attr.lstrip("_"))
            if kind is None:
                self.unknown[node.attr] = self._where
            return kind
        if owner == MODULE:
            return self._of_module(node.attr)
        found = self.api.classes.get(owner.owner)
        if owner.what == "method" or found is None:
            self.unknown[node.attr] = self._where
            return None
        if node.attr not in found.names:
            self._problem(f"{owner.owner} has no {node.attr}")
            return None
        self.uses.add((owner.owner, node.attr))
        if node.attr in found.methods:
            return Kind("method", owner.owner, node.attr)
        if node.attr in found.classes:
            return Kind("class", found.classes[node.attr])
        returned = owner.owner if node.attr in found.members else found.properties[node.attr][1]
        return Kind("object", returned) if returned in self.api.classes else None

    def _of_module(self, name: str) -> Kind | None:
        if name not in self.api.names:
            self._problem(f"the module has no {name}")
            return None
        self.uses.add(("", name))
        own = self.api.names[name]
        return Kind("class", own) if own in self.api.classes else None

    def _call(self, node: ast.Call, env: Environment) -> Kind | None:
        called = self._kind(node.func, env)
        given = [self._kind(argument, env) for argument in node.args]
        for keyword in node.keywords:
            self._kind(keyword.value, env)
        if called is None or called.what not in ("method", "class"):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            return given[0] if name in PASSED_ON and given else self._returns.get(name)
        method = "__init__" if called.what == "class" else called.name
        where = self._where
        signatures = self.api.classes[called.owner].methods.get(method, ())
        keywords = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
        open_ended = any(keyword.arg is None for keyword in node.keywords)
        inherited = called.what == "class" or not isinstance(node.func, ast.Attribute)
        own = 1 if method == "__init__" and not inherited else 0  # trt.IProfiler.__init__(self)
        refusals = [s.refusal(len(node.args) - own, keywords, open_ended) for s in signatures]
        if refusals and all(refusals):
            self._where = where
            self._problem(f"{called.owner}.{method} {refusals[0]}")
        if called.what == "class":
            return Kind("object", called.owner)
        returned = {signature.returns for signature in signatures}
        return Kind("object", name) if len(returned) == 1 and (name := returned.pop()) in self.api.classes else None


def _named(name: str) -> Kind | None:
    plain = name.lstrip("_")
    return NAMED.get(plain, VARIABLES.get(plain))


def read_sources(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Texts of source files by name."""
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}
