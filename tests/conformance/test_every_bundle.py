from edanas.plugins.registry import Registry
from edanas.run.compose import make_space
from edanas.run.layers import layered_settings
from edanas.testing import check_bundle

KIND = "bundle"


def test_conforms(registry: Registry, name: str) -> None:
    check_bundle(name, registry)


def test_every_name_in_its_settings_is_registered(registry: Registry, name: str) -> None:
    """Each preset is composed as by `edanas run --plugin NAME --preset PRESET`, up to the search space."""
    for preset in registry.bundle(name).presets or ("",):
        settings = layered_settings(registry, [("flags", {"plugin": name, "preset": preset})])
        _, space = make_space(registry, settings)
        assert space.size() > settings.search.initial or settings.search.iterations == 0
