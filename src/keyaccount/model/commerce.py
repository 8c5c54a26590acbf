"""What is bought and billed: products, orders, invoices and their lines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction

import attrs

from keyaccount.calendars import ONE_DAY
from keyaccount.model.entity import Entity, identity, name_field
from keyaccount.model.organisations import line
from keyaccount.money import Money, minor_places
from keyaccount.shapes import Amount, Checked, Choice, Day, Exact, Flag, Many, Number, One, Refer, Rule, Text, field

LINES = 10_000
ORDER_STATES = ("draft", "open", "confirmed", "shipped", "delivered", "invoiced", "closed", "cancelled")
TO_BE_DELIVERED = frozenset({"open", "confirmed", "shipped"})
_SECOND_DAY = date.min + ONE_DAY
COUNTED = frozenset(ORDER_STATES) - {"draft", "cancelled"}


@attrs.frozen(repr=False)
class Product(Entity):
    """Something that is sold: its name, category, and price where no list says otherwise."""

    id: str = identity()
    name: str = name_field()
    number: str | None = field(line(200))
    category: str | None = field(line(200))
    unit: str | None = field(line(200))
    list_price: Money | None = field(Amount())
    active: bool = field(Flag(), True)

    rules = (Rule(("list_price",), lambda price: price is None or price.units >= 0, "must not be negative"),)


@attrs.frozen(repr=False)
class Line(Checked):
    """One line of an order or invoice: so much of a product at a unit price, less a discount (0.15 is 15 percent).

    `product_id` is the host's own and need not be stored here. `cost` is what one unit costs us.

    >>> Line("chai", quantity=12, unit_price=Money("18", "USD"), discount=Decimal("0.15")).net
    Money('183.6', 'USD')
    """

    product_id: str | None = field(Text(limit=200, line=True))
    quantity: Decimal = field(Exact(), Decimal(1))
    unit_price: Money = field(Amount(required=True))
    discount: Decimal = field(Exact(low=0, high=1), Decimal(0))
    cost: Money | None = field(Amount())
    text: str | None = field(line())

    rules = (
        Rule(
            ("cost", "unit_price"),
            lambda cost, price: cost is None or cost.currency == price.currency,
            "must be in the currency of the price",
        ),
    )

    @property
    def net(self) -> Money:
        """Quantity x unit price x (1 - discount), rounded half-even to the currency's minor unit."""
        units = Fraction(self.quantity) * self.unit_price.units * (1 - Fraction(self.discount))
        return rounded_units(units, self.unit_price.currency)


@attrs.frozen(repr=False)
class Payment(Checked):
    """What was paid of an invoice on a day."""

    paid_on: date | None = field(Day(required=True))
    amount: Money = field(Amount(required=True))


@attrs.frozen(repr=False)
class Order(Entity):
    """An order of a customer: when, in which state, its lines. Drafts and cancelled ones count in no figure."""

    id: str = identity()
    organisation_id: str = field(Refer("Organisation", gone="remove", required=True))
    number: str | None = field(line(200))
    ordered_on: date | None = field(Day(required=True))
    state: str = field(Choice(ORDER_STATES), "open")
    lines: tuple[Line, ...] = field(Many(One(Line, required=True), limit=LINES, sought=False), ())

    rules = (Rule(("lines",), lambda lines: _one_currency(each.unit_price for each in lines), "mix currencies"),)

    @property
    def currency(self) -> str | None:
        """The currency of its lines; None without any."""
        return self.lines[0].unit_price.currency if self.lines else None

    @property
    def net(self) -> Money | None:
        """What its lines add up to; None without any."""
        return None if self.currency is None else Money.total((each.net for each in self.lines), self.currency)

    @property
    def net_units(self) -> int:
        """What it counts in sums, in ten-thousandths: nothing for a draft and a cancelled one."""
        return self.net.units if self.net is not None and self.state in COUNTED else 0

    @property
    def open(self) -> bool:
        """Whether something is still to be delivered."""
        return self.state in TO_BE_DELIVERED


@attrs.frozen(repr=False)
class Invoice(Entity):
    """An invoice or a credit note; a credit note's amounts are stored positive and count negative.

    `net` is without tax; without it the lines add up to it. `gross` is what is to be paid; without it, the net amount.
    Days are inclusive: it is overdue from the day after `due_on` while something is open.

    >>> Invoice(organisation_id="acme", kind="credit note", issued_on=date(2026, 1, 2), net=Money(5, "EUR")).net_units
    -50000
    """

    id: str = identity()
    organisation_id: str = field(Refer("Organisation", gone="remove", required=True))
    number: str | None = field(line(200))
    kind: str = field(Choice(("invoice", "credit note")), "invoice")
    issued_on: date | None = field(Day(required=True))
    due_on: date | None = field(Day())
    net: Money | None = field(Amount())
    gross: Money | None = field(Amount())
    payments: tuple[Payment, ...] = field(Many(One(Payment, required=True), limit=LINES, sought=False), ())
    dunning_level: int = field(Number(), 0)
    disputed: bool = field(Flag(), False)
    lines: tuple[Line, ...] = field(Many(One(Line, required=True), limit=LINES, sought=False), ())

    rules = (
        Rule(
            ("net", "lines"),
            lambda net, lines: net is not None or bool(lines),
            "is required where there are no lines",
        ),
        Rule(
            ("net", "gross", "payments", "lines"),
            lambda net, gross, payments, lines: _one_currency(
                [*filter(None, (net, gross)), *(each.amount for each in payments), *(each.unit_price for each in lines)]
            ),
            "is not in the currency of the other amounts",
        ),
        Rule(
            ("net", "gross", "kind"),
            lambda net, gross, kind: kind == "invoice" or all(m is None or m.units >= 0 for m in (net, gross)),
            "of a credit note must not be negative: it is stored positive and counts negative",
        ),
    )

    @property
    def currency(self) -> str:
        """The currency of all its amounts."""
        money = self.net or self.gross
        return money.currency if money is not None else self.lines[0].unit_price.currency

    @property
    def net_units(self) -> int:
        """What it counts in sums, in ten-thousandths of its currency, without tax; negative for a credit note."""
        return self._sign * self._net.units

    @property
    def open_amount(self) -> Money:
        """What is still to be paid: gross less what was paid; of a credit note, what is still to be paid out."""
        return self.open_amount_on(date.max)

    def open_amount_on(self, on: date) -> Money:
        """Return what was still to be paid at the end of a day."""
        return Money.of_units(self.left_on(on), self.currency)

    def left_on(self, on: date) -> int:
        """Return the same in ten-thousandths of its currency."""
        return left_of((self.gross or self._net).units, self.payments, on)

    @property
    def is_credit(self) -> bool:
        """Whether it is owed to the customer: a credit note, or an invoice below zero."""
        return self.kind == "credit note" or (self.gross or self._net).units < 0

    @property
    def open(self) -> bool:
        """Whether something is still to be paid, or was paid too much."""
        return self.settled_on is None

    @property
    def settled_on(self) -> date | None:
        """The day from which on it is even; None while something is open, or was paid too much."""
        left, settled = (self.gross or self._net).units, self.issued_on
        for payment in sorted(self.payments, key=lambda payment: payment.paid_on or date.min):
            before, left = left, left - payment.amount.units
            if before and not left:
                settled = payment.paid_on or self.issued_on
        return None if left else settled

    @property
    def open_until(self) -> date | None:
        """The last day at whose end something was still open; None while something is."""
        settled = self.settled_on
        return None if settled is None else max(settled, _SECOND_DAY) - ONE_DAY

    @property
    def _sign(self) -> int:
        return -1 if self.kind == "credit note" else 1

    @property
    def _net(self) -> Money:
        return self.net if self.net is not None else Money.total((each.net for each in self.lines), self.currency)


def left_of(units: int, payments: Iterable[Payment], on: date) -> int:
    """Return what was left of an amount at the end of a day, both in ten-thousandths."""
    paid = [each.amount.units for each in payments if each.paid_on is None or each.paid_on <= on]
    return units - sum(paid)


def rounded_units(units: Fraction, currency: str) -> Money:
    """Make money from an exact number of ten-thousandths, rounded half-even to the currency's minor unit."""
    step = 10 ** (4 - minor_places(currency))
    return Money.of_units(round(units / step) * step, currency)


def _one_currency(amounts: Iterable[Money]) -> bool:
    return len({amount.currency for amount in amounts}) <= 1
