"""The scaffolding of a new plugin package: all its files, with tests that pass.

The folder `templates/kinds` has one template for a kind of extension, with the name of the kind. The template
holds the module, then its tests. `edanas new-plugin` offers the kinds that have a template.
"""

from edanas.scaffolding.package import NewPackage, choices, templates

__all__ = ["NewPackage", "choices", "templates"]
