from edanas.core.notes import surrogate_notes


def test_notes_of_surrogates_are_read_and_others_passed_over() -> None:
    notes = {
        "objective 1": "rbf tau 0.61",
        "objective 2": "a model of somebody tau -0.05",
        "objective 3": "gp",
        "objective x": "gp tau 0.1",
        "radius": "0.2",
    }
    assert surrogate_notes(notes) == [(0, "rbf", 0.61), (1, "a model of somebody", -0.05)]
