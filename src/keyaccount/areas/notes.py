"""`desk.service_notes`: who has seen a note, and where notes appear. Notes themselves are put, got and removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import attrs

from keyaccount import gate
from keyaccount.errors import AccessDenied, ValidationError
from keyaccount.model.notes import Acknowledgement, Context, NoteCategory, ServiceNote
from keyaccount.view import View
from keyaccount.visibility import says

if TYPE_CHECKING:
    from keyaccount.desk import Desk


class ServiceNotes:
    """Who has seen a note, and where notes appear; reached as `desk.service_notes`."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        """Belong to a desk."""
        self._desk = desk

    def acknowledge(self, note_id: str) -> Acknowledgement:
        """Record that this desk's user has seen a note, and when; a second time changes nothing.

        Raises NotFound; AccessDenied on a trusted desk, which is nobody.
        """
        return self._record(note_id, dismissed=False)

    def dismiss(self, note_id: str) -> Acknowledgement:
        """Hide a dismissible note from this desk's user until its text, severity or validity changes.

        Raises NotFound, ValidationError for a note that cannot be dismissed, AccessDenied on a trusted desk.
        """
        return self._record(note_id, dismissed=True)

    def set_category(self, name: str, *, contexts: Sequence[str]) -> NoteCategory:
        """Say in which contexts the notes of a category appear; none: everywhere.

        Raises UnknownContext; AccessDenied for all but trusted desks and stewards.
        """
        with self._desk._view(write=True) as view:
            wanted = NoteCategory(name, contexts=cast("tuple[str, ...]", contexts))
            stored = view.find(NoteCategory, id=wanted.id)
            row = attrs.evolve(stored[0], contexts=wanted.contexts) if stored else wanted
            return cast("NoteCategory", gate.put(view, [row])[0])

    def add_context(self, path: str) -> Context:
        """Register a context, and those above it; one that is there already is returned.

        Raises ValidationError for what is no path; AccessDenied for all but trusted desks and stewards.
        """
        return self._desk.put(Context(path))

    def _record(self, note_id: str, *, dismissed: bool) -> Acknowledgement:
        call = "service_notes.dismiss" if dismissed else "service_notes.acknowledge"
        with self._desk._view(write=True) as view, view.work.once(call, note_id) as first:
            if view.reader is None:
                raise AccessDenied("a trusted desk is nobody who could have seen a note")
            note = view.get(ServiceNote, note_id)
            if not first and (known := view.find(Acknowledgement, note_id=note.id, user_id=view.reader.user.id)):
                return known[0]
            if dismissed and not note.dismissible:
                raise ValidationError.of(
                    f"ServiceNote {note_id!r}", "dismissible", value=False, reason="cannot be dismissed"
                )
            return self._seen(view, note, view.reader.user.id, dismissed=dismissed)

    @staticmethod
    def _seen(view: View, note: ServiceNote, user_id: str, *, dismissed: bool) -> Acknowledgement:
        stored = view.find(Acknowledgement, note_id=note.id, user_id=user_id)
        if not stored:
            new = Acknowledgement(note_id=note.id, user_id=user_id, dismissed=dismissed, says=says(note))
            return cast("Acknowledgement", gate.put(view, [new])[0])
        row = stored[0]
        if row.says == says(note) and (row.dismissed or not dismissed):
            return row
        return cast("Acknowledgement", gate.put(view, [attrs.evolve(row, dismissed=dismissed, says=says(note))])[0])
