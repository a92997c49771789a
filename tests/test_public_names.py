import edanas


def test_search_stays_the_function_though_a_package_has_its_name():
    import edanas.search.objectives  # binds the package to the name `search`
    from edanas import search

    assert callable(search)
    assert search is edanas.search


def test_every_public_name_is_there():
    assert all(getattr(edanas, name) is not None for name in edanas.__all__)
