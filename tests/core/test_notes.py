import copy
import json
import pickle

from edanas.core.notes import SurrogateNote, surrogate_notes, typed_notes


def test_notes_of_surrogates_are_parsed_and_other_notes_stay() -> None:
    notes = {
        "objective 1": "rbf tau 0.61",
        "objective 2": "a model of somebody tau -0.05",
        "objective 3": "gp",
        "objective x": "gp tau 0.1",
        "radius": "0.2",
    }
    typed = typed_notes(notes)
    assert [(at, note.surrogate, note.tau) for at, note in surrogate_notes(typed)] == [
        (0, "rbf", 0.61),
        (1, "a model of somebody", -0.05),
    ]
    assert json.dumps(typed) == json.dumps(notes)
    assert typed_notes(typed) == typed
    assert surrogate_notes(notes) == []


def test_a_note_is_its_text_and_survives_copies() -> None:
    note = SurrogateNote("rbf", 0.6149, objective=1)
    assert json.dumps({"objective 2": note}) == '{"objective 2": "rbf tau 0.61"}'
    for same in (note, copy.deepcopy(note), pickle.loads(pickle.dumps(note))):
        assert (str(same), same.surrogate, same.tau, same.objective) == ("rbf tau 0.61", "rbf", 0.61, 1)


def test_text_of_a_third_party_stays_unchanged() -> None:
    (typed,) = typed_notes({"objective 1": "gp tau 0.6123"}).values()
    assert typed == "gp tau 0.6123"
    assert isinstance(typed, SurrogateNote)
    assert typed.tau == 0.6123
