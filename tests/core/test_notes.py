import copy
import json
import pickle

from edanas.core.notes import SurrogateNote, surrogate_note, surrogate_notes


def test_a_note_is_its_text_and_survives_copies() -> None:
    note = SurrogateNote("rbf", 0.6149, objective=1)
    assert json.dumps({"objective 2": note}) == '{"objective 2": "rbf tau 0.61"}'
    for same in (note, copy.deepcopy(note), pickle.loads(pickle.dumps(note))):
        assert (str(same), same.surrogate, same.tau, same.objective) == ("rbf tau 0.61", "rbf", 0.61, 1)


def test_text_is_no_surrogate_note_and_a_stored_note_keeps_its_text() -> None:
    assert surrogate_notes({"objective 1": "gp tau 0.6123"}) == []
    note = surrogate_note("gp tau 0.6123", "gp", 0.6123, 0)
    assert (str(note), note.tau) == ("gp tau 0.6123", 0.6123)
    assert surrogate_notes({"objective 1": note, "constraint 1": SurrogateNote("gp", 0.5)}) == [(0, note)]
