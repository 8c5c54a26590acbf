"""A shop that has a database already: its own orders and what this library keeps of its customers, in one commit.

The shop's tables are models of SQLAlchemy; ours stand beside them, under a prefix. Run it as a script, for a file of
SQLite in the current folder or any database by its address:

    python examples/host_transaction.py
    python examples/host_transaction.py postgresql+psycopg://me@localhost/shop
"""

from __future__ import annotations

import sys
from datetime import date
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import keyaccount as ka
from keyaccount.sql import SQLStorage, readable


class Base(DeclarativeBase):
    """The shop's own models."""


class ShopOrder(Base):
    """An order of the shop's; its customer is an organisation of ours, by id."""

    __tablename__ = "shop_order"

    number: Mapped[str] = mapped_column(primary_key=True)
    customer: Mapped[str]
    ordered_on: Mapped[date]
    total: Mapped[Decimal] = mapped_column(sa.Numeric(12, 2))


class SoldOut(Exception):
    """The shop cannot deliver: nothing of the order is to be kept."""


def founded(address: str) -> sa.Engine:
    """Make the shop's tables and ours, each once, and the users."""
    engine = sa.create_engine(address)
    Base.metadata.create_all(engine)
    office = ka.Book(SQLStorage(engine, prefix="ka_")).trusted("setup")
    if not office.count(ka.User):
        office.put(ka.User("volker", name="Volker Vorstand"), ka.User("carla", name="Carla Castell"))
    return engine


def take_order(session: Session, number: str, customer: str, total: str, *, in_stock: bool = True) -> None:
    """Take an order in the shop's own transaction: its row, the customer, an activity; the caller commits."""
    desk = ka.Book(SQLStorage(session, prefix="ka_")).trusted("shop")
    if not desk.count(ka.Organisation, id=customer):
        desk.put(
            ka.Organisation(customer, name=customer.title(), private=customer == "secret"),
            ka.Assignment(user_id="volker", organisation_id=customer, role=ka.KEY_ACCOUNT_MANAGER),
        )
    desk.activities.log(organisation=customer, kind="order", outcome=f"ordered {number}")
    session.add(ShopOrder(number=number, customer=customer, ordered_on=date(2026, 11, 23), total=Decimal(total)))
    if not in_stock:
        raise SoldOut(number)


def orders_for(session: Session, user: str) -> list[str]:
    """List the shop's orders that a user of ours may see, filtered by the database."""
    desk = ka.Book(SQLStorage(session, prefix="ka_")).desk(user)
    asked = sa.select(ShopOrder.number).where(readable(desk, ShopOrder.customer)).order_by(ShopOrder.number)
    return list(session.scalars(asked))


def main(address: str = "sqlite:///shop.sqlite") -> dict[str, list[str]]:
    """Take three orders, one of which fails, and show who sees which."""
    engine = founded(address)
    for number, customer, in_stock in (("1", "acme", True), ("2", "nobody", False), ("3", "secret", True)):
        with Session(engine) as session:
            try:
                take_order(session, number, customer, "100.00", in_stock=in_stock)
            except SoldOut:
                session.rollback()  # the order, the new customer and the activity are gone together
            else:
                session.commit()  # and here they are kept together
    with Session(engine) as session:
        seen = {user: orders_for(session, user) for user in ("volker", "carla")}
        customers = ka.Book(SQLStorage(session, prefix="ka_")).trusted("shop").find(ka.Organisation, order="id")
        seen["customers"] = [row.id for row in customers]
    engine.dispose()
    return seen


if __name__ == "__main__":
    for name, found in main(*sys.argv[1:]).items():
        print(f"{name}: {', '.join(found)}")
