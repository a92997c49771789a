"""A plugin package to begin with: written whole, with tests that pass.

Each kind of extension has one template in `templates/kinds`, named after it: the module that the package
gets, then its tests. A kind without one is no kind that `edanas new-plugin` knows, and a test says so.
"""

from edanas.scaffolding.package import NewPackage, choices, templates

__all__ = ["NewPackage", "choices", "templates"]
