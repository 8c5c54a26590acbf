"""The desk: everything a user, or a trusted job, can ask and do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import attrs

from keyaccount import access, cards, gate, gate_removal
from keyaccount.areas.activities import Activities
from keyaccount.areas.billing import Billing
from keyaccount.areas.contracts import Contracts
from keyaccount.areas.merging import Merging
from keyaccount.areas.notes import ServiceNotes
from keyaccount.areas.people import People
from keyaccount.areas.portfolio import Portfolio
from keyaccount.areas.renewals import RenewalWork
from keyaccount.arguments import LIST_LIMIT, check_region, ids_of
from keyaccount.calendars import is_day
from keyaccount.catalogue import kind_of
from keyaccount.data_quality import DataQuality, data_quality
from keyaccount.errors import AccessDenied, NotFound, Problem, ValidationError, nearest, shown
from keyaccount.found import PAGE, Found
from keyaccount.history import History, history
from keyaccount.model.entity import Entity
from keyaccount.model.organisations import Organisation
from keyaccount.model.rights import Right
from keyaccount.panel import Panel, panel
from keyaccount.queries import ordering, resume
from keyaccount.search import NEEDLE_LIMIT
from keyaccount.searching import Hits, Mine, by_id_or_alias, hits, mine, or_alias
from keyaccount.view import View
from keyaccount.visibility import Notes, NotesFor

if TYPE_CHECKING:
    from keyaccount.book import Book
    from keyaccount.details import LinesFrom
    from keyaccount.dumps import Dump
    from keyaccount.exchange import Import, Progress
    from keyaccount.health import Daily, HealthCheck

E = TypeVar("E", bound=Entity)

CHUNK = 1_000


class Desk:
    """Everything one user may ask and do (a bound desk), or a trusted job (every right, audited under its name).

    Made by `book.desk(user)` and `book.trusted(name)`. What a bound desk returns, counts, sorts by, suggests or says in
    an error is only of what its user may read.
    """

    __slots__ = (
        "_book",
        "_name",
        "_user_id",
        "activities",
        "billing",
        "contracts",
        "merging",
        "people",
        "portfolio",
        "renewals",
        "service_notes",
    )

    def __init__(self, book: Book, *, user_id: str | None, name: str) -> None:
        """Belong to a book, for a user or (None) a trusted job."""
        self._book, self._user_id, self._name = book, user_id, name
        self.people = People(self)
        self.activities = Activities(self)
        self.service_notes = ServiceNotes(self)
        self.contracts = Contracts(self)
        self.billing = Billing(self)
        self.renewals = RenewalWork(self)
        self.portfolio = Portfolio(self)
        self.merging = Merging(self)

    def __repr__(self) -> str:
        """Show whose desk it is."""
        return f"<trusted desk {shown(self._name)}>" if self._user_id is None else f"<desk of {shown(self._user_id)}>"

    @property
    def user_id(self) -> str | None:
        """The user this desk is bound to; None for a trusted one."""
        return self._user_id

    # -- records

    def transaction(self, *, why: str | None = None, key: str | None = None) -> AbstractContextManager[None]:
        """Make all writes in the block one act, all or nothing; a transaction inside another joins it.

        `why` is kept in the audit. Nothing of it is kept where the block raises. A `key` makes it apply once: the same
        writes under a key that was used before change nothing and return what is stored of the first ones, other writes
        raise ValidationError.
        """
        return self._book._transaction(self._name, why, key)

    @overload
    def put(self, entity: E, /) -> E: ...
    @overload
    def put(self, *entities: Entity) -> tuple[Entity, ...]: ...
    def put(self, *entities: Entity) -> Entity | tuple[Entity, ...]:
        """Create or change records, all or none; return them as stored (one for one, else a tuple).

        Version 0 creates; equal content that is there already changes nothing. A record that was got before and changed
        by `attrs.evolve` is a patch: what this desk could not read of it stays. Raises ValidationError with all
        problems, NotFound, ConflictError where somebody else was faster, AccessDenied.
        """
        with self._view(write=True) as view:
            stored = gate.put(view, entities)
        return stored[0] if len(entities) == 1 else stored

    def put_many(self, entities: Iterable[Entity]) -> int:
        """Write a stream of records in one transaction; return their number.

        The verdict is that of `put`. On a trusted desk references may lead ahead, to records that come later.
        """
        count = 0
        later: gate.Later | None = {} if self._user_id is None else None
        if not isinstance(entities, Iterable):
            raise ValidationError.of("put_many", "entities", entities, "must be an iterable of records")
        with self._view(write=True) as view:
            chunk: list[Entity] = []
            for entity in entities:
                chunk.append(entity)
                if len(chunk) == CHUNK:
                    count += len(gate.put(view, chunk, later=later))
                    chunk = []
            count += len(gate.put(view, chunk, later=later))
            gate.resolve(view, later or {})
        return count

    def get(self, kind: type[E], /, id: str | None = None, *, ref: tuple[str, str] | None = None) -> E:
        """Return one record by its id, or by an external reference as (system, id there).

        Raises NotFound where there is none, or none that this desk may read: the same error.
        """
        if ref is not None and id is not None:
            raise ValidationError.of(kind_of(kind).name, "ref", ref, "give an id or an external reference, not both")
        with self._view() as view:
            if ref is None:
                if id is None:
                    raise ValidationError.of(kind_of(kind).name, "id", id, "give an id, or ref=(system, id)")
                return by_id_or_alias(view, kind, id)
            if not isinstance(ref, (tuple, list)) or len(ref) != 2 or not all(isinstance(p, str) for p in ref):  # noqa: PLR2004
                raise ValidationError.of(kind_of(kind).name, "ref", ref, "must be (system, id there)")
            found = view.find(kind, refs={ref[0]: ref[1]})
            if not found:
                raise NotFound(kind_of(kind).name, f"{ref[0]}:{ref[1]}")
            return found[0]

    def find(
        self,
        kind: type[E],
        /,
        *,
        order: str | tuple[str, ...] | None = None,
        limit: int | None = None,
        after: str | None = None,
        **conditions: Any,
    ) -> Found[E]:
        """Return the readable records of a kind that meet all conditions, in a total order (ties by id).

        Conditions are by field: a value (a folded name, one item of a list, some pairs of a mapping), `ka.between`,
        `ka.at_least`, `ka.at_most`, `ka.one_of`, `ka.is_none`. `order` is a field, or several, with a minus for
        descending (its exact reverse); ascending, nothing comes last. `limit` and `after` (a `cursor`) page. Raises
        ValidationError for mistyped fields and values, naming the nearest right one.
        """
        with self._view() as view:
            query = view.where(kind, conditions)
        asked = ordering(query.kind, order)
        if limit is not None and (
            not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= LIST_LIMIT
        ):
            raise ValidationError.of(query.kind.name, "limit", limit, f"must be a whole number up to {LIST_LIMIT}")
        query = attrs.evolve(query, order=asked, limit=limit)
        return Found(self, query if after is None else attrs.evolve(query, after=resume(query, after)))

    def count(self, kind: type[Entity], /, **conditions: Any) -> int:
        """Count the readable records of a kind that meet all conditions."""
        with self._view() as view:
            return view.count(view.where(kind, conditions))

    def search(self, text: str, *, limit: int = 20) -> Hits:
        """Find organisations and contacts by name, id, phone number, e-mail, external reference or town, best first.

        A contact is found by the phones and e-mails of a position only where its organisation may be read. A whole
        phone number is found in any form, as `caller` does; some of its digits, as they are stored.
        """
        if not isinstance(text, str) or len(text) > NEEDLE_LIMIT:
            raise ValidationError.of("search", "text", text, f"must be text of at most {NEEDLE_LIMIT} characters")
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= PAGE:
            raise ValidationError.of("search", "limit", limit, f"must be a whole number up to {PAGE}")
        with self._view() as view:
            dialled = cards.dialled_by(view, text, region=self._book.region, on=view.today)
            return Hits(tuple(hits(view, text, limit, dialled=dialled)))

    def remove(self, kind: type[Entity], /, id: str) -> None:
        """Remove a record and what hangs on it; needs `ADMINISTER`. Raises NotFound, AccessDenied."""
        with self._view(write=True) as view:
            gate_removal.remove(view, kind_of(kind), id)

    def history(self, kind: type[Entity], /, id: str) -> History:
        """Return what a record has been, oldest first: who, when, why, before and after, with today's rights.

        Raises NotFound where the record cannot be read now.
        """
        with self._view() as view:
            return history(view, kind_of(kind), id)

    # -- rights

    def may(self, organisation: str, right: Right = Right.READ) -> access.Decision:
        """Say whether this desk holds a right on an organisation, and why; truthy or not, and a sentence as text.

        Raises NotFound for an organisation that cannot be read, as for one that does not exist.
        """
        if not isinstance(right, Right):
            raise ValidationError.of("may", "right", right, "must be one of Right.READ, Right.CHANGE, Right.ADMINISTER")
        with self._view() as view:
            return or_alias(view, lambda at: view.decide(at, right), Organisation, organisation)

    def readable_ids(self, ids: Iterable[str]) -> list[str]:
        """Return those organisation ids of the host's own list that this desk may read, in the order given."""
        wanted = ids_of("ids", ids)
        with self._view() as view:
            readable = view.readable(Organisation, wanted)
            return [id for id in wanted if id in readable]

    def mine(self) -> Mine:
        """Return the organisations this desk's user manages or deputises for today, by name, covered ones included.

        Managing, a named deputyship and standing in for an absent manager count. Raises AccessDenied on a trusted desk,
        which is nobody.
        """
        with self._view() as view:
            if view.reader is None:
                raise AccessDenied("a trusted desk is nobody who could manage an account")
            return Mine(tuple(mine(view, view.reader)))

    # -- tables

    def read_csv(
        self,
        kind: type[Entity],
        path: str | os.PathLike[str],
        /,
        *,
        columns: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
        lines: LinesFrom | None = None,
        id_from: Sequence[str] = (),
        update: bool = False,
        keep_good: bool = False,
        rejects: str | os.PathLike[str] | None = None,
        encoding: str | None = None,
        separator: str | None = None,
        decimal: str | None = None,
        dates: str | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Import:
        """Read a host's own export into records of a kind; for trusted desks.

        `columns` maps column names to fields (`"name"`), parts (`"addresses.town"`, `"lines.quantity"`), external
        references (`"refs.erp"`), own values (`"extra.colour"`) or `"currency"`; to several as a tuple, and with a
        conversion as `ka.column(...)`. Without it the header names fields. `fixed` are values of every row; `lines` a
        second file with the lines of the records (`ka.lines_from`); `id_from` columns whose cells make the id.

        What is stored already with the same values stays as it is; other values are bad rows, or with `update` change
        the mapped fields. All or nothing; with `keep_good` the bad rows go to `rejects` (a file beside the table).

        `encoding`, `separator`, `decimal` and `dates` (a pattern such as `"%d.%m.%Y"`) are stated, or found and
        reported in the answer. `progress` is called after every thousand records. Raises ValidationError with every bad
        row: file, line, column, value, reason; nothing is written then. AccessDenied on a bound desk.
        """
        from keyaccount import exchange, tables

        return exchange.read_csv(
            self._importing,
            kind_of(kind),
            path,
            columns=columns,
            fixed=fixed,
            lines=lines,
            terms=exchange.terms_of(id_from, update, keep_good, rejects, progress),
            stated=tables.Stated(encoding, separator, decimal, dates, self._book.zone),
        )

    def from_frame(
        self,
        kind: type[Entity],
        frame: Any,
        /,
        *,
        columns: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
        id_from: Sequence[str] = (),
        update: bool = False,
        keep_good: bool = False,
        rejects: str | os.PathLike[str] | None = None,
        decimals: int | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Import:
        """Read a data frame (pandas, Polars, PyArrow), or a list of mappings, as `read_csv` reads a file.

        Numbers that are floats are taken with so many `decimals`, and refused where they are further than 1e-6 from
        such a number. Rows are numbered from 1. Bad rows go to a file only where `rejects` names one.
        """
        from keyaccount import exchange, tables

        return exchange.from_frame(
            self._importing,
            kind_of(kind),
            frame,
            columns=columns,
            fixed=fixed,
            terms=exchange.terms_of(id_from, update, keep_good, rejects, progress),
            stated=tables.Stated(zone=self._book.zone, decimals=decimals),
        )

    def dump(
        self,
        folder: str | os.PathLike[str],
        /,
        *,
        format: Literal["csv", "jsonl"] = "csv",
        overwrite: bool = False,
        progress: Callable[[Progress], object] | None = None,
    ) -> Dump:
        """Write every kind of record to a folder, as UTF-8 CSV or JSON Lines with a manifest; for trusted desks.

        Text that a spreadsheet would run is marked with an apostrophe, which `load` takes away. The audit stays with
        the book. A folder that is not empty is refused; with `overwrite` an earlier dump in it is replaced. Raises
        ValidationError, StorageUnavailable, AccessDenied on a bound desk.
        """
        from keyaccount import dumps

        place = dumps.folder_of(folder, "dump")
        with self._view() as view:
            view.need_trusted("dumping")
            return dumps.dump(view.stream, place, format, overwrite=overwrite, progress=progress)

    def load(self, folder: str | os.PathLike[str], /, *, progress: Callable[[Progress], object] | None = None) -> Dump:
        """Read what `dump` wrote, in one act; for trusted desks.

        Records come back equal, with ids and versions. What is there already with equal content stays as it is, so that
        loading again changes nothing; other content under the same id is a ConflictError. Raises ValidationError with
        every bad line, or where a file is not what the manifest says; nothing is written then.
        """
        from keyaccount import dumps

        return dumps.load(self._importing, dumps.folder_of(folder, "load"), progress)

    @contextmanager
    def _importing(self) -> Iterator[View]:
        with self._view(write=True) as view:
            view.need_trusted("importing")
            yield view

    # -- moments

    def notes(
        self, *, organisation: str | None = None, contact: str | None = None, context: str, on: date | None = None
    ) -> Notes:
        """Return the notes to be seen for an organisation, or a contact (acting for it), in a context, on a day.

        `notes.must_stop` says whether to go on. Raises NotFound, UnknownContext.
        """
        self._check_ids({"contact": contact, "organisation": organisation})
        with self._view() as view:
            day = self._day(on, view)

            def ask(organisation: str | None, contact: str | None) -> Notes:
                return cards.notes(
                    view, self._book.providers, contact=contact, organisation=organisation, context=context, on=day
                )

            return or_alias(view, ask, Organisation, organisation, contact)

    def notes_for(self, *, organisations: Iterable[str], context: str, on: date | None = None) -> NotesFor:
        """Return the notes of many organisations, by id, in a number of statements that does not grow with them.

        Those that cannot be read are left out. Under an id that was merged into another, the other's notes are given.
        Raises UnknownContext.
        """
        ids = ids_of("organisations", organisations)
        with self._view() as view:
            return cards.notes_for(
                view, self._book.providers, organisations=ids, context=context, on=self._day(on, view)
            )

    def card(
        self, *, contact: str | None = None, organisation: str | None = None, context: str, on: date | None = None
    ) -> cards.BusinessCard:
        """Return the business card of a contact, of an organisation, or of a contact acting for an organisation.

        Raises NotFound, UnknownContext.
        """
        self._check_ids({"contact": contact, "organisation": organisation})
        with self._view() as view:
            day = self._day(on, view)

            def ask(organisation: str | None, contact: str | None) -> cards.BusinessCard:
                return cards.card(
                    view, self._book.providers, contact=contact, organisation=organisation, context=context, on=day
                )

            return or_alias(view, ask, Organisation, organisation, contact)

    def panel(self, organisation: str, *, on: date | None = None) -> Panel:
        """Return the control panel of an organisation: `.counts`, `.open_counts` and `.latest` of all that hangs on it.

        On a day (today) contacts are in office, and contracts and invoices open. Raises NotFound.
        """
        self._check_ids({"organisation": organisation})
        with self._view() as view:
            day = self._day(on, view)
            return or_alias(view, lambda at: panel(view, at, day), Organisation, organisation)

    def caller(self, number: str, *, region: str | None = None) -> cards.BusinessCard | None:
        """Say who is calling: the best match's card in context "phone", with `others`; None where nobody is found.

        `number` is in international form, with 00, or national in `region` (the book's). Whether a number is unknown or
        merely shielded makes no difference.
        """
        if not isinstance(number, str):
            raise ValidationError.of("caller", "number", number, "must be text")
        check_region(region)
        with self._view() as view:
            return cards.caller(view, self._book.providers, number, region=region or self._book.region, on=view.today)

    def data_quality(self, *, on: date | None = None) -> DataQuality:
        """Return what a data steward should look at, of what this desk may read, in a fixed order.

        Phone numbers that cannot be read, contacts without a position, customers without a key account manager, private
        accounts at risk (who manages them is absent, or leaves within 60 days of the day, today), invoices without a
        due day, and records that may be one. `.duplicates` are the last.
        """
        with self._view() as view:
            return data_quality(view, self._book.region, self._day(on, view))

    # -- Monday

    def health_check(
        self,
        *,
        on: date | None = None,
        group: str | None = None,
        by: str | None = None,
        currency: str | None = None,
        quiet_days: int = 90,
    ) -> HealthCheck:
        """Say how each readable account does on a day, and what is to be done: a row each, the largest first.

        Turnover and its growth, declining orders, contracts due and expired, overdue amounts, opportunities, the last
        contact, promises, and a ranked list of actions with their evidence. Totals stand at the foot. `group` is a
        client group, or `"key accounts"`; `by` adds totals by manager, unit, sector, country, group or tier.
        """
        from keyaccount import checkups

        asked = {"group": group, "by": by, "currency": currency, "quiet_days": quiet_days}
        exchange = self._book._rates_to(currency)
        with self._view() as view:
            day = self._day(on, view)
            return checkups.health_check(view, day, again=self._view, zone=self._book.zone, exchange=exchange, **asked)

    def daily(self, *, on: date | None = None, group: str | None = None) -> Daily:
        """Say what a day begins with: overdue invoices, opportunities to update, broken promises, open break-glass."""
        from keyaccount import checkups

        with self._view() as view:
            return checkups.daily(view, self._day(on, view), zone=self._book.zone, group=group)

    # -- for the areas

    @contextmanager
    def _view(self, *, write: bool = False, key: str | None = None) -> Iterator[View]:
        with self._book._work(self._name, write=write, key=key) as work:
            yield self._book._bind(work, self._user_id)

    @staticmethod
    def _day(on: date | None, view: View) -> date:
        if on is None:
            return view.today
        if not is_day(on):
            raise ValidationError.of("question", "on", on, "must be a date")
        if not date.min < on < date.max:
            raise ValidationError.of("question", "on", on, "must lie between the first and the last day there is")
        return on

    @staticmethod
    def _check_ids(given: Mapping[str, object]) -> None:
        for name, value in given.items():
            if value is not None and not isinstance(value, str):
                raise ValidationError.of("question", name, value, "must be an id (text)")
        if all(value is None for value in given.values()):
            raise ValidationError.of("question", next(iter(given)), None, f"give {' or '.join(given)}")

    @staticmethod
    def _check_names(kind: type[Entity], given: Mapping[str, Any]) -> None:
        known = [field.name for field in attrs.fields(kind)]
        wrong = [
            Problem(kind.__name__, name, shown(given[name]), f"is no field{nearest(name, known)}")
            for name in given
            if name not in known
        ]
        if wrong:
            raise ValidationError(wrong)
