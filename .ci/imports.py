"""Import every module of the three packages and name each one that fails, in one line.

The first rung of the checks: quicker than any other, and it finds what the others then trip over.
It also fails on a package that has no modules, so that a moved folder cannot make it pass.
"""

import importlib
import pkgutil
import sys
from pathlib import Path

PACKAGES = ("trainables", "analysis", "orchestrator")


def module_names(package: str) -> list[str]:
    """Names of `package` and all modules below it, but for `__main__` (importing that runs it)."""
    root = importlib.import_module(package)
    # A broken package stays in the list; `failure` says what is wrong with it.
    below = pkgutil.walk_packages(root.__path__, prefix=f"{package}.", onerror=lambda name: None)
    return [package, *(m.name for m in below if not m.name.endswith("__main__"))]


def failure(name: str) -> str | None:
    """Why `name` cannot be imported, or None."""
    try:
        importlib.import_module(name)
    except BaseException as error:  # a module that calls sys.exit() at import is a failure too
        return f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return None


def main() -> int:
    """Exit status 0 when all modules of all packages can be imported."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    count, failures = 0, []
    for package in PACKAGES:
        if (reason := failure(package)) is not None:
            failures.append(reason)
            continue
        names = module_names(package)
        if len(names) == 1:
            failures.append(f"{package}: no modules in {sys.modules[package].__path__[0]}")
        count += len(names)
        failures += [reason for name in names[1:] if (reason := failure(name)) is not None]
    for line in failures:
        print(f"import: {line}", file=sys.stderr)
    print(f"import: {count} modules, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
