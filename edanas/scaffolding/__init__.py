"""Scaffolding of a plugin package: a complete package whose tests pass.

Each kind of extension has one template in `templates/kinds`, named after the kind: first the module, then its
tests. `edanas new-plugin` offers the kinds that have a template.
"""

from edanas.scaffolding.package import NewPackage, choices, templates

__all__ = ["NewPackage", "choices", "templates"]
