"""`desk.activities`: what happened, and what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, cast

from keyaccount import cards, gate
from keyaccount.model.activities import Activity
from keyaccount.model.contacts import Contact
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.queries import at_most, one_of
from keyaccount.results import Rows
from keyaccount.searching import by_id_or_alias

if TYPE_CHECKING:
    from keyaccount.desk import Desk
    from keyaccount.found import Found

import attrs


@attrs.frozen(repr=False)
class FollowUps(Rows[Activity]):
    """Activities with something still to be kept, the most urgent first."""

    rows: tuple[Activity, ...]


class Activities:
    """What happened with accounts, and what was promised; reached as `desk.activities`."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        """Belong to a desk."""
        self._desk = desk

    def log(
        self,
        organisation: str | None = None,
        *,
        kind: str,
        at: datetime | None = None,
        contacts: Sequence[str] = (),
        subject: str | None = None,
        follow_up_on: date | None = None,
        **more: Any,
    ) -> Activity:
        """Write down what happened, by this desk's user, now unless `at` says otherwise; return it as stored.

        `more` are further fields of `Activity` (`direction`, `connected`, `summary`, `outcome`, `id`, …). Raises
        ValidationError, AccessDenied without `CHANGE` on the organisation.
        """
        fields = {name: value for name, value in more.items() if value is not None}
        self._desk._check_names(Activity, fields)
        activity = Activity(
            organisation_id=organisation,
            contact_ids=cast("tuple[str, ...]", contacts),
            kind=kind,
            at=at,
            subject=subject,
            follow_up_on=follow_up_on,
            **fields,
        )
        return self._desk.put(activity)

    def history(self, organisation: str, *, limit: int | None = None, after: str | None = None) -> Found[Activity]:
        """Return the activities of an organisation, newest first, by pages where a limit is given.

        Raises NotFound for an organisation that cannot be read.
        """
        at = self._desk.get(Organisation, organisation).id  # under another id, where it was merged
        return self._desk.find(Activity, organisation_id=at, order=("-at", "-id"), limit=limit, after=after)

    def last_contact(self, organisation: str) -> cards.LastContact | None:
        """Return the latest contact in both directions with an organisation; None where there was none.

        An answered call, a meeting, a visit, an e-mail received count. Raises NotFound.
        """
        with self._desk._view() as view:
            at = by_id_or_alias(view, Organisation, organisation).id
            (found,) = view.gather(cards.last_contact_query(view, view.today, organisation_id=at))
            if not found:
                return None
            last = cast("Activity", found[0])
            users = view.find(User, id=one_of([last.by_id] if last.by_id else []))
            people = view.find(Contact, id=one_of(list(last.contact_ids[:1])))
            return cards.told(view, last, users[0] if users else None, people[0] if people else None)

    def follow_ups(self, *, due: date | None = None) -> FollowUps:
        """Return what is promised for a day (today) or earlier and not kept yet, the oldest first."""
        with self._desk._view() as view:
            day = self._desk._day(due, view)
            found = view.find(Activity, open=True, follow_up_on=at_most(day), order=("follow_up_on", "id"))
            return FollowUps(tuple(found))

    def done(self, activity_id: str) -> Activity:
        """Say that what an activity promised has been kept, now; a second time changes nothing. Raises NotFound."""
        with self._desk._view(write=True) as view, view.work.once("activities.done", activity_id) as first:
            activity = view.get(Activity, activity_id)
            if activity.done_at is not None or not first:
                return activity
            return cast("Activity", gate.put(view, [attrs.evolve(activity, done_at=view.now)])[0])
