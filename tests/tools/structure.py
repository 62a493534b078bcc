#!/usr/bin/env python3
"""Holds the source to two rules: no circle of imports over more than four files, and no type whose `impl` blocks are
spread over more than three. Give it the folders of crates' sources; it prints what breaks a rule and fails then."""
import pathlib
import re
import sys

MAX_CIRCLE = 4
MAX_IMPLS = 3


def without_comments(text):
    return re.sub(r"//[^\n]*", "", text)


def modules(root):
    """Files by module path, tests left out."""
    found = {}
    for path in sorted(root.rglob("*.rs")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        if "tests" in parts or "bin" in parts or path.name == "main.rs":
            continue
        if parts[-1] in ("mod", "lib"):
            parts.pop()
        found[tuple(parts)] = path
    return found


def without_tests(text):
    """Inline `mod tests { .. }` stands at a file's end."""
    return re.split(r"#\[cfg\(test\)\]\s*mod \w+ \{", text)[0]


def expand(tree):
    """`a::{b, c::{d, e}}` as a::b, a::c::d, a::c::e."""
    tree = tree.strip()
    opened = tree.find("{")
    if opened < 0:
        return [tree.split(" as ")[0].strip()]
    prefix, inner = tree[:opened], tree[opened + 1 : tree.rindex("}")]
    parts, depth, start = [], 0, 0
    for at, char in enumerate(inner + ","):
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            parts.append(inner[start:at])
            start = at + 1
    return [prefix + path for part in parts if part.strip() for path in expand(part)]


def imports(module, text, known):
    """The modules that a file names in `use` or by path."""
    paths = [path for tree in re.findall(r"\buse ([^;]+);", text) for path in expand(tree)]
    paths += re.findall(r"\bcrate(?:::\w+)+", text)
    for path in paths:
        names = path.split("::")
        if names[0] == "crate":
            names = names[1:]
        elif names[0] == "self":
            names = [*module, *names[1:]]
        elif names[0] == "super":
            base = list(module)
            while names and names[0] == "super":
                names, base = names[1:], base[:-1]
            names = [*base, *names]
        elif (*module, names[0]) in known:
            names = [*module, *names]
        else:
            continue
        # The longest part that is a file; the crate's root is one too.
        while names and tuple(names) not in known:
            names.pop()
        if tuple(names) != module:
            yield tuple(names)


def circles(edges):
    """Tarjan's strongly connected components."""
    index, low, stack, on_stack, found = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on_stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while not component or component[-1] != node:
                component.append(stack.pop())
                on_stack.discard(component[-1])
            found.append(component)

    sys.setrecursionlimit(10_000)
    for node in edges:
        if node not in index:
            visit(node)
    return found


def check(root):
    known = modules(root)
    texts = {module: without_tests(without_comments(path.read_text())) for module, path in known.items()}
    edges = {module: sorted(set(imports(module, text, known))) for module, text in texts.items()}
    complaints = []
    for circle in circles(edges):
        if len(circle) > MAX_CIRCLE:
            names = ", ".join(sorted("::".join(module) for module in circle))
            complaints.append(f"{root}: a circle of imports over {len(circle)} files: {names}")
    where = {}
    for module, text in texts.items():
        for name in re.findall(r"^impl(?:<[^>]*>)? (?:[\w:]+(?:<[^>]*>)? for )?(\w+)", text, re.MULTILINE):
            where.setdefault(name, set()).add(str(known[module]))
    for name, files in sorted(where.items()):
        if len(files) > MAX_IMPLS:
            complaints.append(f"{root}: `impl {name}` in {len(files)} files: {', '.join(sorted(files))}")
    return complaints


def main():
    complaints = [line for root in sys.argv[1:] for line in check(pathlib.Path(root))]
    print("\n".join(complaints) or "structure: no circle of imports, no type in too many files")
    sys.exit(1 if complaints else 0)


main()
